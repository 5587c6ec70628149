use std::time::Duration;

use jiff::Timestamp;

/// How long the stream keeps what is written to it: `dead.max_age` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention(pub Duration);

impl Retention {
    /// Until when a letter that was written then is kept at least.
    #[must_use]
    pub fn end(self, written_at: Timestamp) -> Timestamp {
        written_at.checked_add(self.0).unwrap_or(Timestamp::MAX)
    }

    /// Letters written before this are near their end: in the last tenth of their time.
    #[must_use]
    pub fn near(self, now: Timestamp) -> Timestamp {
        now.checked_sub(self.0 / 10 * 9).unwrap_or(Timestamp::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_near_its_end_in_the_last_tenth_of_its_time() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let retention = Retention(Duration::from_secs(100));
        assert_eq!(retention.end(at(1_000)), at(1_100));
        assert_eq!(retention.near(at(1_090)), at(1_000));
    }
}
