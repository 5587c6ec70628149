//! What goes wrong, for whom and how often: the faults file and its builders, and the counting that makes them happen.

mod config;
mod dice;
mod failure;
mod latency;
mod limit;
mod on;
mod span;
mod when;

pub use config::{Faults, FaultsError};
pub use failure::{Fault, Garbage};
pub use latency::Latency;
pub use limit::{Limit, Per, Rate};
pub use on::On;

pub(crate) use failure::{Failure, Recorded, Status};
pub(crate) use limit::Limits;
pub(crate) use on::Caller;

use std::time::Duration;

use dice::dice;

/// The faults in force, and how often each rule has been asked.
#[derive(Debug)]
pub(crate) struct Mischief {
    pub(crate) faults: Faults,
    strikes: Vec<Strikes>,
    delays: Vec<u64>,
}

/// The calls one fault has matched and struck.
#[derive(Clone, Copy, Debug, Default)]
struct Strikes {
    matched: u64,
    struck: u64,
}

impl Mischief {
    pub(crate) fn new(faults: Faults) -> Self {
        let strikes = vec![Strikes::default(); faults.faults.len()];
        let delays = vec![0; faults.latency.len()];
        Self {
            faults,
            strikes,
            delays,
        }
    }

    /// The first fault that strikes this call; those after it do not see the call.
    pub(crate) fn strike(&mut self, caller: &Caller<'_>) -> Option<Fault> {
        for (index, (fault, strikes)) in
            self.faults.faults.iter().zip(&mut self.strikes).enumerate()
        {
            if !fault.on.matches(caller) {
                continue;
            }
            strikes.matched += 1;
            let chance = dice(self.faults.seed, index, strikes.matched);
            if fault.when.strikes(strikes.matched, strikes.struck, chance) {
                strikes.struck += 1;
                return Some(fault.clone());
            }
        }
        None
    }

    /// How long the answer to this call takes: by the first latency that matches.
    pub(crate) fn latency(&mut self, caller: &Caller<'_>) -> Duration {
        for (index, (latency, asked)) in
            self.faults.latency.iter().zip(&mut self.delays).enumerate()
        {
            if latency.on.matches(caller) {
                *asked += 1;
                return latency.at(dice(!self.faults.seed, index, *asked));
            }
        }
        Duration::ZERO
    }

    /// How often each fault has struck, in the order of the faults.
    pub(crate) fn struck(&self) -> Vec<u64> {
        self.strikes.iter().map(|strikes| strikes.struck).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Operation, Provider};

    const CALLER: Caller<'_> = Caller {
        provider: Provider::GroupMe,
        operation: Operation::Send,
        token: "ops",
        fingerprint: "o…1",
        destination: "42",
    };

    fn struck(faults: Faults, calls: usize) -> Vec<usize> {
        let mut mischief = Mischief::new(faults);
        (1..=calls)
            .filter(|_| mischief.strike(&CALLER).is_some())
            .collect()
    }

    #[test]
    fn the_first_fault_that_strikes_wins_and_the_next_does_not_count_the_call() {
        let faults = Faults::none()
            .fault(Fault::status(500).first(2))
            .fault(Fault::status(503).first(1));
        let mut mischief = Mischief::new(faults);
        let codes: Vec<_> = (0..4)
            .map(
                |_| match mischief.strike(&CALLER).map(|fault| fault.failure) {
                    Some(Failure::Status(status)) => status.code,
                    _ => 0,
                },
            )
            .collect();
        assert_eq!(codes, [500, 500, 503, 0]);
    }

    #[test]
    fn every_first_after_and_times_combine() {
        assert_eq!(
            struck(Faults::none().fault(Fault::reset().every(3)), 9),
            [3, 6, 9]
        );
        assert_eq!(
            struck(Faults::none().fault(Fault::reset().every(3).times(2)), 20),
            [3, 6]
        );
        assert_eq!(
            struck(Faults::none().fault(Fault::reset().after(2).first(2)), 9),
            [3, 4]
        );
    }

    #[test]
    fn a_seed_decides_which_calls_a_probability_strikes() {
        let faults = |seed| {
            Faults::none()
                .seed(seed)
                .fault(Fault::reset().probability(0.25))
        };
        assert_eq!(struck(faults(1), 1000), struck(faults(1), 1000));
        assert_ne!(struck(faults(1), 1000), struck(faults(2), 1000));
        let of_1000 = struck(faults(1), 1000).len();
        assert!(
            (180..320).contains(&of_1000),
            "{of_1000} of 1000 at a quarter"
        );
    }
}
