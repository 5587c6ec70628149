//! What people do about dead letters, as it is written in the dead stream, behind the letters it speaks of.
//!
//! An operation writes that it began, claims its letters, acts, writes what became of each, and that it ended. The
//! first claim in the stream's order holds, until its letter is resolved or its operation has ended.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::{LetterState, MessageId, text};

/// Names a dead letter. It may stand in the stream more than once: the first one counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LetterKey {
    /// By its message, and which replay of it died.
    Message {
        /// The message.
        id: MessageId,
        /// 0 as sent.
        generation: u32,
    },
    /// By its place in the stream, where nothing names the message.
    Place {
        /// Where it stands.
        position: u64,
    },
}

/// As people write it: the id, and `@` with the place where there is none.
impl fmt::Display for LetterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { id, generation: 0 } => id.fmt(f),
            Self::Message { id, generation } => write!(f, "{id} (replay {generation})"),
            Self::Place { position } => write!(f, "@{position}"),
        }
    }
}

/// Names one operation: a UUIDv7, so that they are in the order of their beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperationId(Uuid);

/// Why a text names no operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no operation: `tidings-dlq audit` lists them")]
pub struct OperationIdError(String);

impl From<Uuid> for OperationId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for OperationId {
    type Err = OperationIdError;

    fn from_str(text: &str) -> Result<Self, OperationIdError> {
        let uuid = text.parse().map(Self);
        uuid.map_err(|_| OperationIdError(text::start(text)))
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for OperationId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OperationId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(deserializer)
    }
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Sends messages again, each with its id and the next generation.
    Replay,
    /// Sends a mended copy as a new message.
    Edit,
    /// Settles that messages need not be sent.
    Discard,
    /// Opens letters again.
    Restore,
    /// Writes open letters again, before the stream forgets them.
    Renew,
}

impl Verb {
    /// The word used in JSON and by people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Edit => "edit",
            Self::Discard => "discard",
            Self::Restore => "restore",
            Self::Renew => "renew",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An operation is about to act on letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Which operation.
    pub operation: OperationId,
    /// Who, as `user@host` or the console's user.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Which letters.
    pub letters: Vec<LetterKey>,
    /// Whether it holds against the claim of another operation that was abandoned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub take_over: bool,
}

/// Letters have a new state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// Which operation did it.
    pub operation: OperationId,
    /// When.
    pub at: Timestamp,
    /// Which letters.
    pub letters: Vec<LetterKey>,
    /// Their state from now on; open where they were restored or renewed.
    pub state: LetterState,
    /// The message that an edit made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_id: Option<MessageId>,
}

/// The audit: each operation is written before it acts, and completed after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "audit", rename_all = "kebab-case")]
pub enum Audit {
    /// An operation begins.
    Began(Began),
    /// It has ended: its claims hold no more.
    Ended(Ended),
}

/// The beginning of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Began {
    /// Which operation.
    pub operation: OperationId,
    /// What it does.
    pub verb: Verb,
    /// Who, as `user@host` or the console's user.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// To which letters, in words.
    pub which: String,
    /// How many letters.
    pub planned: u64,
    /// Why, where somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// All that is needed to go on with it: known to the inspector alone.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub parameters: serde_json::Value,
}

/// The end of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Which operation.
    pub operation: OperationId,
    /// Who ended it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// For how many letters it did what it is for.
    pub done: u64,
    /// For how many it could not.
    pub failed: u64,
    /// How many it left alone.
    pub skipped: u64,
    /// Why it stopped before it was through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_named_by_its_message_or_by_its_place() {
        for (key, json) in [
            (
                LetterKey::Message {
                    id: "m-1".parse().unwrap(),
                    generation: 2,
                },
                r#"{"id":"m-1","generation":2}"#,
            ),
            (LetterKey::Place { position: 7 }, r#"{"position":7}"#),
        ] {
            assert_eq!(serde_json::to_string(&key).unwrap(), json);
            assert_eq!(serde_json::from_str::<LetterKey>(json).unwrap(), key);
        }
    }

    #[test]
    fn operations_are_in_the_order_of_their_beginning() {
        let ids: Vec<OperationId> = (0..3).map(|_| Uuid::now_v7().into()).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids[0].to_string().parse(), Ok(ids[0]));
        assert!("yesterday".parse::<OperationId>().is_err());
    }
}
