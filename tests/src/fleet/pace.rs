use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use jiff::Timestamp;
use tidings_model::{Outcome, Verdicted};
use tidings_sandbox::{Limit, Provider, Rate};

use super::{Book, Fleet, On};
use crate::Lag;

/// What the enforcing limiter lets pass: it counts from arrival to arrival, so that a call which a busy machine delays
/// makes the next ones look early. How much it really delayed is measured, and the windows are counted with that and no more.
pub const TOLERANCE: Duration = Duration::from_millis(250);

/// How long a lane may take to move in order.
pub const IN_ORDER: Duration = Duration::from_secs(1);

/// How long a killed worker's lanes may take to move: on the embedded broker, its lease.
pub fn after_a_kill(on: On) -> Duration {
    Duration::from_secs(if on == On::Embedded { 10 } else { 5 })
}

/// How long the lanes of one that is frozen may take to move.
pub fn after_a_freeze(on: On) -> Duration {
    Duration::from_secs(if on == On::Embedded { 10 } else { 25 })
}

const WINDOWS: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(20),
    Duration::from_secs(60),
];

/// A time in which a lane should make full use of its limit: what it is called, and from when to when, in milliseconds
/// since 1970.
pub type Watched = (&'static str, (i64, i64));

/// A lane under a limit.
#[derive(Debug, Clone, Copy)]
pub struct Limited {
    /// The one account of its provider.
    pub account: &'static str,
    /// Where its calls arrive.
    pub provider: Provider,
    /// How many a second.
    pub per_second: u32,
    /// How many at once.
    pub burst: u32,
}

impl Limited {
    /// The limit as the account's configuration has it.
    pub fn settings(&self) -> String {
        format!("rate = \"{}/s\"\nburst = {}\n", self.per_second, self.burst)
    }

    /// The limit as the provider enforces it.
    pub fn enforced(&self) -> Limit {
        Limit::of(Rate::new(self.per_second, Duration::from_secs(1)))
            .burst(self.burst)
            .on(self.provider)
            .tolerance(TOLERANCE)
    }

    /// When its messages arrived, in milliseconds since 1970 and in order.
    ///
    /// # Panics
    /// Where the book is of another age.
    pub fn arrivals(&self, book: &Book) -> Vec<i64> {
        let received = book.received.iter();
        let mine = received.filter(|received| received.provider == self.provider);
        let mut at: Vec<i64> = mine
            .map(|received| i64::try_from(received.at_ms).expect("a time"))
            .collect();
        at.sort_unstable();
        at
    }

    /// Checks that no window of 100 ms to a minute had more calls than the limit allows, but for what kept those calls on
    /// their way, and returns what is to be said where less than 97 % of the allowed rate was used while it was watched.
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
            .filter(|received| received.provider == self.provider)
            .map(|received| {
                let at = i64::try_from(received.at_ms).expect("a time");
                // Of one whose worker was killed nobody knows when it began.
                let way = ways.get(received.id.as_str()).copied();
                let way = way.unwrap_or(TOLERANCE);
                // A call can be held up before it is made, and on its way; the book counts in milliseconds.
                let since = at - i64::try_from(way.as_millis()).expect("a time") - 1;
                (
                    at,
                    way + lag.worst_within((since, at)) + Duration::from_millis(1),
                )
            })
            .collect();
        calls.sort_unstable();
        let rate = f64::from(self.per_second);
        for window in WINDOWS {
            for (calls, slack) in windows(&calls, window) {
                let allowed = rate * (window + slack).as_secs_f64() + f64::from(self.burst);
                assert!(
                    calls as f64 <= allowed,
                    "{}: {calls} in {window:?}, of which none was held up for longer than {slack:?}",
                    self.account
                );
            }
        }
        for (when, span) in watched {
            let used: Vec<i64> = calls
                .iter()
                .map(|(at, _)| *at)
                .filter(|at| (span.0..span.1).contains(at))
                .collect();
            let length = Duration::from_millis((span.1 - span.0).unsigned_abs())
                .saturating_sub(lag.lost(*span));
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

/// Every window of this length that ends with a call: how many calls it has, and for how long one of them was held up at
/// the most.
fn windows(calls: &[(i64, Duration)], window: Duration) -> impl Iterator<Item = (usize, Duration)> {
    let window = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
    let mut first = 0;
    // Those of the window that were held up for longer than all after them.
    let mut slowest: VecDeque<usize> = VecDeque::new();
    calls.iter().enumerate().map(move |(last, (at, held_up))| {
        while calls[first].0 <= at - window {
            first += 1;
        }
        while slowest
            .back()
            .is_some_and(|call| calls[*call].1 <= *held_up)
        {
            slowest.pop_back();
        }
        slowest.push_back(last);
        while slowest.front().is_some_and(|call| *call < first) {
            slowest.pop_front();
        }
        let slack = slowest.front().map_or(*held_up, |call| calls[*call].1);
        (last + 1 - first, slack)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_forgives_what_its_own_calls_lost() {
        let calls = [(0, 5), (50, 1), (99, 2), (100, 0), (300, 0)]
            .map(|(at, held_up)| (at, Duration::from_millis(held_up)));
        let windows: Vec<_> = windows(&calls, Duration::from_millis(100))
            .map(|(calls, slack)| (calls, slack.as_millis()))
            .collect();
        assert_eq!(windows, [(1, 5), (2, 5), (3, 5), (3, 2), (1, 0)]);
    }
}
