//! Errors in the port's words, for one broker.

use std::fmt;

use lapin::{Error, ErrorKind, types::ShortString};

use crate::BrokerError;

/// Where the broker is, without a password.
#[derive(Debug, Clone)]
pub(super) struct Place(String);

/// The broker's reply codes that mean something to us.
pub(super) mod code {
    pub(in super::super) const ACCESS_REFUSED: u16 = 403;
    pub(in super::super) const NOT_FOUND: u16 = 404;
    pub(super) const CONNECTION_FORCED: u16 = 320;
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Place {
    pub(super) fn new(place: String) -> Self {
        Self(place)
    }

    pub(super) fn away(&self, why: impl fmt::Display) -> BrokerError {
        BrokerError::Away {
            broker: self.0.clone(),
            why: why.to_string(),
        }
    }

    pub(super) fn refused(&self, what: impl Into<String>, why: impl Into<String>) -> BrokerError {
        BrokerError::Refused {
            broker: self.0.clone(),
            what: what.into(),
            why: why.into(),
        }
    }

    pub(super) fn unsupported(&self, why: impl Into<String>) -> BrokerError {
        BrokerError::Unsupported {
            broker: self.0.clone(),
            why: why.into(),
        }
    }

    pub(super) fn missing(&self, what: impl Into<String>) -> BrokerError {
        BrokerError::Missing {
            broker: self.0.clone(),
            what: what.into(),
        }
    }

    /// What lapin said about something that was asked.
    pub(super) fn error(&self, what: &str, error: &Error) -> BrokerError {
        match reply(error) {
            None | Some((code::CONNECTION_FORCED, _)) => self.away(error),
            Some((_, words)) => self.refused(what, words),
        }
    }

    /// The same about a queue, which may be missing.
    pub(super) fn queue_error(&self, queue: &ShortString, error: &Error) -> BrokerError {
        match reply(error) {
            Some((code::NOT_FOUND, words)) if words.contains("no queue") => {
                self.missing(format!("queue {queue}"))
            }
            // It is declared, and not up yet: a node that starts says so of each queue in turn.
            Some((code::NOT_FOUND, words)) => self.away(words),
            _ => self.error(&format!("to read queue {queue}"), error),
        }
    }
}

/// The broker's reply code and words, where it was the broker that said no.
pub(super) fn reply(error: &Error) -> Option<(u16, String)> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some((error.get_id(), error.get_message().to_string())),
        _ => None,
    }
}
