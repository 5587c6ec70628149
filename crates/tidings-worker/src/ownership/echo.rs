use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// One's own announcements, coming back: who hears those hears the others too.
///
/// What counts is when the echo was *said*: a process that was frozen finds old ones in its socket.
#[derive(Debug)]
pub(super) struct Echo {
    deaf_after: Duration,
    /// What was said and may still come back.
    awaited: VecDeque<(u64, Instant)>,
    /// When the newest that came back was said.
    newest: Option<Instant>,
    /// When the newest spell of hearing began.
    hearing_since: Option<Instant>,
}

impl Echo {
    pub(super) fn new(deaf_after: Duration) -> Self {
        Self {
            deaf_after,
            awaited: VecDeque::new(),
            newest: None,
            hearing_since: None,
        }
    }

    pub(super) fn said(&mut self, sequence: u64, now: Instant) {
        // One that comes back later than this proves nothing.
        let deaf_after = self.deaf_after;
        self.awaited
            .retain(|(_, said)| now.saturating_duration_since(*said) <= deaf_after);
        self.awaited.push_back((sequence, now));
    }

    pub(super) fn heard(&mut self, sequence: u64, now: Instant) {
        let Some(place) = self.awaited.iter().position(|(said, _)| *said == sequence) else {
            return;
        };
        let was_deaf = !self.hears(now);
        self.newest = self.awaited.drain(..=place).next_back().map(|(_, said)| said);
        if was_deaf {
            self.hearing_since = Some(now);
        }
    }

    pub(super) fn hears(&self, now: Instant) -> bool {
        self.newest
            .is_some_and(|said| now.saturating_duration_since(said) <= self.deaf_after)
    }

    /// For how long it has heard without a break.
    pub(super) fn heard_for(&self, now: Instant) -> Duration {
        match self.hearing_since {
            Some(since) if self.hears(now) => now.saturating_duration_since(since),
            _ => Duration::ZERO,
        }
    }
}
