use jiff::Timestamp;

use super::{MAX_METADATA_BYTES, Message, Metadata, Schedule, wire::Wire};
use crate::{Account, Delay, MessageId, Payload, payload::PayloadError};

/// A message as its caller writes it, or a line of a `tidings send` file.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub(super) account: Account,
    pub(super) payload: Payload,
    pub(super) id: Option<MessageId>,
    pub(super) schedule: Schedule,
    pub(super) metadata: Metadata,
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
