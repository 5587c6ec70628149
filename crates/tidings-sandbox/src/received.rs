//! The book as others read it: through the library, and as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::names::fingerprint;
use crate::{Operation, Provider};

/// A message that a provider accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Received {
    /// The position in the book, from 0 since it was last emptied.
    pub number: u64,
    /// When it was recorded, RFC 3339.
    pub at: String,
    /// The same in milliseconds since 1970.
    pub at_ms: u64,
    /// By whom.
    pub provider: Provider,
    /// The fingerprint of the token it came with.
    pub account: String,
    /// The group, user or phone.
    pub destination: String,
    /// The id the provider gave it.
    pub id: String,
    /// GroupMe's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_guid: Option<String>,
    /// When Pingup will deliver it, RFC 3339, where it was sent with a delay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver_at: Option<String>,
    /// The same in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver_at_ms: Option<u64>,
    /// The size of a JSON body.
    pub body_bytes: u64,
    /// The JSON body, where it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// What a form held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// The header of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The fault that struck the call: the caller did not get the answer it should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<String>,
}

/// A part of a form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Part {
    /// The name of the field.
    pub name: String,
    /// The name of the file, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// The type of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The size in bytes.
    pub size: u64,
    /// The value, if it is no file and no secret, and was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The provider loses this file, as Grupo does where `gif_url` is sent empty.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub swallowed: bool,
}

/// A call that was not accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Refused {
    /// The position in the book, from 0 since it was last emptied.
    pub number: u64,
    /// When it came, RFC 3339.
    pub at: String,
    /// The same in milliseconds since 1970.
    pub at_ms: u64,
    /// By whom.
    pub provider: Provider,
    /// What was asked.
    pub operation: Operation,
    /// The fingerprint of the token it came with.
    pub account: String,
    /// The group, user or phone.
    pub destination: String,
    /// GroupMe's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_guid: Option<String>,
    /// The status of the answer; none where there was no answer.
    pub status: Option<u16>,
    /// Why.
    pub why: String,
}

/// Calls, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tally {
    /// Requests of any kind.
    pub calls: u64,
    /// Messages recorded.
    pub received: u64,
    /// Requests refused, or lost to a fault.
    pub refused: u64,
    /// Calls that came faster than a limit allows.
    pub violations: u64,
    /// Calls that a fault struck.
    pub faults: u64,
    /// Messages recorded though one with the same `source_guid` (or, without one, the same content) to the same
    /// destination had been recorded before.
    pub repeats: u64,
}

/// The most calls in any window of that length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Most {
    /// In 100 milliseconds.
    pub in_100ms: u32,
    /// In a second.
    pub in_1s: u32,
    /// In ten seconds.
    pub in_10s: u32,
    /// In a minute.
    pub in_60s: u32,
}

/// One account in the summary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AccountSummary {
    /// Its provider.
    pub provider: Provider,
    /// The fingerprint of its token.
    pub account: String,
    /// Its calls.
    #[serde(flatten)]
    pub tally: Tally,
    /// How fast they came.
    pub most: Most,
    /// How fast they came to any one group, user or phone.
    pub most_to_one_destination: Most,
}

/// The book in figures: as cheap with 200,000 messages in it as with none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Summary {
    /// Of all providers.
    #[serde(flatten)]
    pub tally: Tally,
    /// When the first message was recorded, in milliseconds since 1970.
    pub first_ms: Option<u64>,
    /// When the first tenth of them had been.
    pub tenth_ms: Option<u64>,
    /// When the last was.
    pub last_ms: Option<u64>,
    /// Refusals by the status of their answer; 0 stands for no answer.
    pub refused_by_status: BTreeMap<u16, u64>,
    /// How often each fault has struck, in the order of the faults.
    pub struck: Vec<u64>,
    /// Each provider that was called.
    pub providers: BTreeMap<Provider, Tally>,
    /// Each account that was called, in the order of their first calls.
    pub accounts: Vec<AccountSummary>,
}

impl Summary {
    /// What the account with this token did.
    pub fn account(&self, provider: Provider, token: &str) -> Option<&AccountSummary> {
        let fingerprint = fingerprint(token);
        self.accounts
            .iter()
            .find(|one| one.provider == provider && one.account == fingerprint)
    }

    /// What one provider was asked; nothing, where it was never called.
    pub fn provider(&self, provider: Provider) -> Tally {
        self.providers.get(&provider).copied().unwrap_or_default()
    }
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.received += other.received;
        self.refused += other.refused;
        self.violations += other.violations;
        self.faults += other.faults;
        self.repeats += other.repeats;
    }
}
