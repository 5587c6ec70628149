mod draft;
mod schedule;
mod schema;
mod wire;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use self::wire::Wire;
pub use self::{
    draft::{Draft, Invalid},
    schedule::Schedule,
    wire::UndecodableHead,
};
use crate::{Account, MessageId, Payload};

/// Largest body of a message, in bytes: Grupo's files of 8 MiB as base64, with room to spare, and well below the
/// 16 MiB that RabbitMQ 4 accepts.
pub const MAX_BODY_BYTES: usize = 12 * 1024 * 1024;

/// Largest metadata, in bytes of its JSON.
pub const MAX_METADATA_BYTES: usize = 4096;

/// The caller's own strings: they come back in outcomes and dead letters.
pub type Metadata = BTreeMap<String, String>;

/// One thing to send, as accepted: the body on the wire, which never changes.
///
/// ```
/// use tidings_model::{Draft, Message};
/// let draft = Draft::parse(br#"{"account": "groupme.ops", "payload": {"group_id": "1", "text": "hi"}, "delay": "10m"}"#)?;
/// let now = "2026-01-01T09:00:00Z".parse().unwrap();
/// let message = draft.accept(now, || "m-1".parse().unwrap())?;
/// assert_eq!(message.due(), "2026-01-01T09:10:00Z".parse().unwrap());
/// assert_eq!(Message::decode(&message.encode()).unwrap(), message);
/// # Ok::<(), tidings_model::Invalid>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message {
    /// Whose credentials send it.
    pub account: Account,
    /// What is sent, in the provider's own words.
    pub payload: Payload,
    /// Names the message for ever.
    pub id: MessageId,
    /// When `send` accepted it; every delay counts from here.
    pub enqueued_at: Timestamp,
    /// When it may be sent.
    #[serde(flatten)]
    pub schedule: Schedule,
    /// The caller's own strings.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: Metadata,
}

/// Why bytes from the queue are not a message.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("not a message: {0}")]
pub struct DecodeError(String);

impl Message {
    /// Reads a body from the queue: `id` and `enqueued_at` must be there.
    ///
    /// # Errors
    /// Says what is unknown, missing or wrong; such a body ends dead, `undecodable`.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let (wire, payload) = Wire::parse(body).map_err(|error| DecodeError(error.to_string()))?;
        let missing = |field: &str| DecodeError(format!("missing field `{field}`"));
        let schedule = wire.schedule();
        if schedule.delay.is_some() && schedule.not_before.is_some() {
            return Err(DecodeError(
                Invalid::Both("delay", "not_before").to_string(),
            ));
        }
        Ok(Self {
            payload,
            id: wire.id.ok_or_else(|| missing("id"))?,
            enqueued_at: wire.enqueued_at.ok_or_else(|| missing("enqueued_at"))?,
            schedule,
            account: wire.account,
            metadata: wire.metadata,
        })
    }

    /// The body on the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Every part serialises to plain JSON with string keys, which cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Begins a new message with the same content, for instance to send an edited copy.
    #[must_use]
    pub fn to_draft(&self) -> Draft {
        Draft {
            account: self.account.clone(),
            payload: self.payload.clone(),
            id: Some(self.id.clone()),
            schedule: self.schedule.clone(),
            metadata: self.metadata.clone(),
        }
    }

    /// When it may be sent first.
    #[must_use]
    pub fn due(&self) -> Timestamp {
        self.schedule.due(self.enqueued_at)
    }

    /// When it is too old to be sent.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.schedule.expires(self.enqueued_at)
    }

    /// GroupMe's `source_guid`: the payload's own, else the id. No replay changes it.
    #[must_use]
    pub fn source_guid(&self) -> &str {
        self.payload.source_guid().unwrap_or(self.id.as_str())
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::decode(raw.get().as_bytes()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
