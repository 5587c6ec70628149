use tidings_model::{Account, MAX_BODY_BYTES};

/// Why the broker did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// Nobody answers, or the connection broke.
    #[error("the broker at {broker} cannot be reached: {why}")]
    Away {
        /// Where, without a password.
        broker: String,
        /// What the connection said.
        why: String,
    },
    /// It answered, and said no.
    #[error("the broker at {broker} refused {what}: {why}")]
    Refused {
        /// Where, without a password.
        broker: String,
        /// What was asked.
        what: String,
        /// The broker's words.
        why: String,
    },
    /// The broker is too old, or a file is not Tidings'.
    #[error("{broker} cannot be used: {why}")]
    Unsupported {
        /// Where, without a password.
        broker: String,
        /// What would be needed.
        why: String,
    },
    /// Something that Tidings needs is not there.
    #[error(
        "{what} is missing on {broker}: declare it with `tidings topology apply --config FILE`"
    )]
    Missing {
        /// Where, without a password.
        broker: String,
        /// Its name.
        what: String,
    },
}

/// Why a message was not accepted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PublishError {
    /// No lane serves the account.
    #[error(
        "account {0} has no lane: add it to the configuration and run `tidings topology apply --config FILE`"
    )]
    UnknownAccount(Account),
    /// The broker is not reachable: the message was not published.
    #[error("not published: {0}")]
    Away(BrokerError),
    /// The message was published, and the connection broke before the broker confirmed it: it may or may not be there.
    #[error("the broker's confirmation was lost: the message may or may not be queued ({0})")]
    Lost(BrokerError),
    /// The body is larger than [`MAX_BODY_BYTES`].
    #[error("the message is {0} bytes, at most {MAX_BODY_BYTES} are allowed")]
    TooLarge(usize),
    /// The broker takes no messages at the moment (a memory or disk alarm).
    #[error("the broker accepts no messages at the moment ({0}): try again when its alarm is over")]
    Blocked(String),
    /// The broker refused this message.
    #[error("the broker refused the message: {0}")]
    Refused(String),
}
