use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::config::Wrong;
use super::on::{Caller, On};
use super::span::Span;
use crate::clock::Moment;

/// A rate limit that the provider enforces, or only watches.
///
/// In JSON: `{"on": {…}, "rate": "20/s", "burst": 1, "tolerance": "20ms", "per": "account", "refuse": true, "code": 429}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    #[serde(default, skip_serializing_if = "On::is_everything")]
    pub(crate) on: On,
    rate: Rate,
    #[serde(default = "one")]
    burst: u32,
    #[serde(default)]
    tolerance: Span,
    #[serde(default)]
    per: Per,
    #[serde(default = "yes")]
    refuse: bool,
    #[serde(default = "too_many")]
    code: u16,
    #[serde(default = "yes")]
    retry_after: bool,
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

fn too_many() -> u16 {
    429
}

/// Who shares a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// All calls with one token.
    #[default]
    Account,
    /// All calls with one token about one group, user or phone.
    Destination,
}

/// So many calls in so much time, evenly spread. In JSON `20/s`, `90/m`, `1/2s`, `5/100ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    calls: u32,
    per: Span,
}

impl Rate {
    /// At most `calls` in `per`; none of the two may be zero, and what is counts as one (call, millisecond).
    pub fn new(calls: u32, per: Duration) -> Self {
        Self {
            calls: calls.max(1),
            per: Span(per.max(Duration::from_millis(1))),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no rate: write calls/time, like 20/s, 90/m, 1/2s or 5/100ms");
        let (calls, per) = text.split_once('/').ok_or_else(wrong)?;
        let calls = calls
            .parse()
            .ok()
            .filter(|&calls| calls > 0)
            .ok_or_else(wrong)?;
        let counted = per.starts_with(|c: char| c.is_ascii_digit());
        let per = Span::parse(&if counted {
            per.to_owned()
        } else {
            format!("1{per}")
        })
        .map_err(|_| wrong())?;
        if per.0.is_zero() {
            return Err(wrong());
        }
        Ok(Self { calls, per })
    }

    fn interval_nanos(self) -> u64 {
        u64::try_from(self.per.0.as_nanos() / u128::from(self.calls)).unwrap_or(u64::MAX)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let per = serde_json::to_value(self.per).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&format!(
            "{}/{}",
            self.calls,
            per.as_str().unwrap_or_default()
        ))
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl Limit {
    /// Refuses what comes faster with 429 and `Retry-After`, per account, with a burst of one and no tolerance.
    pub fn of(rate: Rate) -> Self {
        Self {
            on: On::default(),
            rate,
            burst: one(),
            tolerance: Span::default(),
            per: Per::Account,
            refuse: true,
            code: too_many(),
            retry_after: true,
        }
    }

    /// For these calls only.
    #[must_use]
    pub fn on(mut self, on: impl Into<On>) -> Self {
        self.on = on.into();
        self
    }

    /// So many at once after a rest.
    #[must_use]
    pub fn burst(mut self, burst: u32) -> Self {
        self.burst = burst;
        self
    }

    /// A call that is early by less is no violation: the network shakes what was evenly spaced.
    #[must_use]
    pub fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = Span(tolerance);
        self
    }

    /// Whom the limit holds for.
    #[must_use]
    pub fn per(mut self, per: Per) -> Self {
        self.per = per;
        self
    }

    /// Counts violations and lets them pass.
    #[must_use]
    pub fn only_counted(mut self) -> Self {
        self.refuse = false;
        self
    }

    /// Refuses with this status: GroupMe also says 420.
    #[must_use]
    pub fn code(mut self, code: u16) -> Self {
        self.code = code;
        self
    }

    /// Refuses without saying for how long.
    #[must_use]
    pub fn without_retry_after(mut self) -> Self {
        self.retry_after = false;
        self
    }

    pub(crate) fn check(&self) -> Result<(), Wrong> {
        if self.burst == 0 {
            return Err(Wrong::new("burst", "is 0, and must be at least 1".into()));
        }
        if !(400..=599).contains(&self.code) {
            return Err(Wrong::new(
                "code",
                format!("is {}, and must be from 400 to 599", self.code),
            ));
        }
        Ok(())
    }

    /// GCRA: the arrival theoretically due next, in nanoseconds, or how long this call is early.
    fn next(&self, due: u64, now: u64) -> Result<u64, Duration> {
        let interval = self.rate.interval_nanos();
        let ahead = interval.saturating_mul(u64::from(self.burst.max(1)) - 1);
        let tolerance = u64::try_from(self.tolerance.0.as_nanos()).unwrap_or(u64::MAX);
        let earliest = due.saturating_sub(ahead);
        if now.saturating_add(tolerance) < earliest {
            return Err(Duration::from_nanos(earliest - now));
        }
        Ok(due.max(now).saturating_add(interval))
    }
}

/// The limits in force, and who has used them how far.
#[derive(Debug)]
pub(crate) struct Limits {
    limits: Vec<Limit>,
    due: Vec<HashMap<(u32, u32), u64>>,
}

/// What the limits say of a call.
#[derive(Debug, PartialEq)]
pub(crate) struct Checked {
    /// Limits it violates.
    pub(crate) violations: u64,
    /// The status it is refused with, and the wait to name.
    pub(crate) refused: Option<(u16, Option<Duration>)>,
}

impl Limits {
    pub(crate) fn new(limits: Vec<Limit>) -> Self {
        let due = vec![HashMap::new(); limits.len()];
        Self { limits, due }
    }

    pub(crate) fn check(
        &mut self,
        caller: &Caller<'_>,
        account: u32,
        destination: u32,
        now: Moment,
    ) -> Checked {
        let mut checked = Checked {
            violations: 0,
            refused: None,
        };
        for (limit, due) in self.limits.iter().zip(&mut self.due) {
            if !limit.on.matches(caller) {
                continue;
            }
            let sharers = match limit.per {
                Per::Account => (account, u32::MAX),
                Per::Destination => (account, destination),
            };
            let due = due.entry(sharers).or_insert(0);
            match limit.next(*due, now.nanos()) {
                Ok(next) => *due = next,
                Err(early) => {
                    checked.violations += 1;
                    if limit.refuse {
                        checked
                            .refused
                            .get_or_insert((limit.code, limit.retry_after.then_some(early)));
                    }
                }
            }
        }
        checked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Operation, Provider};

    fn violations(limit: Limit, arrivals: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut limits = Limits::new(vec![limit]);
        let caller = Caller {
            provider: Provider::GroupMe,
            operation: Operation::Send,
            token: "ops",
            fingerprint: "o…1",
            destination: "42",
        };
        let second = 1_000_000_000;
        arrivals
            .into_iter()
            .filter(|millis| {
                limits
                    .check(&caller, 0, 0, Moment(second + millis * 1000))
                    .violations
                    > 0
            })
            .collect()
    }

    fn ten_a_second() -> Limit {
        Limit::of(Rate::new(10, Duration::from_secs(1)))
    }

    #[test]
    fn calls_at_the_rate_are_no_violation_and_one_between_them_is() {
        assert_eq!(violations(ten_a_second(), [0, 100, 200, 300]), [0; 0]);
        assert_eq!(violations(ten_a_second(), [0, 100, 150, 200]), [150]);
    }

    #[test]
    fn a_burst_is_allowed_after_a_rest_and_not_again_at_once() {
        assert_eq!(
            violations(
                ten_a_second().burst(3),
                [0, 1, 2, 3, 1000, 1001, 1002, 1003]
            ),
            [3, 1003]
        );
    }

    #[test]
    fn a_call_within_the_tolerance_is_no_violation() {
        let limit = ten_a_second().tolerance(Duration::from_millis(20));
        assert_eq!(violations(limit, [0, 85, 190, 260]), [260]);
    }

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, nanos) in [
            ("20/s", 50_000_000),
            ("90/m", 666_666_666),
            ("1/2s", 2_000_000_000),
        ] {
            assert_eq!(Rate::parse(text).map(Rate::interval_nanos), Ok(nanos));
        }
        for text in ["20", "0/s", "20/", "20/0s", "x/s", "20/d"] {
            assert!(Rate::parse(text).is_err(), "{text}");
        }
    }
}
