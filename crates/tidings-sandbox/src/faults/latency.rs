use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::config::Wrong;
use super::on::On;
use super::span::Span;

/// How long answers take.
///
/// In JSON: `{"on": {…}, "takes": {"fixed": "50ms"}}`, `{"uniform": ["10ms", "90ms"]}` or
/// `{"percentiles": [[50, "20ms"], [99, "1s"], [100, "2s"]]}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    #[serde(default, skip_serializing_if = "On::is_everything")]
    pub(crate) on: On,
    takes: Takes,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Takes {
    Fixed(Span),
    Uniform(Span, Span),
    /// Ascending; in a straight line from one to the next, from nothing to the first, and no longer than the last.
    Percentiles(Vec<(f64, Span)>),
}

impl Latency {
    /// Always as long.
    pub fn fixed(takes: Duration) -> Self {
        Self {
            on: On::default(),
            takes: Takes::Fixed(Span(takes)),
        }
    }

    /// Anything from `min` to `max`, alike.
    pub fn uniform(min: Duration, max: Duration) -> Self {
        Self {
            on: On::default(),
            takes: Takes::Uniform(Span(min), Span(max)),
        }
    }

    /// By percentiles, ascending: `[(50.0, …), (99.0, …)]`; straight lines between them.
    pub fn percentiles(points: impl IntoIterator<Item = (f64, Duration)>) -> Self {
        let points = points
            .into_iter()
            .map(|(percent, takes)| (percent, Span(takes)))
            .collect();
        Self {
            on: On::default(),
            takes: Takes::Percentiles(points),
        }
    }

    /// For these calls only.
    #[must_use]
    pub fn on(mut self, on: impl Into<On>) -> Self {
        self.on = on.into();
        self
    }

    /// The latency that a share of `chance` (0 to 1) of all calls stays below.
    pub(crate) fn at(&self, chance: f64) -> Duration {
        match &self.takes {
            Takes::Fixed(takes) => takes.0,
            Takes::Uniform(min, max) => between(min.0, max.0, chance),
            Takes::Percentiles(points) => along(points, chance * 100.0),
        }
    }

    pub(crate) fn check(&self) -> Result<(), Wrong> {
        match &self.takes {
            Takes::Fixed(_) => Ok(()),
            Takes::Uniform(min, max) if min.0 <= max.0 => Ok(()),
            Takes::Uniform(..) => Err(Wrong::new("takes.uniform", "must be [min, max]".into())),
            Takes::Percentiles(points) => {
                let ascending = points
                    .windows(2)
                    .all(|pair| pair[0].0 < pair[1].0 && pair[0].1.0 <= pair[1].1.0);
                let valid = points
                    .iter()
                    .all(|(percent, _)| (0.0..=100.0).contains(percent));
                if !points.is_empty() && ascending && valid {
                    return Ok(());
                }
                Err(Wrong::new(
                    "takes.percentiles",
                    "must be pairs like [99, \"1s\"], ascending, from 0 to 100".into(),
                ))
            }
        }
    }
}

fn between(low: Duration, high: Duration, share: f64) -> Duration {
    low + high.saturating_sub(low).mul_f64(share.clamp(0.0, 1.0))
}

fn along(points: &[(f64, Span)], percent: f64) -> Duration {
    let mut before = (0.0, Duration::ZERO);
    for &(point, Span(takes)) in points {
        if percent < point {
            return between(before.1, takes, (percent - before.0) / (point - before.0));
        }
        before = (point, takes);
    }
    before.1
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn percentiles_are_joined_by_straight_lines() {
        let latency = Latency::percentiles([(50.0, ms(20)), (90.0, ms(100)), (100.0, ms(1100))]);
        for (chance, takes) in [
            (0.0, 0),
            (0.25, 10),
            (0.5, 20),
            (0.7, 60),
            (0.9, 100),
            (0.95, 600),
            (1.0, 1100),
        ] {
            let got = latency.at(chance);
            assert!(
                got.abs_diff(ms(takes)) < ms(1),
                "{chance}: {got:?}, not {takes} ms"
            );
        }
    }

    #[test]
    fn a_uniform_latency_stays_within_its_bounds() {
        let latency = Latency::uniform(ms(10), ms(90));
        assert_eq!((latency.at(0.0), latency.at(1.0)), (ms(10), ms(90)));
    }

    #[test]
    fn percentiles_that_go_down_are_refused() {
        assert!(
            Latency::percentiles([(50.0, ms(20)), (40.0, ms(30))])
                .check()
                .is_err()
        );
        assert!(
            Latency::percentiles([(50.0, ms(20)), (60.0, ms(10))])
                .check()
                .is_err()
        );
        assert!(Latency::percentiles([]).check().is_err());
    }
}
