use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::Invalid;
use crate::{Delay, Provider};

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

    pub(super) fn check(&self, provider: Provider, enqueued_at: Timestamp) -> Result<(), Invalid> {
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
