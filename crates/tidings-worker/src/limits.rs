//! The limits of a lane: its account's, and each destination's. GCRA, on a clock that is passed in.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use tidings_model::Rate;
use tokio::time::Instant;

/// Timers fire up to a millisecond late. This much lateness is not lost to the rate: the next permit is counted from
/// when this one was due. More would bunch calls after a stall.
const SLACK: Duration = Duration::from_millis(2);

/// The clock that the limiters read: wherever it was set last.
#[derive(Debug, Clone, Default)]
struct Hands(Arc<AtomicU64>);

impl Hands {
    fn set(&self, since_start: Duration) {
        self.0.store(
            u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }
}

impl Clock for Hands {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.0.load(Ordering::Relaxed))
    }
}

/// The account's limit in one tenure. It starts with an empty bucket: a handover never adds a burst.
#[derive(Debug)]
pub(crate) struct AccountLimit {
    start: Instant,
    hands: Hands,
    limiter: Option<RateLimiter<NotKeyed, InMemoryState, Hands, NoOpMiddleware<Nanos>>>,
    /// When the last refused permit can be had.
    next: Mutex<Option<Instant>>,
}

impl AccountLimit {
    pub(crate) fn new(rate: &Rate, burst: NonZeroU32, start: Instant) -> Self {
        let hands = Hands::default();
        let limiter = quota(rate, burst).map(|quota| {
            let limiter = RateLimiter::direct_with_clock(quota, hands.clone());
            let _ = limiter.check_n(burst);
            limiter
        });
        Self {
            start,
            hands,
            limiter,
            next: Mutex::new(None),
        }
    }

    /// Takes a permit, or says when one can be taken.
    pub(crate) fn take(&self, now: Instant) -> Result<(), Instant> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let counted_from = match *next {
            Some(next) if now >= next => next.max(now.checked_sub(SLACK).unwrap_or(now)),
            _ => now,
        };
        self.hands
            .set(counted_from.saturating_duration_since(self.start));
        match limiter.check() {
            Ok(()) => {
                *next = None;
                Ok(())
            }
            Err(not_until) => {
                let at = self.start
                    + not_until
                        .earliest_possible()
                        .duration_since(Nanos::new(0))
                        .into();
                *next = Some(at);
                Err(at)
            }
        }
    }

    /// Waits for a permit.
    pub(crate) async fn permit(&self) {
        while let Err(at) = self.take(Instant::now()) {
            tokio::time::sleep_until(at).await;
        }
    }
}

/// The limits of the destinations of one tenure. A destination that was not seen yet starts empty too.
///
/// Without bursts a limit is the time of the next permit. Asking for it takes nothing: a call takes its destination's
/// permit and its account's in the same moment, or the wait for one would bring it closer to the next of the other.
#[derive(Debug)]
pub(crate) struct DestinationLimits {
    hasher: RandomState,
    interval: Option<Duration>,
    /// When a destination that is not in `next` has its first permit.
    first: Instant,
    next: HashMap<u64, Instant>,
    /// When the next message that is sent away to wait may come back, by destination.
    waiting: HashMap<u64, Instant>,
    /// With how many destinations the next look for those to forget is worth its time.
    look_at: usize,
}

/// When each of the messages that wait for their destinations can go: those of one destination behind each other.
#[derive(Debug, Default)]
pub(crate) struct Line(HashMap<u64, Instant>);

impl DestinationLimits {
    /// How many destinations are remembered before those that are long refilled are forgotten.
    const KEPT: usize = 10_000;

    pub(crate) fn new(rate: &Rate, start: Instant) -> Self {
        let interval = rate.interval();
        let (next, waiting) = Default::default();
        Self {
            hasher: RandomState::new(),
            interval,
            first: start + interval.unwrap_or_default(),
            next,
            waiting,
            look_at: Self::KEPT,
        }
    }

    /// When a destination has its next permit; a time that has passed means now.
    pub(crate) fn next(&self, destination: &str) -> Instant {
        if self.interval.is_none() {
            return self.first;
        }
        let next = self.next.get(&self.hasher.hash_one(destination));
        next.copied().unwrap_or(self.first)
    }

    /// Takes a permit that can be had now.
    pub(crate) fn take(&mut self, destination: &str, now: Instant) {
        let Some(interval) = self.interval else {
            return;
        };
        let key = self.hasher.hash_one(destination);
        self.next.insert(key, now + interval);
        if self.next.len() > self.look_at {
            self.next.retain(|_, at| *at > now);
            self.waiting.retain(|_, at| *at > now);
            self.look_at = Self::KEPT.max(2 * self.next.len());
        }
    }

    /// Puts a message in line, where its destination has its next permit then; returns when the message can go.
    pub(crate) fn queue_up(&self, line: &mut Line, destination: &str, next: Instant) -> Instant {
        let Some(interval) = self.interval else {
            return next;
        };
        let place = line.0.entry(self.hasher.hash_one(destination));
        let at = place.and_modify(|last| *last += interval).or_insert(next);
        *at
    }

    /// When a message of this destination that is sent away to wait should come back: each a permit later than the
    /// one before it, so that they do not all come at once and are sent away again.
    pub(crate) fn come_back(&mut self, destination: &str, earliest: Instant) -> Instant {
        let Some(interval) = self.interval else {
            return earliest;
        };
        let next = self
            .waiting
            .entry(self.hasher.hash_one(destination))
            .or_insert(earliest);
        let at = (*next).max(earliest);
        *next = at + interval;
        at
    }
}

fn quota(rate: &Rate, burst: NonZeroU32) -> Option<Quota> {
    rate.interval()
        .and_then(Quota::with_period)
        .map(|quota| quota.allow_burst(burst))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    fn burst(size: u32) -> NonZeroU32 {
        NonZeroU32::new(size).unwrap()
    }

    /// Takes every permit that can be had until `end`, waking up `late` after each wait.
    fn taken(limit: &AccountLimit, start: Instant, end: Duration, late: Duration) -> Vec<Duration> {
        let mut now = start;
        let mut taken = Vec::new();
        while now.duration_since(start) < end {
            match limit.take(now) {
                Ok(()) => taken.push(now.duration_since(start)),
                Err(at) => now = at + late,
            }
        }
        taken
    }

    #[test]
    fn a_tenure_starts_with_an_empty_bucket() {
        let start = Instant::now();
        let limit = AccountLimit::new(&rate("5/s"), burst(3), start);
        let taken = taken(&limit, start, Duration::from_secs(2), Duration::ZERO);
        assert_eq!(taken.first(), Some(&Duration::from_millis(200)));
        assert_eq!(taken.len(), 9);
    }

    #[test]
    fn a_quiet_time_saves_up_one_burst_and_no_more() {
        let start = Instant::now();
        let limit = AccountLimit::new(&rate("5/s"), burst(3), start);
        let later = start + Duration::from_secs(60);
        let at_once = (0..10).take_while(|_| limit.take(later).is_ok()).count();
        assert_eq!(at_once, 3);
    }

    #[test]
    fn late_timers_do_not_cost_rate_and_stalls_do_not_bunch() {
        let start = Instant::now();
        let limit = AccountLimit::new(&rate("500/s"), burst(1), start);
        let count = taken(
            &limit,
            start,
            Duration::from_secs(10),
            Duration::from_micros(1500),
        )
        .len();
        assert!(count >= 4850, "{count}");
        let limit = AccountLimit::new(&rate("500/s"), burst(1), start);
        assert!(limit.take(start).is_err());
        let stalled = start + Duration::from_secs(1);
        let at_once = (0..10).take_while(|_| limit.take(stalled).is_ok()).count();
        assert!(at_once <= 2, "{at_once}");
    }

    #[test]
    fn each_destination_has_its_own_limit_and_starts_empty() {
        let start = Instant::now();
        let mut limits = DestinationLimits::new(&rate("1/2s"), start);
        let second = |s| start + Duration::from_secs(s);
        assert_eq!(limits.next("a"), second(2));
        limits.take("a", second(3));
        assert_eq!((limits.next("a"), limits.next("b")), (second(5), second(2)));
    }

    #[test]
    fn asking_takes_nothing_and_refilled_destinations_are_forgotten() {
        let start = Instant::now();
        let mut limits = DestinationLimits::new(&rate("1/s"), start);
        let second = |s| start + Duration::from_secs(s);
        for n in 0..DestinationLimits::KEPT {
            limits.take(&n.to_string(), second(1));
        }
        limits.take("later", second(3));
        assert_eq!(limits.next.len(), 1);
        assert_eq!(
            (limits.next("later"), limits.next("0")),
            (second(4), second(1))
        );
    }

    #[test]
    fn those_sent_away_come_back_one_permit_apart() {
        let start = Instant::now();
        let mut limits = DestinationLimits::new(&rate("1/2s"), start);
        let back: Vec<_> = (0..3)
            .map(|_| limits.come_back("a", start).duration_since(start).as_secs())
            .collect();
        assert_eq!(back, [0, 2, 4]);
    }

    #[test]
    fn unlimited_is_unlimited() {
        let now = Instant::now();
        let limit = AccountLimit::new(&rate("unlimited"), burst(1), now);
        assert!((0..1000).all(|_| limit.take(now).is_ok()));
        let mut limits = DestinationLimits::new(&rate("unlimited"), now);
        limits.take("a", now);
        assert!(limits.next("a") <= now);
    }

    #[test]
    fn messages_of_one_destination_wait_behind_each_other_and_for_no_other() {
        let start = Instant::now();
        let limits = DestinationLimits::new(&rate("1/2s"), start);
        let mut line = Line::default();
        let next = start + Duration::from_secs(1);
        let waits = ["a", "a", "b", "a"].map(|destination| {
            let at = limits.queue_up(&mut line, destination, next);
            at.duration_since(start).as_secs()
        });
        assert_eq!(waits, [1, 3, 1, 5]);
    }
}
