mod schema;

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Account, Delay, MessageId, Payload, Provider, payload::PayloadError};

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

/// When a message may be sent, as its caller wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Schedule {
    /// Not before so long after `send`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Delay>,
    /// Not before this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Not after this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Not after so long from `send`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<Delay>,
}

impl Schedule {
    /// When a message enqueued then may be sent first.
    #[must_use]
    pub fn due(&self, enqueued_at: Timestamp) -> Timestamp {
        match (self.delay, self.not_before) {
            (Some(delay), _) => later(enqueued_at, delay.as_duration()),
            (None, Some(at)) => at,
            (None, None) => enqueued_at,
        }
    }

    /// When a message enqueued then is too old to be sent.
    #[must_use]
    pub fn expires(&self, enqueued_at: Timestamp) -> Option<Timestamp> {
        match (self.expires_at, self.expires_in) {
            (Some(at), _) => Some(at),
            (None, Some(delay)) => Some(later(enqueued_at, delay.as_duration())),
            (None, None) => None,
        }
    }

    fn check(&self, provider: Provider, enqueued_at: Timestamp) -> Result<(), Invalid> {
        if self.delay.is_some() && self.not_before.is_some() {
            return Err(Invalid::Both("delay", "not_before"));
        }
        if self.expires_at.is_some() && self.expires_in.is_some() {
            return Err(Invalid::Both("expires_at", "expires_in"));
        }
        if provider == Provider::Pingup && (self.delay.is_some() || self.not_before.is_some()) {
            return Err(Invalid::PingupSchedule(if self.delay.is_some() {
                "delay"
            } else {
                "not_before"
            }));
        }
        let due = self.due(enqueued_at);
        if due.duration_since(enqueued_at)
            > Delay::MAX
                .as_duration()
                .try_into()
                .unwrap_or(jiff::SignedDuration::MAX)
        {
            return Err(Invalid::TooFar { due });
        }
        match self.expires(enqueued_at) {
            Some(expires) if expires <= due.max(enqueued_at) => {
                Err(Invalid::ExpiresBeforeDue { expires, due })
            }
            _ => Ok(()),
        }
    }
}

fn later(at: Timestamp, wait: Duration) -> Timestamp {
    at.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// A message as its caller writes it, or a line of a `tidings send` file.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    account: Account,
    payload: Payload,
    id: Option<MessageId>,
    schedule: Schedule,
    metadata: Metadata,
}

/// Why a draft is not a message.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Invalid {
    /// Not the JSON of a message.
    #[error("{0}")]
    Json(String),
    /// The payload breaks one of its provider's rules.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// Two fields that exclude each other.
    #[error("`{0}` and `{1}` exclude each other: give one of them")]
    Both(&'static str, &'static str),
    /// Pingup keeps its own delays.
    #[error("`{0}` is not for pingup: give `payload.delay`, which Pingup itself keeps")]
    PingupSchedule(&'static str),
    /// Due later than the broker's delays reach.
    #[error("due {due} is further away than the longest delay, {max}", max = Delay::MAX)]
    TooFar {
        /// When it would be due.
        due: Timestamp,
    },
    /// It would expire before it could be sent.
    #[error("expires {expires}, which is not after it is due, {due}: it could never be sent")]
    ExpiresBeforeDue {
        /// When it would expire.
        expires: Timestamp,
        /// When it would be due.
        due: Timestamp,
    },
    /// Too much metadata.
    #[error("`metadata` is {0} bytes of JSON, at most {MAX_METADATA_BYTES} are allowed")]
    Metadata(usize),
    /// Too large a message.
    #[error("the message is {0} bytes of JSON, at most {MAX_BODY_BYTES} are allowed")]
    TooLarge(usize),
}

/// Why bytes from the queue are not a message.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("not a message: {0}")]
pub struct DecodeError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    account: Account,
    #[serde(borrow)]
    payload: &'a RawValue,
    #[serde(default)]
    id: Option<MessageId>,
    #[serde(default)]
    enqueued_at: Option<Timestamp>,
    #[serde(default)]
    delay: Option<Delay>,
    #[serde(default)]
    not_before: Option<Timestamp>,
    #[serde(default)]
    expires_at: Option<Timestamp>,
    #[serde(default)]
    expires_in: Option<Delay>,
    #[serde(default)]
    metadata: Metadata,
}

impl<'a> Wire<'a> {
    fn parse(json: &'a [u8]) -> Result<(Self, Payload), Invalid> {
        let wire: Self =
            serde_json::from_slice(json).map_err(|error| Invalid::Json(error.to_string()))?;
        let payload = Payload::parse(wire.account.provider(), wire.payload.get())?;
        Ok((wire, payload))
    }

    fn schedule(&self) -> Schedule {
        Schedule {
            delay: self.delay,
            not_before: self.not_before,
            expires_at: self.expires_at,
            expires_in: self.expires_in,
        }
    }
}

impl Draft {
    /// Begins a message; the other fields follow with the methods below.
    #[must_use]
    pub fn new(account: Account, payload: Payload) -> Self {
        Self {
            account,
            payload,
            id: None,
            schedule: Schedule::default(),
            metadata: Metadata::new(),
        }
    }

    /// Reads the JSON that contract and schema describe.
    ///
    /// # Errors
    /// Names the first field that is unknown, missing or wrong.
    pub fn parse(json: &[u8]) -> Result<Self, Invalid> {
        let (wire, payload) = Wire::parse(json)?;
        if wire.enqueued_at.is_some() {
            return Err(Invalid::Json(
                "`enqueued_at` is set by `send`: leave it out".into(),
            ));
        }
        let schedule = wire.schedule();
        Ok(Self {
            account: wire.account,
            payload,
            id: wire.id,
            schedule,
            metadata: wire.metadata,
        })
    }

    /// Names the message; without it, `send` makes a UUIDv7.
    #[must_use]
    pub fn id(mut self, id: MessageId) -> Self {
        self.id = Some(id);
        self
    }

    /// Not before so long after `send`.
    #[must_use]
    pub fn delay(mut self, delay: Delay) -> Self {
        self.schedule.delay = Some(delay);
        self
    }

    /// Not before this moment.
    #[must_use]
    pub fn not_before(mut self, at: Timestamp) -> Self {
        self.schedule.not_before = Some(at);
        self
    }

    /// Not after this moment.
    #[must_use]
    pub fn expires_at(mut self, at: Timestamp) -> Self {
        self.schedule.expires_at = Some(at);
        self
    }

    /// Not after so long from `send`.
    #[must_use]
    pub fn expires_in(mut self, delay: Delay) -> Self {
        self.schedule.expires_in = Some(delay);
        self
    }

    /// One of the caller's own strings; it comes back in the outcome.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Whose credentials send it.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Makes it a message: checks what can be checked before it is sent, names it, and stamps it.
    ///
    /// # Errors
    /// Names the field, its limit and the value's size.
    pub fn accept(
        self,
        now: Timestamp,
        fresh_id: impl FnOnce() -> MessageId,
    ) -> Result<Message, Invalid> {
        self.payload.validate()?;
        if self.payload.provider() != self.account.provider() {
            let (payload, account) = (self.payload.provider(), &self.account);
            return Err(Invalid::Json(format!(
                "a payload for {payload} cannot be sent by account {account}"
            )));
        }
        self.schedule.check(self.account.provider(), now)?;
        check_metadata(&self.metadata)?;
        Ok(Message {
            account: self.account,
            payload: self.payload,
            id: self.id.unwrap_or_else(fresh_id),
            enqueued_at: now,
            schedule: self.schedule,
            metadata: self.metadata,
        })
    }
}

fn check_metadata(metadata: &Metadata) -> Result<(), Invalid> {
    if metadata.is_empty() {
        return Ok(());
    }
    match serde_json::to_vec(metadata).map_or(usize::MAX, |json| json.len()) {
        size if size > MAX_METADATA_BYTES => Err(Invalid::Metadata(size)),
        _ => Ok(()),
    }
}

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
        serde_json::from_slice::<Loose<'_>>(body).map_or_else(
            |_| Self::default(),
            |loose| Self {
                id: text(loose.id),
                account: text(loose.account),
            },
        )
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::decode(raw.get().as_bytes()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-01T09:00:00Z";

    fn accept(json: &str) -> Result<Message, Invalid> {
        Draft::parse(json.as_bytes())?.accept(NOW.parse().unwrap(), || "fresh".parse().unwrap())
    }

    fn groupme(rest: &str) -> Result<Message, Invalid> {
        accept(&format!(
            r#"{{"account": "groupme.ops", "payload": {{"group_id": "1", "text": "hi"}}{rest}}}"#
        ))
    }

    #[test]
    fn a_message_reads_back_as_it_was_written() {
        let message = groupme(
            r#", "id": "a", "delay": "10m", "expires_in": "1h", "metadata": {"order": "42"}"#,
        )
        .unwrap();
        assert_eq!(Message::decode(&message.encode()).unwrap(), message);
        assert_eq!(message.due(), "2026-01-01T09:10:00Z".parse().unwrap());
        assert_eq!(
            message.expires(),
            Some("2026-01-01T10:00:00Z".parse().unwrap())
        );
        assert_eq!(message.source_guid(), "a");
    }

    #[test]
    fn a_typo_is_named_and_not_lost() {
        let error = groupme(r#", "dely": "10m""#).unwrap_err().to_string();
        assert!(error.contains("`dely`"), "{error}");
        let error =
            accept(r#"{"account": "groupme.ops", "payload": {"group_id": "1", "txt": "hi"}}"#)
                .unwrap_err();
        assert!(error.to_string().contains("txt"), "{error}");
    }

    #[test]
    fn schedules_that_cannot_be_kept_are_refused() {
        let cases = [
            (
                r#", "delay": "1m", "not_before": "2026-01-01T10:00:00Z""#,
                "exclude each other",
            ),
            (
                r#", "expires_in": "1m", "expires_at": "2026-01-01T10:00:00Z""#,
                "exclude each other",
            ),
            (r#", "delay": "2h", "expires_in": "1h""#, "never be sent"),
            (r#", "expires_at": "2025-01-01T00:00:00Z""#, "never be sent"),
            (r#", "not_before": "2999-01-01T00:00:00Z""#, "longest delay"),
            (r#", "enqueued_at": "2026-01-01T09:00:00Z""#, "leave it out"),
        ];
        for (rest, expected) in cases {
            let error = groupme(rest).unwrap_err().to_string();
            assert!(error.contains(expected), "{rest}: {error}");
        }
        let pingup = r#"{"account": "pingup.a", "payload": {"client": "c", "text_message": "t"}, "delay": "1m"}"#;
        assert!(
            accept(pingup)
                .unwrap_err()
                .to_string()
                .contains("payload.delay")
        );
    }

    #[test]
    fn metadata_is_bounded_with_its_size_named() {
        let fits = format!(
            r#", "metadata": {{"k": "{}"}}"#,
            "x".repeat(MAX_METADATA_BYTES - 8)
        );
        assert!(groupme(&fits).is_ok());
        let large = format!(
            r#", "metadata": {{"k": "{}"}}"#,
            "x".repeat(MAX_METADATA_BYTES - 7)
        );
        let error = groupme(&large).unwrap_err().to_string();
        assert!(error.contains("4097") && error.contains("4096"), "{error}");
    }

    #[test]
    fn a_body_without_id_or_time_does_not_decode_but_is_made_out() {
        let body =
            br#"{"account": "groupme.ops", "id": "a", "payload": {"group_id": "1", "text": "hi"}}"#;
        assert!(
            Message::decode(body)
                .unwrap_err()
                .to_string()
                .contains("enqueued_at")
        );
        let head = UndecodableHead::find(body);
        assert_eq!(
            (head.id.unwrap().as_str(), head.account.unwrap().as_str()),
            ("a", "groupme.ops")
        );
        assert_eq!(
            UndecodableHead::find(b"\xff\xfe"),
            UndecodableHead::default()
        );
        assert_eq!(
            UndecodableHead::find(br#"{"id": 7, "account": "nobody"}"#),
            UndecodableHead::default()
        );
    }
}
