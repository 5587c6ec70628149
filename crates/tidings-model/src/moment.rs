use std::str::FromStr;

use jiff::Timestamp;

use crate::{Delay, text};

/// A moment as people name it: RFC 3339, or in delay syntax how long ago.
///
/// ```
/// use tidings_model::Moment;
///
/// let now = "2026-01-01T09:00:00Z".parse().unwrap();
/// assert_eq!("10m".parse::<Moment>()?.before(now), "2026-01-01T08:50:00Z".parse().unwrap());
/// assert_eq!("2025-12-31T00:00:00Z".parse::<Moment>()?.before(now), "2025-12-31T00:00:00Z".parse().unwrap());
/// # Ok::<(), tidings_model::MomentError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// At this time.
    At(Timestamp),
    /// So long before now.
    Ago(Delay),
}

/// Why a text names no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither a time such as 2026-01-01T09:00:00Z nor how long ago it was, such as 10m or 2d"
)]
pub struct MomentError(String);

impl Moment {
    /// The moment, told at `now`.
    #[must_use]
    pub fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(delay) => now
                .checked_sub(delay.as_duration())
                .unwrap_or(Timestamp::MIN),
        }
    }
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        let ago = text.parse().map(Self::Ago).ok();
        ago.or_else(|| text.parse().map(Self::At).ok())
            .ok_or_else(|| MomentError(text::start(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_moment_says_what_would_be() {
        for text in ["", "yesterday", "10", "-10m", "2026-01-01"] {
            let error = text.parse::<Moment>().unwrap_err().to_string();
            assert!(error.contains("2026-01-01T09:00:00Z"), "{error}");
        }
    }
}
