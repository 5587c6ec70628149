use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A lane's pause. Once its time has passed, one call probes; the pause is over when a probe succeeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// When it began, or was prolonged.
    pub at: Timestamp,
    /// Before then no call starts.
    pub until: Timestamp,
    /// Why, in words.
    pub why: String,
    /// How many pauses in a row this is, without a successful probe between them: the next one is longer for it.
    #[serde(default)]
    pub streak: u32,
}

/// What is known of a lane's pauses, whoever owned it then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pauses {
    /// The pause that no probe has ended; its time may have passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// When a call last showed that the account works again: what began by then is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reopened: Option<Timestamp>,
}

impl Pauses {
    /// Takes in what another record tells, in whatever order they come. The longest pause holds: who let the lane go late, or
    /// never used it, may know of none, of an earlier one, or of one that is over.
    pub fn learn(&mut self, told: Self) {
        self.reopened = self.reopened.max(told.reopened);
        let stands = |paused: &Paused| self.reopened.is_none_or(|over| over < paused.at);
        let known = self.paused.take().filter(stands);
        let told = told.paused.filter(stands);
        self.paused = match (known, told) {
            (Some(a), Some(b)) => {
                let streak = a.streak.max(b.streak);
                let longest = if a.until < b.until { b } else { a };
                Some(Paused { streak, ..longest })
            }
            (a, b) => a.or(b),
        };
    }

    /// A pause that begins now. It begins after what ended the ones before, also where that was written by a clock that is ahead.
    #[must_use]
    pub fn pause(&self, now: Timestamp, until: Timestamp, why: String, streak: u32) -> Paused {
        const NEXT: SignedDuration = SignedDuration::from_nanos(1);
        let after = self.reopened.and_then(|over| over.checked_add(NEXT).ok());
        Paused {
            at: after.map_or(now, |after| after.max(now)),
            until,
            why,
            streak,
        }
    }

    /// The end of all pauses so far.
    #[must_use]
    pub fn reopen(&self, now: Timestamp) -> Timestamp {
        let began = self.paused.as_ref().map(|paused| paused.at);
        began.map_or(now, |began| began.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn paused(began: i64, until: i64, streak: u32) -> Paused {
        Paused {
            at: at(began),
            until: at(until),
            why: "rate limited".into(),
            streak,
        }
    }

    fn told(paused: Option<Paused>, reopened: Option<i64>) -> Pauses {
        Pauses {
            paused,
            reopened: reopened.map(at),
        }
    }

    fn after(all: impl IntoIterator<Item = Pauses>) -> Option<Paused> {
        let mut known = Pauses::default();
        all.into_iter().for_each(|told| known.learn(told));
        known.paused
    }

    #[test]
    fn a_pause_is_over_when_a_call_has_succeeded_and_not_before() {
        let pause = |began, until, streak| told(Some(paused(began, until, streak)), None);
        let first = [pause(0, 5, 1), pause(5, 15, 2), told(None, Some(2))];
        assert_eq!(after(first.clone()), Some(paused(5, 15, 2)));
        let over = first.into_iter().chain([told(None, Some(16))]);
        assert_eq!(after(over.clone()), None);
        let late = over.chain([pause(5, 15, 2)]);
        assert_eq!(after(late.clone()), None, "who still tells of it is late");
        let next = late.chain([pause(17, 18, 1)]);
        assert_eq!(after(next), Some(paused(17, 18, 1)), "a new row begins");
    }

    #[test]
    fn the_longest_holds_with_the_place_in_its_row() {
        let pause = |began, until, streak| told(Some(paused(began, until, streak)), None);
        let known = after([pause(0, 600, 1), pause(9, 5, 3), told(None, None)]);
        assert_eq!(known, Some(paused(0, 600, 3)));
    }

    #[test]
    fn whatever_the_clocks_say_what_comes_later_counts() {
        let mut known = told(None, Some(10));
        let pause = known.pause(at(7), at(67), "429".into(), 1);
        known.learn(told(Some(pause.clone()), None));
        assert_eq!(known.paused, Some(pause), "its clock is behind");
        let over = known.reopen(at(5));
        known.learn(Pauses {
            paused: None,
            reopened: Some(over),
        });
        assert_eq!(known.paused, None);
    }
}
