//! Whether a lane may start calls: its pauses, its probes, and the breaker.

use std::{collections::VecDeque, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tidings_model::{Paused, Verdict};

use crate::cause::Cause;

/// Where a lane's calls pass, or wait.
#[derive(Debug)]
pub(crate) struct Gate {
    state: State,
    /// Pauses in a row without a successful probe between them.
    streak: u32,
    recent: Recent,
    account_probe: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Open,
    Paused { until: Timestamp, cause: Cause },
    Probing { cause: Cause },
}

/// How many calls may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// As many as the limits allow.
    Any,
    /// One, as a probe, with no other under way.
    Probe,
    /// None before then.
    Wait(Timestamp),
    /// None until the probe's result is here.
    WaitForProbe,
}

/// What a call showed, as far as the gate cares.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Showed {
    pub(crate) verdict: Verdict,
    pub(crate) retry_after: Option<Duration>,
    /// The account's device is not connected: nothing of this account will pass for a while.
    pub(crate) account_down: bool,
    pub(crate) was_probe: bool,
}

/// The longest wait after a rate limit that came without `Retry-After`.
const LONGEST_OWN_WAIT: Duration = Duration::from_secs(300);

impl Gate {
    pub(crate) fn new(account_probe: Duration) -> Self {
        Self {
            state: State::Open,
            streak: 0,
            recent: Recent::default(),
            account_probe,
        }
    }

    /// Keeps to what the ledger tells of the lane's pause, which may be another owner's: to its end, to the probe that follows
    /// where nobody's has succeeded yet, and to the place that it has in its row.
    pub(crate) fn keep_to(&mut self, paused: Option<&Paused>, now: Timestamp) {
        let mine = self.paused().map(|(until, _)| until);
        match paused {
            Some(paused) => {
                self.streak = paused.streak;
                if mine.is_none_or(|until| until < paused.until) {
                    self.state = State::Paused {
                        until: paused.until,
                        cause: Cause::Inherited,
                    };
                }
            }
            // Another owner probed.
            None if mine.is_some_and(|until| until <= now) => self.open(),
            None => {}
        }
    }

    pub(crate) fn allowance(&self, now: Timestamp) -> Allowance {
        match self.state {
            State::Open => Allowance::Any,
            State::Paused { until, .. } if now < until => Allowance::Wait(until),
            State::Paused { .. } => Allowance::Probe,
            State::Probing { .. } => Allowance::WaitForProbe,
        }
    }

    /// The pause that is on, if one is.
    pub(crate) fn paused(&self) -> Option<(Timestamp, Cause)> {
        match self.state {
            State::Paused { until, cause } => Some((until, cause)),
            State::Open | State::Probing { .. } => None,
        }
    }

    /// Pauses in a row without a successful probe between them.
    pub(crate) fn streak(&self) -> u32 {
        self.streak
    }

    pub(crate) fn is_probing(&self) -> bool {
        matches!(self.state, State::Probing { .. })
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Notes that a call starts; says whether it is a probe.
    pub(crate) fn start(&mut self) -> bool {
        if let State::Paused { cause, .. } = self.state {
            self.state = State::Probing { cause };
        }
        self.is_probing()
    }

    /// The probe ended without showing anything (its message needed no call): the next one probes.
    pub(crate) fn probe_again(&mut self, now: Timestamp) {
        if let State::Probing { cause } = self.state {
            self.state = State::Paused { until: now, cause };
        }
    }

    /// Takes in what a call showed. Says whether it shows that the account works, and whatever pause began before is over.
    pub(crate) fn learn(&mut self, showed: Showed, now: Timestamp) -> bool {
        match showed.verdict {
            Verdict::Delivered | Verdict::Duplicate | Verdict::Rejected => {
                self.recent.push(true);
                if showed.was_probe {
                    self.open();
                }
                let works = self.is_open();
                // It is honoured wherever it appears.
                if showed.retry_after.is_some() {
                    self.pause(Cause::RateLimited, showed, now);
                }
                return works;
            }
            Verdict::RateLimited => self.pause(Cause::RateLimited, showed, now),
            Verdict::AccountProblem => self.pause(Cause::Account, showed, now),
            Verdict::NotSent | Verdict::Unknown => {
                self.recent.push(false);
                if showed.account_down {
                    self.pause(Cause::Account, showed, now);
                } else if showed.retry_after.is_some() {
                    self.pause(Cause::RateLimited, showed, now);
                } else if showed.was_probe || self.recent.is_failing() {
                    self.pause(Cause::Failing, showed, now);
                }
            }
        }
        false
    }

    fn open(&mut self) {
        self.state = State::Open;
        self.streak = 0;
        self.recent = Recent::default();
    }

    fn pause(&mut self, cause: Cause, showed: Showed, now: Timestamp) {
        // Calls that were under way when the pause began prolong it, but are no new failure of it.
        if !matches!(self.state, State::Paused { .. }) {
            self.streak = self.streak.saturating_add(1);
        }
        let doubled = Duration::from_secs(1 << (self.streak.max(1) - 1).min(20));
        let wait = match (cause, showed.retry_after) {
            (_, Some(wait)) => wait,
            (Cause::RateLimited, None) => doubled.min(LONGEST_OWN_WAIT),
            (Cause::Account, None) => self.account_probe,
            (Cause::Failing | Cause::Inherited, None) => doubled.min(self.account_probe),
        };
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        let until = now.checked_add(wait).unwrap_or(Timestamp::MAX);
        self.state = match self.state {
            State::Paused {
                until: earlier,
                cause,
            } if earlier >= until => State::Paused {
                until: earlier,
                cause,
            },
            _ => State::Paused { until, cause },
        };
    }
}

/// The breaker's view: the newest twenty results.
#[derive(Debug, Default)]
struct Recent(VecDeque<bool>);

impl Recent {
    const KEPT: usize = 20;
    const IN_A_ROW: usize = 10;

    fn push(&mut self, worked: bool) {
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back(worked);
    }

    /// Ten failures in a row, or half of the last twenty.
    fn is_failing(&self) -> bool {
        let in_a_row = self.0.iter().rev().take_while(|worked| !**worked).count();
        let failures = self.0.iter().filter(|worked| !**worked).count();
        in_a_row >= Self::IN_A_ROW || (self.0.len() == Self::KEPT && failures * 2 >= Self::KEPT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn showed(verdict: Verdict) -> Showed {
        Showed {
            verdict,
            retry_after: None,
            account_down: false,
            was_probe: false,
        }
    }

    fn probe(verdict: Verdict) -> Showed {
        Showed {
            was_probe: true,
            ..showed(verdict)
        }
    }

    fn gate() -> Gate {
        Gate::new(Duration::from_secs(60))
    }

    #[test]
    fn a_rate_limit_pauses_for_as_long_as_it_says_and_then_probes_once() {
        let mut gate = gate();
        gate.learn(
            Showed {
                retry_after: Some(Duration::from_secs(7)),
                ..showed(Verdict::RateLimited)
            },
            at(0),
        );
        assert_eq!(gate.allowance(at(6)), Allowance::Wait(at(7)));
        assert_eq!(gate.allowance(at(7)), Allowance::Probe);
        assert!(gate.start());
        assert_eq!(gate.allowance(at(7)), Allowance::WaitForProbe);
        gate.learn(probe(Verdict::Delivered), at(8));
        assert_eq!(gate.allowance(at(8)), Allowance::Any);
    }

    #[test]
    fn without_retry_after_the_waits_double_until_a_probe_succeeds() {
        let mut gate = gate();
        let mut now = 0;
        let mut waits = Vec::new();
        gate.learn(showed(Verdict::RateLimited), at(now));
        for _ in 0..4 {
            let (until, _) = gate.paused().unwrap();
            waits.push(until.duration_since(at(now)).as_secs());
            now += waits.last().unwrap();
            gate.start();
            gate.learn(probe(Verdict::RateLimited), at(now));
        }
        assert_eq!(waits, [1, 2, 4, 8]);
    }

    #[test]
    fn calls_under_way_prolong_a_pause_but_never_shorten_or_open_it() {
        let mut gate = gate();
        gate.learn(
            Showed {
                retry_after: Some(Duration::from_secs(30)),
                ..showed(Verdict::RateLimited)
            },
            at(0),
        );
        gate.learn(showed(Verdict::RateLimited), at(1));
        gate.learn(showed(Verdict::Delivered), at(2));
        assert_eq!(gate.paused(), Some((at(30), Cause::RateLimited)));
    }

    #[test]
    fn an_account_problem_is_probed_at_the_accounts_pace() {
        let mut gate = gate();
        gate.learn(showed(Verdict::AccountProblem), at(0));
        assert_eq!(gate.paused(), Some((at(60), Cause::Account)));
        gate.start();
        gate.learn(probe(Verdict::AccountProblem), at(60));
        assert_eq!(gate.paused(), Some((at(120), Cause::Account)));
    }

    #[test]
    fn ten_failures_in_a_row_open_the_breaker_which_probes_ever_more_rarely() {
        let mut gate = gate();
        for _ in 0..9 {
            gate.learn(showed(Verdict::NotSent), at(0));
        }
        assert!(gate.is_open());
        gate.learn(showed(Verdict::Unknown), at(0));
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..8 {
            let (until, cause) = gate.paused().unwrap();
            assert_eq!(cause, Cause::Failing);
            waits.push(until.duration_since(at(now)).as_secs());
            now += waits.last().unwrap();
            gate.start();
            gate.learn(probe(Verdict::NotSent), at(now));
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_new_owner_probes_where_the_last_one_left_off() {
        let paused = |until, streak| Paused {
            at: at(0),
            until: at(until),
            why: String::new(),
            streak,
        };
        let mut gate = gate();
        gate.keep_to(Some(&paused(8, 4)), at(5));
        assert_eq!(gate.allowance(at(5)), Allowance::Wait(at(8)));
        assert_eq!(gate.allowance(at(9)), Allowance::Probe);
        gate.start();
        gate.learn(probe(Verdict::NotSent), at(9));
        assert_eq!(gate.paused(), Some((at(9 + 16), Cause::Failing)));
        gate.keep_to(Some(&paused(8, 4)), at(10));
        gate.keep_to(None, at(10));
        assert_eq!(
            gate.paused(),
            Some((at(9 + 16), Cause::Failing)),
            "one's own is longer"
        );
        gate.keep_to(None, at(26));
        assert!(gate.is_open(), "another owner's probe succeeded");
        assert_eq!(gate.streak(), 0);
    }

    #[test]
    fn half_of_the_last_twenty_opens_the_breaker_too() {
        let mut gate = gate();
        for _ in 0..9 {
            gate.learn(showed(Verdict::Delivered), at(0));
            gate.learn(showed(Verdict::Unknown), at(0));
        }
        gate.learn(showed(Verdict::Delivered), at(0));
        assert!(gate.is_open());
        gate.learn(showed(Verdict::Unknown), at(0));
        assert!(gate.paused().is_some());
    }

    #[test]
    fn who_is_asked_to_come_later_does_whatever_else_was_said() {
        for verdict in [Verdict::Delivered, Verdict::Rejected, Verdict::NotSent] {
            let mut gate = gate();
            let later = Showed {
                retry_after: Some(Duration::from_secs(7)),
                ..showed(verdict)
            };
            gate.learn(later, at(0));
            assert_eq!(
                gate.paused(),
                Some((at(7), Cause::RateLimited)),
                "{verdict}"
            );
        }
    }

    #[test]
    fn a_rejected_probe_shows_that_the_provider_works() {
        let mut gate = gate();
        gate.learn(showed(Verdict::RateLimited), at(0));
        gate.start();
        gate.learn(probe(Verdict::Rejected), at(1));
        assert!(gate.is_open());
    }
}
