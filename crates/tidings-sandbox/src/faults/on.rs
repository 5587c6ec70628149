use serde::{Deserialize, Serialize};

use crate::{Operation, Provider};

/// Which calls a rule is about. What is left out matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct On {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider: Option<Provider>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operation: Option<Operation>,
}

/// Who calls, and what for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    pub(crate) provider: Provider,
    pub(crate) operation: Operation,
    pub(crate) token: &'a str,
    pub(crate) fingerprint: &'a str,
    pub(crate) destination: &'a str,
}

impl On {
    /// Every call.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Calls with this token (or the token with this fingerprint).
    pub fn account(mut self, token: impl Into<String>) -> Self {
        self.account = Some(token.into());
        self
    }

    /// Calls about this group, user or phone.
    pub fn destination(mut self, destination: impl Into<String>) -> Self {
        self.destination = Some(destination.into());
        self
    }

    /// Only these operations: a fault for `Index` hits GroupMe's look-ups alone.
    pub fn operation(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    pub(crate) fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn matches(&self, caller: &Caller<'_>) -> bool {
        self.provider
            .is_none_or(|provider| provider == caller.provider)
            && self
                .operation
                .is_none_or(|operation| operation == caller.operation)
            && self
                .account
                .as_ref()
                .is_none_or(|account| account == caller.token || account == caller.fingerprint)
            && self
                .destination
                .as_ref()
                .is_none_or(|destination| destination == caller.destination)
    }
}

impl From<Provider> for On {
    /// Every call to this provider.
    fn from(provider: Provider) -> Self {
        Self {
            provider: Some(provider),
            ..Self::default()
        }
    }
}
