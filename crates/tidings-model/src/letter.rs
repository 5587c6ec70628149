use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::value::RawValue;

use crate::{Account, Attempt, LetterKey, Message, MessageId, Reason, object};

/// A message that ended dead, with its reason and its attempts, as the inspector shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetter {
    /// The message, or as much of it as is known.
    pub message: LetterMessage,
    /// Why it is dead.
    pub reason: Reason,
    /// The newest twenty attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// When it died.
    pub dead_at: Timestamp,
    /// What has been done about it.
    pub state: LetterState,
    /// Which replay died; 0 as sent.
    pub generation: u32,
    /// Whether an attempt may have delivered it all the same.
    pub maybe_delivered: bool,
}

/// The message of a dead letter.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum LetterMessage {
    /// It decoded.
    Whole(Box<Message>),
    /// It did not: what could be made out. The bytes are in the record, as they were.
    Part {
        /// Its id, where one was found.
        id: Option<MessageId>,
        /// Its account, where one was found.
        account: Option<Account>,
    },
}

/// By hand, because a derived reader keeps the message in a form that a payload, kept to the digit, cannot be read from.
impl<'de> Deserialize<'de> for LetterMessage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Part {
            id: Option<MessageId>,
            account: Option<Account>,
        }
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if let Ok(Part { id, account }) = object::read(raw.get().as_bytes()) {
            return Ok(Self::Part { id, account });
        }
        let message = Message::decode(raw.get().as_bytes()).map_err(D::Error::custom)?;
        Ok(Self::Whole(Box::new(message)))
    }
}

impl LetterMessage {
    /// The message's id, where known.
    #[must_use]
    pub fn id(&self) -> Option<&MessageId> {
        match self {
            Self::Whole(message) => Some(&message.id),
            Self::Part { id, .. } => id.as_ref(),
        }
    }

    /// The message's account, where known.
    #[must_use]
    pub fn account(&self) -> Option<&Account> {
        match self {
            Self::Whole(message) => Some(&message.account),
            Self::Part { account, .. } => account.as_ref(),
        }
    }
}

/// What has been done about a dead letter.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum LetterState {
    /// Nothing yet.
    #[default]
    Open,
    /// It was sent again, with the next generation.
    Replayed,
    /// A mended copy was sent as a new message.
    Edited,
    /// Somebody decided that it need not be sent.
    Discarded,
}

impl LetterState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Open, Self::Replayed, Self::Edited, Self::Discarded];

    /// The word used in JSON and filters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Replayed => "replayed",
            Self::Edited => "edited",
            Self::Discarded => "discarded",
        }
    }
}

impl fmt::Display for LetterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What stands beside the body in the dead stream: a letter without its message, whose bytes are the record's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LetterHead {
    /// The message's id, where known.
    pub id: Option<MessageId>,
    /// The message's account, where known.
    pub account: Option<Account>,
    /// Why it is dead.
    pub reason: Reason,
    /// The newest twenty attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// When it died.
    pub dead_at: Timestamp,
    /// Which replay died; 0 as sent.
    pub generation: u32,
    /// Whether an attempt may have delivered it all the same.
    pub maybe_delivered: bool,
    /// Where a letter without an id stood first, in a copy of it: that goes on naming it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stood_at: Option<u64>,
}

impl LetterHead {
    /// Names the letter that stands at this place of the stream.
    #[must_use]
    pub fn key(&self, position: u64) -> LetterKey {
        let generation = self.generation;
        match self.id.clone() {
            Some(id) => LetterKey::Message { id, generation },
            None => LetterKey::Place {
                position: self.stood_at.unwrap_or(position),
            },
        }
    }

    /// The head of a copy that is written elsewhere in the stream: it is the same letter.
    #[must_use]
    pub fn copy_of(self, key: &LetterKey) -> Self {
        let stood_at = match key {
            LetterKey::Message { .. } => None,
            LetterKey::Place { position } => Some(*position),
        };
        Self { stood_at, ..self }
    }

    /// Joins the head with the record's bytes. A body that is no message leaves what the head knows of it.
    #[must_use]
    pub fn with_body(self, body: &[u8], state: LetterState) -> DeadLetter {
        let message = Message::decode(body).map_or(
            LetterMessage::Part {
                id: self.id,
                account: self.account,
            },
            |message| LetterMessage::Whole(Box::new(message)),
        );
        DeadLetter {
            message,
            reason: self.reason,
            attempts: self.attempts,
            dead_at: self.dead_at,
            state,
            generation: self.generation,
            maybe_delivered: self.maybe_delivered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> LetterHead {
        LetterHead {
            id: Some("m-1".parse().unwrap()),
            account: None,
            reason: Reason::Undecodable,
            attempts: Vec::new(),
            dead_at: "2026-01-01T09:00:00Z".parse().unwrap(),
            generation: 0,
            maybe_delivered: false,
            stood_at: None,
        }
    }

    #[test]
    fn a_copy_of_a_letter_without_an_id_is_the_same_letter() {
        let nameless = LetterHead { id: None, ..head() };
        let key = nameless.key(17);
        assert_eq!(key, LetterKey::Place { position: 17 });
        let copy = nameless.copy_of(&key);
        assert_eq!(copy.key(99), key);
        assert_eq!(copy.copy_of(&key).key(200), key);
        let named = head().key(17);
        assert_eq!(head().copy_of(&named), head());
    }

    #[test]
    fn a_letter_reads_back_with_its_message_whole_or_in_part() {
        let body = br#"{"account":"pingup.a","payload":{"client":"c","text_message":"t"},"id":"m-1","enqueued_at":"2026-01-01T08:00:00Z"}"#;
        for body in [&body[..], b"nonsense"] {
            let letter = head().with_body(body, LetterState::Open);
            let json = serde_json::to_string(&letter).unwrap();
            assert_eq!(
                serde_json::from_str::<DeadLetter>(&json).unwrap(),
                letter,
                "{json}"
            );
        }
    }
}
