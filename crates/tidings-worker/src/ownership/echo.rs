use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::DEAF;

/// One's own announcements, coming back: who hears those hears the others too.
///
/// What counts is when an echo was *said*: a process that was frozen finds old ones in its socket.
#[derive(Debug, Default)]
pub(super) struct Echo {
    /// What may still come back, with when it was said.
    awaited: VecDeque<(u64, Instant)>,
    /// When the newest that came back was said.
    newest: Option<Instant>,
    /// When the newest spell of hearing began.
    hearing_since: Option<Instant>,
}

/// What has not come back by then never does, or proves nothing.
const AWAITED: usize = 64;

impl Echo {
    pub(super) fn said(&mut self, sequence: u64, now: Instant) {
        if self.awaited.len() == AWAITED {
            self.awaited.pop_front();
        }
        self.awaited.push_back((sequence, now));
    }

    pub(super) fn heard(&mut self, sequence: u64, now: Instant) {
        let Some(place) = self.awaited.iter().position(|(said, _)| *said == sequence) else {
            return;
        };
        if !self.hears(now) {
            self.hearing_since = Some(now);
        }
        self.newest = self
            .awaited
            .drain(..=place)
            .next_back()
            .map(|(_, said)| said);
    }

    pub(super) fn hears(&self, now: Instant) -> bool {
        self.is_younger(DEAF, now)
    }

    /// Whether the newest echo was said less long ago.
    pub(super) fn is_younger(&self, age: Duration, now: Instant) -> bool {
        self.newest
            .is_some_and(|said| now.saturating_duration_since(said) <= age)
    }

    /// For how long it has heard without a break.
    pub(super) fn heard_for(&self, now: Instant) -> Duration {
        match self.hearing_since {
            Some(since) if self.hears(now) => now.saturating_duration_since(since),
            _ => Duration::ZERO,
        }
    }
}
