use serde::{Deserialize, Serialize};

use super::config::Wrong;

/// Which of the calls that a fault is about it strikes. All that is given must hold; nothing given means always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct When {
    /// So likely, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) probability: Option<f64>,
    /// The nth, the 2nth, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) every: Option<u64>,
    /// Not before so many calls have passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<u64>,
    /// Only among the first so many (after `after`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first: Option<u64>,
    /// So many strikes at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) times: Option<u64>,
}

impl When {
    pub(crate) fn is_always(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the `matched`th call is struck, `struck` having been struck before it; `chance` is a number in 0..1.
    pub(crate) fn strikes(&self, matched: u64, struck: u64, chance: f64) -> bool {
        let Some(counted) = matched
            .checked_sub(self.after.unwrap_or(0))
            .filter(|&n| n > 0)
        else {
            return false;
        };
        self.first.is_none_or(|first| counted <= first)
            && self.every.is_none_or(|every| counted.is_multiple_of(every))
            && self.times.is_none_or(|times| struck < times)
            && self
                .probability
                .is_none_or(|probability| chance < probability)
    }

    pub(crate) fn check(&self) -> Result<(), Wrong> {
        if let Some(probability) = self.probability.filter(|p| !(0.0..=1.0).contains(p)) {
            return Err(Wrong::new(
                "when.probability",
                format!("is {probability}, and must be from 0 to 1"),
            ));
        }
        if self.every == Some(0) {
            return Err(Wrong::new(
                "when.every",
                "is 0, and must be at least 1".into(),
            ));
        }
        Ok(())
    }
}
