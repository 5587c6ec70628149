use serde::{Deserialize, Serialize};

use super::failure::Fault;
use super::latency::Latency;
use super::limit::Limit;

/// Everything that goes wrong: what a faults file holds, and `/faults` takes and gives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// The same seed strikes the same calls.
    #[serde(default)]
    pub(crate) seed: u64,
    /// How far the providers' clocks are ahead, in milliseconds: GroupMe's `created_at` and every `Date`.
    #[serde(default)]
    pub(crate) clock_ahead_ms: i64,
    /// Failures; the first that strikes counts.
    #[serde(default)]
    pub(crate) faults: Vec<Fault>,
    /// How long answers take; the first that matches counts.
    #[serde(default)]
    pub(crate) latency: Vec<Latency>,
    /// Rate limits; all that match hold.
    #[serde(default)]
    pub(crate) limits: Vec<Limit>,
}

/// Faults that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum FaultsError {
    /// Not the JSON that is expected: a field unknown, missing or of the wrong kind.
    #[error("the faults do not read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// JSON as expected, with a value that makes no sense.
    #[error("{list}[{index}].{field} {problem}")]
    Senseless {
        /// `faults`, `latency` or `limits`.
        list: &'static str,
        /// The position in the list, from 0.
        index: usize,
        /// The field.
        field: &'static str,
        /// What its value is, and what it may be.
        problem: String,
    },
}

/// A field whose value makes no sense.
#[derive(Debug)]
pub(crate) struct Wrong {
    field: &'static str,
    problem: String,
}

impl Wrong {
    pub(crate) fn new(field: &'static str, problem: String) -> Self {
        Self { field, problem }
    }

    fn at(self, list: &'static str, index: usize) -> FaultsError {
        FaultsError::Senseless {
            list,
            index,
            field: self.field,
            problem: self.problem,
        }
    }
}

impl Faults {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads a faults file. An unknown field is an error that names it.
    pub fn from_json(json: &str) -> Result<Self, FaultsError> {
        let faults: Self = serde_json::from_str(json)?;
        faults.check()?;
        Ok(faults)
    }

    /// With one more fault, after those before it.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// With one more latency, after those before it.
    #[must_use]
    pub fn latency(mut self, latency: Latency) -> Self {
        self.latency.push(latency);
        self
    }

    /// With one more limit.
    #[must_use]
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limits.push(limit);
        self
    }

    /// With other dice.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// With clocks that are ahead of this host's, or behind where negative.
    #[must_use]
    pub fn clock_ahead_ms(mut self, millis: i64) -> Self {
        self.clock_ahead_ms = millis;
        self
    }

    fn check(&self) -> Result<(), FaultsError> {
        let faults = self
            .faults
            .iter()
            .enumerate()
            .map(|(i, fault)| fault.check().map_err(|e| e.at("faults", i)));
        let latency = self
            .latency
            .iter()
            .enumerate()
            .map(|(i, it)| it.check().map_err(|e| e.at("latency", i)));
        let limits = self
            .limits
            .iter()
            .enumerate()
            .map(|(i, limit)| limit.check().map_err(|e| e.at("limits", i)));
        faults.chain(latency).chain(limits).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY_KIND: &str = r#"{
        "seed": 7, "clock_ahead_ms": -2000,
        "faults": [
            {"do": {"status": {"code": 420, "retry_after": "2s"}}, "when": {"first": 3}},
            {"do": {"status": {"code": 503, "retry_after_date": "1m", "body": {"a": []}}}},
            {"on": {"provider": "grupo", "account": "t"}, "do": "bad_token", "when": {"probability": 0.5, "times": 2}},
            {"do": "timeout", "recorded": "yes", "when": {"every": 2, "after": 1}},
            {"do": "reset", "recorded": "no"},
            {"do": "timeout", "recorded": {"late": "5s"}},
            {"on": {"operation": "index", "destination": "42"}, "do": {"garbage": "php_warning"}},
            {"do": {"redirect": {"to": "http://127.0.0.1/", "code": 307}}},
            {"do": "other_shape"}
        ],
        "latency": [
            {"takes": {"fixed": "50ms"}}, {"takes": {"uniform": ["1ms", "2ms"]}}, {"takes": {"percentiles": [[50.0, "1s"]]}}
        ],
        "limits": [{"rate": "20/s", "burst": 2, "tolerance": "5ms", "per": "destination", "refuse": false, "code": 420}]
    }"#;

    #[test]
    fn every_kind_of_fault_is_written_as_it_was_read() -> Result<(), FaultsError> {
        let faults = Faults::from_json(EVERY_KIND)?;
        assert_eq!(Faults::from_json(&serde_json::to_string(&faults)?)?, faults);
        Ok(())
    }

    #[test]
    fn the_example_of_the_readme_reads() {
        let readme = include_str!("../../README.md");
        let example = readme
            .split("```json\n")
            .nth(1)
            .and_then(|rest| rest.split("```").next());
        let faults = Faults::from_json(example.unwrap()).unwrap();
        assert_eq!(
            (
                faults.faults.len(),
                faults.latency.len(),
                faults.limits.len()
            ),
            (5, 2, 2)
        );
    }

    #[test]
    fn an_error_names_the_field() {
        for (json, named) in [
            (r#"{"fault": []}"#, "`fault`"),
            (r#"{"faults": [{"do": "timeout", "whne": {}}]}"#, "`whne`"),
            (
                r#"{"faults": [{"do": "timeout", "on": {"acount": "x"}}]}"#,
                "`acount`",
            ),
            (
                r#"{"faults": [{"do": {"status": {"code": 500, "retryafter": "1s"}}}]}"#,
                "`retryafter`",
            ),
            (r#"{"faults": [{"do": "explode"}]}"#, "`explode`"),
            (r#"{"limits": [{"rte": "1/s"}]}"#, "`rte`"),
            (
                r#"{"limits": [{"rate": "1/s", "burst": 0}]}"#,
                "limits[0].burst",
            ),
            (
                r#"{"faults": [{"do": "reset", "when": {"probability": 1.5}}]}"#,
                "faults[0].when.probability",
            ),
            (
                r#"{"faults": [{"do": {"status": {"code": 99}}}]}"#,
                "faults[0].do.status.code",
            ),
            (
                r#"{"latency": [{"takes": {"uniform": ["2s", "1s"]}}]}"#,
                "latency[0].takes.uniform",
            ),
        ] {
            let error = Faults::from_json(json)
                .map(|_| String::new())
                .unwrap_or_else(|error| error.to_string());
            assert!(error.contains(named), "{json}: {error}");
        }
    }
}
