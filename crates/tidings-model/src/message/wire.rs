use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Invalid, Metadata, Schedule};
use crate::{Account, Delay, MessageId, Payload, object};

/// A message as it is read, with or without what `send` adds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire<'a> {
    pub(super) account: Account,
    #[serde(borrow)]
    payload: &'a RawValue,
    #[serde(default)]
    pub(super) id: Option<MessageId>,
    #[serde(default)]
    pub(super) enqueued_at: Option<Timestamp>,
    #[serde(default)]
    delay: Option<Delay>,
    #[serde(default)]
    not_before: Option<Timestamp>,
    #[serde(default)]
    expires_at: Option<Timestamp>,
    #[serde(default)]
    expires_in: Option<Delay>,
    #[serde(default)]
    pub(super) metadata: Metadata,
}

impl<'a> Wire<'a> {
    pub(super) fn parse(json: &'a [u8]) -> Result<(Self, Payload), Invalid> {
        let wire: Self = object::read(json).map_err(|error| Invalid::Json(error.to_string()))?;
        let payload = Payload::parse(wire.account.provider(), wire.payload.get())?;
        Ok((wire, payload))
    }

    pub(super) fn schedule(&self) -> Schedule {
        Schedule {
            delay: self.delay,
            not_before: self.not_before,
            expires_at: self.expires_at,
            expires_in: self.expires_in,
        }
    }
}

/// As much as can be made out of a body that does not decode.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UndecodableHead {
    /// Its id, where one stands there.
    pub id: Option<MessageId>,
    /// Its account, where one stands there.
    pub account: Option<Account>,
}

impl UndecodableHead {
    /// Looks for `id` and `account` in whatever JSON object the bytes are.
    #[must_use]
    pub fn find(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Loose<'a> {
            #[serde(borrow, default)]
            id: Option<&'a RawValue>,
            #[serde(borrow, default)]
            account: Option<&'a RawValue>,
        }
        fn text<'de, T: Deserialize<'de>>(raw: Option<&'de RawValue>) -> Option<T> {
            serde_json::from_str(raw?.get()).ok()
        }
        object::read::<Loose<'_>>(body).map_or_else(
            |_| Self::default(),
            |loose| Self {
                id: text(loose.id),
                account: text(loose.account),
            },
        )
    }
}
