use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::WorkerId;

/// What an attempt showed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The provider accepted the message.
    Delivered,
    /// The provider had the message already (GroupMe's 409).
    Duplicate,
    /// The same request would fail again.
    Rejected,
    /// The account is over its limit at the provider.
    RateLimited,
    /// The credentials, or the account behind them, do not work.
    AccountProblem,
    /// The request never left: no connection, no name, no TLS.
    NotSent,
    /// The request was written, and nobody can say what became of it.
    Unknown,
}

impl Verdict {
    /// Every verdict, in the order of the design's table.
    pub const ALL: [Self; 7] = [
        Self::Delivered,
        Self::Duplicate,
        Self::Rejected,
        Self::RateLimited,
        Self::AccountProblem,
        Self::NotSent,
        Self::Unknown,
    ];

    /// Whether an attempt with this verdict counts towards `max_attempts`.
    #[must_use]
    pub fn is_spent(self) -> bool {
        matches!(
            self,
            Self::Delivered | Self::Duplicate | Self::Rejected | Self::Unknown
        )
    }

    /// The word used in JSON, labels and filters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Duplicate => "duplicate",
            Self::Rejected => "rejected",
            Self::RateLimited => "rate-limited",
            Self::AccountProblem => "account-problem",
            Self::NotSent => "not-sent",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Verdict {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|verdict| verdict.as_str() == text)
            .ok_or_else(|| {
                let valid = Self::ALL.map(Self::as_str).join(", ");
                format!("verdict {text:?} is none of {valid}")
            })
    }
}

/// One HTTP call for a message, as a dead letter lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// When the call began.
    pub at: Timestamp,
    /// What it showed.
    pub verdict: Verdict,
    /// The HTTP status, where there was an answer.
    #[serde(default)]
    pub status: Option<u16>,
    /// The provider's words, cut at [`Attempt::MAX_ERROR`] characters, secrets masked.
    #[serde(default)]
    pub error: Option<String>,
    /// How long the call took, in milliseconds.
    pub took_ms: u64,
    /// Who made it.
    pub worker: WorkerId,
}

impl Attempt {
    /// Longest `error`, in characters.
    pub const MAX_ERROR: usize = 500;
}

/// The attempts of one generation: the newest [`Attempts::KEPT`], and how many were spent in all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// How many attempts counted towards `max_attempts`.
    pub spent: u32,
    /// When the first one was made, spent or not: retries are bounded by the age counted from here.
    pub first_at: Option<Timestamp>,
    /// The newest, oldest first.
    pub list: Vec<Attempt>,
}

impl Attempts {
    /// How many attempts a message remembers.
    pub const KEPT: usize = 20;

    /// Adds one, forgetting the oldest beyond [`Attempts::KEPT`].
    pub fn push(&mut self, attempt: Attempt) {
        self.spent += u32::from(attempt.verdict.is_spent());
        self.first_at.get_or_insert(attempt.at);
        if self.list.len() >= Self::KEPT {
            self.list.remove(0);
        }
        self.list.push(attempt);
    }

    /// The verdict of the newest attempt.
    #[must_use]
    pub fn last_verdict(&self) -> Option<Verdict> {
        self.list.last().map(|attempt| attempt.verdict)
    }
}

/// The provider's words, fit to be kept: every secret masked, control characters blanked, cut at
/// [`Attempt::MAX_ERROR`] characters.
#[must_use]
pub fn mask(words: &str, secrets: &[&str]) -> String {
    let mut text = words.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "***");
    }
    let blank = |c: char| if c.is_control() { ' ' } else { c };
    text.trim()
        .chars()
        .map(blank)
        .take(Attempt::MAX_ERROR)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(verdict: Verdict) -> Attempt {
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        Attempt {
            at,
            verdict,
            status: None,
            error: None,
            took_ms: 1,
            worker: "w".into(),
        }
    }

    #[test]
    fn only_the_newest_attempts_are_kept_but_all_spent_ones_count() {
        let mut attempts = Attempts::default();
        for _ in 0..30 {
            attempts.push(attempt(Verdict::Unknown));
            attempts.push(attempt(Verdict::NotSent));
        }
        assert_eq!((attempts.list.len(), attempts.spent), (20, 30));
    }

    #[test]
    fn words_are_masked_before_they_are_cut() {
        let words = format!("{}hunter2", "x".repeat(496));
        let kept = mask(&words, &["hunter2"]);
        assert_eq!(kept.chars().count(), 499);
        assert!(!kept.contains("hunt"));
        assert_eq!(mask("a\u{1b}[31m\nb", &[]), "a [31m b");
    }
}
