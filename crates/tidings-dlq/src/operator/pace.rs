use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidings_model::Rate;
use tokio::time::{Instant, sleep_until};

/// How carefully a replay goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pace {
    /// How many messages go out in a time; the lanes have limits of their own.
    pub rate: Option<Rate>,
    /// How many go first: the others follow once all of these were delivered.
    pub canary: Option<usize>,
    /// After how many that could not be sent, or died again, it stops.
    pub stop_after_failures: Option<u64>,
}

/// As many letters as are in hand at once: what a crash leaves to be looked up.
const IN_HAND: usize = 100;
/// Letters in hand are to be sent within this time.
const HAND: Duration = Duration::from_secs(1);
/// As many may be waiting for their outcome where failures are counted, or so many as failures are borne.
const UNSEEN: usize = 10;

impl Pace {
    /// Whether outcomes matter.
    pub(super) fn watches(&self) -> bool {
        self.canary.is_some() || self.stop_after_failures.is_some()
    }

    /// How many letters may be taken in hand when so many were sent, and so many of these have ended; 0 where
    /// outcomes have to be waited for.
    pub(super) fn room(&self, sent: usize, ended: usize, canary_passed: bool) -> usize {
        let canary = match self.canary {
            Some(canary) if !canary_passed => canary.saturating_sub(sent),
            _ => usize::MAX,
        };
        let unseen = self.stop_after_failures.map_or(usize::MAX, |failures| {
            let most = usize::try_from(failures).unwrap_or(usize::MAX).max(UNSEEN);
            most.saturating_sub(sent.saturating_sub(ended))
        });
        self.in_hand().min(canary).min(unseen)
    }

    fn in_hand(&self) -> usize {
        let Some(interval) = self.rate.and_then(Rate::interval) else {
            return IN_HAND;
        };
        let fitting = HAND.as_nanos() / interval.as_nanos().max(1);
        usize::try_from(fitting)
            .unwrap_or(IN_HAND)
            .clamp(1, IN_HAND)
    }
}

/// Holds messages back to a rate.
#[derive(Debug)]
pub(super) struct Clock {
    interval: Duration,
    next: Instant,
}

impl Clock {
    pub(super) fn new(rate: Option<Rate>) -> Self {
        Self {
            interval: rate.and_then(Rate::interval).unwrap_or_default(),
            next: Instant::now(),
        }
    }

    /// Waits until the next message may go.
    pub(super) async fn tick(&self) {
        if self.next > Instant::now() {
            sleep_until(self.next).await;
        }
    }

    /// One goes.
    pub(super) fn went(&mut self) {
        self.next = self.next.max(Instant::now()) + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canary_goes_alone_until_it_passed() {
        let pace = Pace {
            canary: Some(5),
            ..Pace::default()
        };
        assert_eq!(pace.room(0, 0, false), 5);
        assert_eq!(pace.room(3, 0, false), 2);
        assert_eq!(pace.room(5, 4, false), 0);
        assert_eq!(pace.room(5, 5, true), IN_HAND);
    }

    #[test]
    fn where_failures_are_counted_few_run_ahead_of_their_outcomes() {
        let pace = Pace {
            stop_after_failures: Some(30),
            ..Pace::default()
        };
        assert_eq!(pace.room(0, 0, true), 30);
        assert_eq!(pace.room(90, 60, true), 0);
        assert_eq!(pace.room(90, 70, true), 10);
    }

    #[test]
    fn a_slow_rate_has_few_in_hand() {
        for (rate, expected) in [
            ("1/m", 1),
            ("20/s", 20),
            ("5000/s", IN_HAND),
            ("unlimited", IN_HAND),
        ] {
            let pace = Pace {
                rate: Some(rate.parse().unwrap()),
                ..Pace::default()
            };
            assert_eq!(pace.room(0, 0, true), expected, "{rate}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn messages_keep_to_the_rate() {
        let began = Instant::now();
        let mut clock = Clock::new(Some("10/s".parse().unwrap()));
        for _ in 0..11 {
            clock.tick().await;
            clock.went();
        }
        assert_eq!(began.elapsed(), Duration::from_secs(1));
    }
}
