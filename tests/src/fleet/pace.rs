use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use tidings_model::{Outcome, Verdicted};
use tidings_sandbox::{Limit, Per, Provider, Rate, Received};

use super::{Book, Fleet, On};
use crate::Lag;

/// What the enforcing limiter lets pass: it counts from arrival to arrival, so that a call which a busy machine delays
/// makes the next ones look early. How much it really delayed is measured, and the windows are counted with that and no more.
pub const TOLERANCE: Duration = Duration::from_millis(250);

/// How long a lane may take to move in order.
pub const IN_ORDER: Duration = Duration::from_secs(1);

/// How long a killed worker's lanes may take to move.
pub const AFTER_A_KILL: Duration = Duration::from_secs(5);

/// How long the lanes of one that is frozen may take to move: on the embedded broker, its lease.
pub fn after_a_freeze(on: On) -> Duration {
    Duration::from_secs(if on == On::Embedded { 10 } else { 25 })
}

/// How long before a call the machine's lag may have held it up.
const BEFORE: Duration = Duration::from_millis(500);

/// A time in which a lane should make full use of its limit: what it is called, and from when to when, in milliseconds
/// since 1970.
pub type Watched = (&'static str, (i64, i64));

/// A lane under a limit, or one of its destinations.
#[derive(Debug, Clone, Copy)]
pub struct Limited {
    /// The one account of its provider.
    pub account: &'static str,
    /// Where its calls arrive.
    pub provider: Provider,
    /// The destination that the limit is for; without one it is for all together.
    pub destination: Option<&'static str>,
    /// How many a second.
    pub per_second: u32,
    /// How many at once.
    pub burst: u32,
}

impl Limited {
    /// The limit as the account's configuration has it. A destination's burst is always 1.
    pub fn settings(&self) -> String {
        match self.destination {
            None => format!("rate = \"{}/s\"\nburst = {}\n", self.per_second, self.burst),
            Some(_) => format!("destination_rate = \"{}/s\"\n", self.per_second),
        }
    }

    /// The limit as the provider enforces it.
    pub fn enforced(&self) -> Limit {
        let limit = Limit::of(Rate::new(self.per_second, Duration::from_secs(1)))
            .burst(self.burst)
            .on(self.provider)
            .tolerance(TOLERANCE);
        match self.destination {
            None => limit,
            Some(_) => limit.per(Per::Destination),
        }
    }

    fn counts(&self, call: &Received) -> bool {
        call.provider == self.provider
            && self
                .destination
                .is_none_or(|destination| call.destination == destination)
    }

    /// When its messages arrived, in milliseconds since 1970 and in order.
    ///
    /// # Panics
    /// Where the book is of another age.
    pub fn arrivals(&self, book: &Book) -> Vec<i64> {
        let received = book.received.iter();
        let mine = received.filter(|received| self.counts(received));
        let mut at: Vec<i64> = mine
            .map(|received| i64::try_from(received.at_ms).expect("a time"))
            .collect();
        at.sort_unstable();
        at
    }

    /// Checks that no window, however short or long, had more calls than the limit allows, but for what kept its first call on
    /// its way, and returns what is to be said where less than 97 % of the allowed rate was used while it was watched.
    ///
    /// # Errors
    /// Where the rate was not used.
    ///
    /// # Panics
    /// Where the limit did not hold.
    pub fn is_kept_and_used(
        &self,
        fleet: &Fleet,
        book: &Book,
        lag: &Lag,
        watched: &[Watched],
    ) -> Result<(), String> {
        let ways = ways(fleet, book);
        let mut calls: Vec<(i64, Duration)> = book
            .received
            .iter()
            .filter(|received| self.counts(received))
            .map(|received| {
                let at = i64::try_from(received.at_ms).expect("a time");
                // Of one whose worker was killed nobody knows when it began.
                let way = ways.get(received.id.as_str()).copied();
                let way = way.unwrap_or(TOLERANCE);
                // A call can be held up before it is made, too, by a machine that is busy then.
                let since = at - millis(way) - millis(BEFORE);
                (at, way + lag.worst_within((since, at)) + lag.unseen())
            })
            .collect();
        calls.sort_unstable();
        let rate = f64::from(self.per_second);
        let worst = fullest(&calls, rate);
        assert!(
            worst.used <= f64::from(self.burst),
            "{}: {worst:?}",
            self.account
        );
        for (when, span) in watched {
            let used: Vec<i64> = calls
                .iter()
                .map(|(at, _)| *at)
                .filter(|at| (span.0..span.1).contains(at))
                .collect();
            let length = Duration::from_millis((span.1 - span.0).unsigned_abs());
            // A machine that lost more than that shows nothing.
            let lost = lag.lost(*span).max(lag.stood_still(*span));
            let length = length - lost.min(length / 5);
            // At either end one call can fall outside.
            let due = 0.97 * rate * length.as_secs_f64() - 1.0;
            if (used.len() as f64) < due {
                return Err(format!(
                    "{}, {when}: {} of {due:.0} calls in {length:?} from {:?}, in milliseconds {:?}; {:#?}",
                    self.account,
                    used.len(),
                    Timestamp::from_millisecond(span.0),
                    used.iter().map(|at| at - span.0).collect::<Vec<_>>(),
                    self.tenures(fleet),
                ));
            }
        }
        Ok(())
    }

    /// Who had the lane, and when.
    fn tenures(&self, fleet: &Fleet) -> Vec<String> {
        let mut tenures = fleet.ledger.tenures();
        tenures.retain(|tenure| tenure.contains(self.account));
        tenures
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).expect("a short time")
}

/// How long each message that was delivered was on its way, from the start of its attempt, by the provider's id.
fn ways(fleet: &Fleet, book: &Book) -> BTreeMap<String, Duration> {
    let arrived: BTreeMap<&str, i64> = book
        .received
        .iter()
        .map(|call| (call.id.as_str(), i64::try_from(call.at_ms).expect("a time")))
        .collect();
    let ways = fleet.ledger.decisions().into_iter().filter_map(|decision| {
        let Verdicted::Ended {
            outcome:
                Outcome::Delivered {
                    provider_message_id: Some(id),
                    ..
                },
            ..
        } = decision.verdicted
        else {
            return None;
        };
        let arrived = arrived.get(id.as_str())?;
        let started = decision.attempt?.at.as_millisecond();
        let way = u64::try_from(arrived - started).ok()?;
        Some((id, Duration::from_millis(way)))
    });
    ways.collect()
}

/// The window that used most of what a limit allows at once.
#[derive(Debug, PartialEq)]
struct Window {
    /// How many calls, beyond those that the rate gave in its time.
    used: f64,
    calls: usize,
    /// In milliseconds since 1970.
    from: i64,
    to: i64,
}

/// Of all windows, from each call to each later one. A window looks shorter than it was by what held up its first call; what
/// held up another only makes it longer.
fn fullest(calls: &[(i64, Duration)], rate: f64) -> Window {
    let given = |milliseconds: i64| rate * milliseconds as f64 / 1_000.0;
    let start = calls.first().map_or(0, |(at, _)| *at);
    let mut first = (f64::INFINITY, 0);
    let mut worst = Window {
        used: 0.0,
        calls: 0,
        from: start,
        to: start,
    };
    for (index, (at, held_up)) in calls.iter().enumerate() {
        let behind = index as f64 - given(at - start);
        let as_first = behind + rate * held_up.as_secs_f64();
        if as_first < first.0 {
            first = (as_first, index);
        }
        let used = behind + 1.0 - first.0;
        if used > worst.used {
            worst = Window {
                used,
                calls: index + 1 - first.1,
                from: calls[first.1].0,
                to: *at,
            };
        }
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(at: impl IntoIterator<Item = i64>, held_up: u64) -> Vec<(i64, Duration)> {
        at.into_iter()
            .map(|at| (at, Duration::from_millis(held_up)))
            .collect()
    }

    #[test]
    fn the_fullest_window_is_found_wherever_it_is_and_however_long() {
        // Ten a second, and a burst of three at the second call.
        let steady = (0..50).map(|n| 100 * n);
        let burst = [100, 100];
        let mut all = calls(steady.chain(burst), 0);
        all.sort_unstable();
        let worst = fullest(&all, 10.0);
        assert_eq!((worst.used, worst.to), (3.0, 100));
        // Ten a second for two seconds, and then eleven a second for ten.
        let slow = (0..20).map(|n| 100 * n);
        let fast = (0..110).map(|n| 2_000 + n * 1_000 / 11);
        let worst = fullest(&calls(slow.chain(fast), 0), 10.0);
        assert!((10.5..11.5).contains(&worst.used), "{worst:?}");
        assert!(worst.calls > 100, "{worst:?}");
    }

    #[test]
    fn a_window_forgives_what_held_up_its_first_call_and_nothing_else() {
        let two = |first: u64, second: u64| {
            let calls = [(0, first), (60, second)];
            fullest(
                &calls.map(|(at, held_up)| (at, Duration::from_millis(held_up))),
                10.0,
            )
            .used
        };
        assert!(two(0, 0) > 1.3);
        assert!(two(40, 0) < 1.01);
        assert!(two(0, 40) > 1.3);
    }
}
