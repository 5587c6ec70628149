use std::time::Duration;

use tidings_broker::{BrokerError, Envelope, PublishError};
use tidings_model::{Account, BrokerUrlError, Invalid, MAX_BODY_BYTES, MessageId};

/// Why there is no connection to begin with.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// The URL names no broker.
    #[error(transparent)]
    Url(#[from] BrokerUrlError),
    /// The broker cannot be reached, or does not let us in.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// Why a message was not accepted.
///
/// [`SendError::may_be_queued`] and [`SendError::is_temporary`] tell a caller what to do; a message that may be queued
/// is safe to send again under the same id.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendError {
    /// It breaks a rule: it was not sent, and never will be as it is.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// No lane serves its account.
    #[error(
        "account {0} has no lane: add it to the configuration and run `tidings topology apply --config FILE`"
    )]
    UnknownAccount(Account),
    /// The body is too large.
    #[error("message {id} is {size} bytes of JSON, at most {MAX_BODY_BYTES} are allowed")]
    TooLarge {
        /// The message.
        id: MessageId,
        /// Its size in bytes.
        size: usize,
    },
    /// The broker was away all the time: the message is not queued.
    #[error("message {id} is not queued: {why}; waited {waited:?}, send it again later")]
    Away {
        /// The message.
        id: MessageId,
        /// What the connection said.
        why: BrokerError,
        /// The patience that ran out.
        waited: Duration,
    },
    /// The broker took no messages all the time (a memory or disk alarm): the message is not queued.
    #[error(
        "message {id} is not queued: the broker takes no messages ({why}); waited {waited:?}, send it again when its alarm is over"
    )]
    Blocked {
        /// The message.
        id: MessageId,
        /// The broker's words.
        why: String,
        /// The patience that ran out.
        waited: Duration,
    },
    /// The message was handed over and never confirmed: it may or may not be queued.
    #[error(
        "message {id} may or may not be queued: {why}; waited {waited:?}, send it again with the same id, which is safe"
    )]
    Unconfirmed {
        /// The message.
        id: MessageId,
        /// What is known.
        why: String,
        /// The patience that ran out.
        waited: Duration,
    },
    /// The broker refused this message.
    #[error("the broker refused message {id}: {why}")]
    Refused {
        /// The message.
        id: MessageId,
        /// The broker's words.
        why: String,
    },
}

impl SendError {
    /// Puts a publish's failure into words for the message it happened to.
    pub(crate) fn new(envelope: &Envelope, error: PublishError, waited: Duration) -> Self {
        let id = envelope.id.clone();
        let unconfirmed = |why| Self::Unconfirmed {
            id: id.clone(),
            why,
            waited,
        };
        match error {
            PublishError::UnknownAccount(account) => Self::UnknownAccount(account),
            PublishError::TooLarge(size) => Self::TooLarge { id, size },
            PublishError::Refused(why) => Self::Refused { id, why },
            // An earlier publish of this message was never confirmed, whatever the newest one showed.
            PublishError::Away(why) if envelope.headers.again => unconfirmed(why.to_string()),
            PublishError::Blocked(why) if envelope.headers.again => unconfirmed(why),
            PublishError::Lost(why) => unconfirmed(why.to_string()),
            PublishError::Away(why) => Self::Away { id, why, waited },
            PublishError::Blocked(why) => Self::Blocked { id, why, waited },
        }
    }

    /// Whether the same message can be accepted later: the broker's fault, not the message's.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Away { .. } | Self::Blocked { .. } | Self::Unconfirmed { .. }
        )
    }

    /// Whether the message may be queued all the same. Send it again with the same id: the fleet makes one of the two.
    #[must_use]
    pub fn may_be_queued(&self) -> bool {
        matches!(self, Self::Unconfirmed { .. })
    }

    /// The message's id, where it got as far as having one.
    #[must_use]
    pub fn id(&self) -> Option<&MessageId> {
        match self {
            Self::Invalid(_) | Self::UnknownAccount(_) => None,
            Self::TooLarge { id, .. }
            | Self::Away { id, .. }
            | Self::Blocked { id, .. }
            | Self::Unconfirmed { id, .. }
            | Self::Refused { id, .. } => Some(id),
        }
    }
}
