use std::fmt;

use serde_path_to_error::Path;

/// Why a payload is not one of its provider's: the field, as a path, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct PayloadError {
    field: String,
    problem: Problem,
}

/// What is wrong with a field of a payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Absent, or empty where it must not be.
    #[error("is required")]
    Required,
    /// Longer than the provider takes.
    #[error("has {actual} {unit}, at most {limit} are allowed")]
    TooLong {
        /// The most that is allowed.
        limit: usize,
        /// What the value has.
        actual: usize,
        /// What is counted.
        unit: &'static str,
    },
    /// Anything else, in words.
    #[error("{0}")]
    Invalid(String),
}

/// What serde_json says, without the line and column: they count within the payload, which nobody sees alone.
pub(super) fn without_position(words: &str) -> &str {
    words
        .rsplit_once(" at line ")
        .map_or(words, |(words, _)| words)
}

impl PayloadError {
    /// Longest words of a problem, in characters: they may quote the value.
    const MAX_WORDS: usize = 300;

    pub(super) fn new(field: impl Into<String>, problem: Problem) -> Self {
        Self {
            field: field.into(),
            problem,
        }
    }

    pub(super) fn invalid(field: impl Into<String>, words: impl Into<String>) -> Self {
        Self::new(field, Problem::Invalid(words.into()))
    }

    /// The same problem, seen from the object around it.
    pub(super) fn inside(mut self, parent: impl fmt::Display) -> Self {
        self.field = format!("{parent}.{}", self.field);
        self
    }

    /// What serde says about JSON that does not fit, and where.
    pub(super) fn unreadable(path: &Path, error: &serde_json::Error) -> Self {
        let mut field = String::from("payload");
        if path.iter().next().is_some() {
            field = format!("{field}.{path}");
        }
        let words = error.to_string();
        // The position is one within the payload, which nobody sees alone.
        let words = words
            .rsplit_once(" at line ")
            .map_or(&*words, |(words, _)| words);
        if let Some(missing) = words
            .strip_prefix("missing field `")
            .and_then(|rest| rest.strip_suffix('`'))
        {
            return Self::new(format!("{field}.{missing}"), Problem::Required);
        }
        Self::invalid(
            field,
            words.chars().take(Self::MAX_WORDS).collect::<String>(),
        )
    }

    /// The field as a path from the message, such as `payload.recipient[0].name`.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong with it.
    #[must_use]
    pub const fn problem(&self) -> &Problem {
        &self.problem
    }
}
