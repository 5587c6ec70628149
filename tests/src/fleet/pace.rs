use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use tidings_model::{Outcome, Verdicted};
use tidings_sandbox::{Limit, Provider, Rate};

use super::{Book, Fleet};
use crate::Lag;

/// What the enforcing limiter lets pass: it counts from arrival to arrival, so that a call which a busy machine delays
/// makes the next ones look early. How much it really delayed is measured, and the windows are counted with that and no more.
pub const TOLERANCE: Duration = Duration::from_millis(250);

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

    /// Checks that no window of 100 ms to a minute had more calls than the limit allows, but for what this machine
    /// explains, and that at least 97 % of the allowed rate was used while it was watched.
    ///
    /// # Panics
    /// Where that is not so.
    pub fn is_kept_and_used(&self, fleet: &Fleet, book: &Book, lag: &Lag, watched: &[Watched]) {
        // A call can be held up before it is made, and on its way; the book counts in milliseconds.
        let slack = lag.worst() + slowest_way(fleet, book) + Duration::from_millis(1);
        let at = self.arrivals(book);
        let rate = f64::from(self.per_second);
        for window in WINDOWS {
            let most = most_within(&at, window);
            let allowed = rate * (window + slack).as_secs_f64() + f64::from(self.burst);
            assert!(
                most as f64 <= allowed,
                "{}: {most} in {window:?}, with a lag of {slack:?}",
                self.account
            );
        }
        for (when, span) in watched {
            let within = |at: &&i64| (span.0..span.1).contains(*at);
            let used: Vec<i64> = at.iter().filter(within).copied().collect();
            let length = Duration::from_millis((span.1 - span.0).unsigned_abs())
                .saturating_sub(lag.lost(*span));
            // At either end one call can fall outside.
            let due = 0.97 * rate * length.as_secs_f64() - 1.0;
            assert!(
                used.len() as f64 >= due,
                "{}, {when}: {} of {due:.0} calls in {length:?} from {:?}, in milliseconds {:?}; {:#?}",
                self.account,
                used.len(),
                Timestamp::from_millisecond(span.0),
                used.iter().map(|at| at - span.0).collect::<Vec<_>>(),
                self.tenures(fleet),
            );
        }
    }

    /// Who had the lane, and when.
    fn tenures(&self, fleet: &Fleet) -> Vec<String> {
        let mut tenures = fleet.ledger.tenures();
        tenures.retain(|tenure| tenure.contains(self.account));
        tenures
    }
}

/// The longest time from the start of an attempt to its arrival, of those that were delivered.
fn slowest_way(fleet: &Fleet, book: &Book) -> Duration {
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
        u64::try_from(arrived - started).ok()
    });
    Duration::from_millis(ways.max().expect("some were delivered"))
}

/// The most calls in any window of this length.
fn most_within(at: &[i64], window: Duration) -> usize {
    let window = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
    let mut first = 0;
    let mut most = 0;
    for (last, now) in at.iter().enumerate() {
        while at[first] <= now - window {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}
