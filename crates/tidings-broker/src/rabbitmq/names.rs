//! What things are called on the broker, as the contract fixes it, and the routing keys of the delays.

use jiff::Timestamp;
use lapin::types::ShortString;
use tidings_model::{Account, Delay, config::Prefix};

use crate::LaneName;

/// How many levels the delays have: level N holds a message for 2^N seconds.
pub(super) const LEVELS: u32 = 28;

/// Every name begins with the fleet's prefix.
#[derive(Debug, Clone)]
pub(super) struct Names(Prefix);

impl Names {
    pub(super) fn new(prefix: Prefix) -> Self {
        Self(prefix)
    }

    fn named(&self, rest: &str) -> ShortString {
        format!("{}{rest}", self.0.as_str()).into()
    }

    pub(super) fn dispatch(&self) -> ShortString {
        self.0.as_str().into()
    }

    pub(super) fn lane(&self, lane: &LaneName) -> ShortString {
        match lane {
            LaneName::Account(account) => self.lane_of(account),
            LaneName::Unroutable => self.unroutable(),
        }
    }

    pub(super) fn lane_of(&self, account: &Account) -> ShortString {
        self.named(&format!(".lane.{}", account.word()))
    }

    pub(super) fn delay(&self) -> ShortString {
        self.named(".delay")
    }

    pub(super) fn level(&self, level: u32) -> ShortString {
        self.named(&format!(".delay.v1.{level:02}"))
    }

    pub(super) fn due(&self) -> ShortString {
        self.named(".delay.v1.due")
    }

    pub(super) fn unroutable(&self) -> ShortString {
        self.named(".unroutable")
    }

    pub(super) fn ledger(&self) -> ShortString {
        self.named(".ledger")
    }

    pub(super) fn dead(&self) -> ShortString {
        self.named(".dead")
    }

    pub(super) fn events(&self) -> ShortString {
        self.named(".events")
    }

    pub(super) fn fleet(&self) -> ShortString {
        self.named(".fleet")
    }

    pub(super) fn beat(&self) -> ShortString {
        self.named(".beat")
    }

    /// A queue of one's own, never named twice.
    pub(super) fn own(&self) -> ShortString {
        self.named(&format!(".own.{}", uuid::Uuid::now_v7()))
    }
}

/// Seconds that a message still has to wait, rounded up, so that it is never early; `None` where it is due.
///
/// # Errors
/// Says so where the wait is longer than the levels reach.
pub(super) fn wait(due: Option<Timestamp>, now: Timestamp) -> Result<Option<u32>, String> {
    let Some(due) = due else { return Ok(None) };
    let nanos = due.as_nanosecond() - now.as_nanosecond();
    if nanos <= 0 {
        return Ok(None);
    }
    let seconds = (nanos + 999_999_999) / 1_000_000_000;
    match u32::try_from(seconds) {
        Ok(seconds) if u64::from(seconds) <= Delay::MAX.as_secs() => Ok(Some(seconds)),
        _ => Err(format!(
            "it is due at {due}, and the longest delay is {} seconds",
            Delay::MAX.as_secs()
        )),
    }
}

/// The latest that something can be due: the levels reach no further.
pub(super) fn farthest(now: Timestamp) -> Timestamp {
    let longest = std::time::Duration::from_secs(Delay::MAX.as_secs());
    now.checked_add(longest).unwrap_or(Timestamp::MAX)
}

/// The way through the levels to an account's lane.
pub(super) fn delay_key(seconds: u32, account: &Account) -> ShortString {
    key_to(seconds, &account.word())
}

/// The way through the levels: the bits of the wait, most significant first, then where it ends, as one word.
pub(super) fn key_to(seconds: u32, word: &str) -> ShortString {
    let mut key = String::with_capacity(2 * LEVELS as usize + 52);
    for level in (0..LEVELS).rev() {
        key.push(if seconds >> level & 1 == 1 { '1' } else { '0' });
        key.push('.');
    }
    key.push_str(word);
    key.into()
}

/// What leads from the entry straight to a level: nothing above it, and its own bit.
pub(super) fn entry_key(level: u32) -> ShortString {
    let above = (LEVELS - 1 - level) as usize;
    format!("{}1.#", "0.".repeat(above)).into()
}

/// What a level's exchange does with a key that has this bit there.
pub(super) fn level_key(level: u32, bit: char) -> ShortString {
    let above = (LEVELS - 1 - level) as usize;
    format!("{}{bit}.#", "*.".repeat(above)).into()
}

/// What leads from the end of the delays to a lane. One `#`: patterns with several are CVE-2026-67419.
pub(super) fn due_key(account: &Account) -> ShortString {
    format!("#.{}", account.word()).into()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn account() -> Account {
        "groupme.ops".parse().unwrap()
    }

    /// Topic matching as the broker does it, for patterns with at most one `#`, at an end.
    fn matches(pattern: &str, key: &str) -> bool {
        let (mut pattern, mut key) = (pattern.split('.').peekable(), key.split('.'));
        loop {
            match (pattern.next(), key.next()) {
                (Some("#"), _) if pattern.peek().is_none() => return true,
                (Some("*"), Some(_)) => {}
                (Some(wanted), Some(word)) if wanted == word => {}
                (None, None) => return true,
                _ => return false,
            }
        }
    }

    #[test]
    fn a_delay_is_a_walk_through_the_levels_of_its_bits() {
        for seconds in [1, 2, 3, 90, 3600, 1_209_600, (1 << 28) - 1] {
            let key = delay_key(seconds, &account()).to_string();
            let entries: Vec<u32> = (0..LEVELS)
                .filter(|level| matches(entry_key(*level).as_str(), &key))
                .collect();
            assert_eq!(entries, [31 - seconds.leading_zeros()], "{seconds}");
            let mut waited = 0;
            for level in (0..=entries[0]).rev() {
                let holds = matches(level_key(level, '1').as_str(), &key);
                assert_ne!(holds, matches(level_key(level, '0').as_str(), &key));
                waited += u32::from(holds) << level;
            }
            assert_eq!(waited, seconds);
            assert!(key.ends_with(".groupme-ops"));
        }
    }

    #[test]
    fn a_wait_is_rounded_up_and_has_an_end() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let after = |millis| Some(now + SignedDuration::from_millis(millis));
        assert_eq!(wait(None, now), Ok(None));
        assert_eq!(wait(after(-5), now), Ok(None));
        assert_eq!(wait(after(0), now), Ok(None));
        assert_eq!(wait(after(1), now), Ok(Some(1)));
        assert_eq!(wait(after(1000), now), Ok(Some(1)));
        assert_eq!(wait(after(1001), now), Ok(Some(2)));
        let longest = Delay::MAX.as_secs() as i64;
        assert_eq!(wait(after(longest * 1000), now), Ok(Some((1 << 28) - 1)));
        assert!(wait(after(longest * 1000 + 1), now).is_err());
    }
}
