//! What a worker remembers of one lane: the decided, its tenures, its pause. Filled from the ledger, and from one's
//! own decisions as they are made.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
};

use jiff::{SignedDuration, Timestamp};
use tidings_broker::Effect;
use tidings_model::{
    Account, Attempt, Decision, Headers, MessageId, Outcome, Reason, Record, Verdicted,
    config::Remember,
};

use crate::tenures::Tenures;

/// What was decided for a message, as far as is needed to make its effect again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decided {
    /// It was delivered: nothing follows.
    Delivered,
    /// It is dead.
    Dead(Box<Died>),
    /// It went back as a copy with the next turn.
    PutBack(Box<WentBack>),
}

/// A remembered death.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Died {
    pub(crate) reason: Reason,
    pub(crate) at: Timestamp,
    pub(crate) maybe_delivered: bool,
    pub(crate) attempt: Option<Attempt>,
}

/// A remembered copy.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WentBack {
    pub(crate) turn: u32,
    pub(crate) due: Timestamp,
    pub(crate) maybe_delivered: bool,
    pub(crate) consent: bool,
    pub(crate) attempt: Option<Attempt>,
}

/// Until when a lane is paused, and why.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Paused {
    pub(crate) until: Timestamp,
    pub(crate) why: String,
}

/// 128 bits of a keyed hash stand for (id, generation): ids come from callers, who cannot aim at a collision.
type Key = (u64, u64);

/// What a worker remembers of one lane. Bounded in number and time.
#[derive(Debug)]
pub(crate) struct Memory {
    remember: Remember,
    hashers: (RandomState, RandomState),
    /// Each with when it was decided last.
    decided: HashMap<Key, (Decided, Timestamp)>,
    /// Every decision; one that another followed counts for nothing.
    order: VecDeque<(Key, Timestamp)>,
    /// What was decided before this may have been forgotten.
    horizon: Option<Timestamp>,
    pub(crate) tenures: Tenures,
    paused: Option<Paused>,
}

impl Memory {
    pub(crate) fn new(remember: Remember) -> Self {
        Self {
            remember,
            hashers: (RandomState::new(), RandomState::new()),
            decided: HashMap::new(),
            order: VecDeque::new(),
            horizon: None,
            tenures: Tenures::default(),
            paused: None,
        }
    }

    fn key(&self, id: &MessageId, generation: u32) -> Key {
        let what = (id.as_str(), generation);
        (self.hashers.0.hash_one(what), self.hashers.1.hash_one(what))
    }

    /// Takes in one record of the lane's ledger.
    pub(crate) fn learn(&mut self, record: Record) {
        match record {
            Record::Decided(decision) => self.decide(&decision),
            Record::Opened { tenure, .. } => self.tenures.opened(tenure),
            Record::Note {
                tenure,
                left,
                paused,
                ..
            } => {
                self.tenures.noted(&tenure, left);
                self.pause(paused);
            }
            Record::Paused { until, why, .. } => self.pause(Some((until, why))),
            Record::Standing { last, paused, .. } => {
                if let Some((tenure, left)) = last.map(|last| *last) {
                    self.tenures.restated(tenure, left);
                }
                self.pause(paused);
            }
            // It is the lane memory's.
            Record::Ordered { .. } => {}
        }
    }

    /// The longest pause holds: who let the lane go late, or never used it, may know of none, or of an earlier one.
    fn pause(&mut self, paused: Option<(Timestamp, String)>) {
        if let Some((until, why)) = paused
            && self.paused.as_ref().is_none_or(|known| known.until < until)
        {
            self.paused = Some(Paused { until, why });
        }
    }

    /// The pause that is on, if one is.
    pub(crate) fn paused(&self, now: Timestamp) -> Option<&Paused> {
        self.paused.as_ref().filter(|paused| paused.until > now)
    }

    /// Remembers a decision. The first outcome of a generation holds, and holds for all its turns.
    pub(crate) fn decide(&mut self, decision: &Decision) {
        let key = self.key(decision.id(), decision.generation());
        let decided = Decided::from(decision);
        let news = match self.decided.get(&key) {
            None => true,
            Some((known @ Decided::PutBack(_), _)) => {
                known.turn() < Some(decision.turn) || decided.turn().is_none()
            }
            Some(_) => false,
        };
        if news {
            self.decided.insert(key, (decided, decision.at()));
            self.order.push_back((key, decision.at()));
            self.forget(decision.at());
            self.tidy();
        }
    }

    /// What does not stand any more is not kept for long either.
    fn tidy(&mut self) {
        if self.order.len() > 2 * self.decided.len() + 1024 {
            let decided = &self.decided;
            self.order
                .retain(|(key, at)| decided.get(key).is_some_and(|(_, last)| last == at));
        }
    }

    fn forget(&mut self, now: Timestamp) {
        let keep = SignedDuration::try_from(self.remember.time).unwrap_or(SignedDuration::MAX);
        let too_old = |at: Timestamp| now.duration_since(at) > keep;
        while let Some((key, at)) = self.order.front() {
            let stands = |(_, decided_at): &(Decided, Timestamp)| decided_at == at;
            if self.decided.get(key).is_some_and(stands) {
                if self.decided.len() <= self.remember.messages && !too_old(*at) {
                    return;
                }
                self.decided.remove(key);
                self.horizon = self.horizon.max(Some(*at));
            }
            self.order.pop_front();
        }
    }

    /// What was decided for this turn of a message, or for a later one.
    pub(crate) fn decided(&self, id: &MessageId, headers: &Headers) -> Option<&Decided> {
        let (decided, _) = self.decided.get(&self.key(id, headers.generation))?;
        match decided {
            Decided::PutBack(back) if back.turn < headers.turn => None,
            decided => Some(decided),
        }
    }

    /// Whether a decision made then could have been forgotten, or was made before this worker began to read.
    pub(crate) fn may_have_forgotten(&self, at: Timestamp, reading_since: Timestamp) -> bool {
        at < reading_since || self.horizon.is_some_and(|horizon| at <= horizon)
    }
}

impl Decided {
    fn turn(&self) -> Option<u32> {
        match self {
            Self::PutBack(back) => Some(back.turn),
            Self::Delivered | Self::Dead(_) => None,
        }
    }

    /// Whether it was no message.
    pub(crate) fn is_undecodable(&self) -> bool {
        matches!(self, Self::Dead(died) if died.reason == Reason::Undecodable)
    }

    /// The effect to make again for a copy with these headers.
    pub(crate) fn effect(
        &self,
        headers: &Headers,
        head: impl FnOnce(&Died, Headers) -> Effect,
    ) -> Effect {
        match self {
            Self::Delivered => Effect::Done,
            Self::Dead(died) => {
                let mut headers = headers.clone();
                headers.attempts.list.extend(died.attempt.clone());
                head(died, headers)
            }
            // A later turn was decided, so this turn's copy was there.
            Self::PutBack(back) if back.turn > headers.turn => Effect::Done,
            Self::PutBack(back) => Effect::PutBack(Box::new(back.headers(headers.clone()))),
        }
    }
}

impl WentBack {
    /// The headers of the copy: the next turn.
    pub(crate) fn headers(&self, mut headers: Headers) -> Headers {
        if let Some(attempt) = &self.attempt {
            headers.attempts.push(attempt.clone());
        }
        headers.turn = headers.turn.saturating_add(1);
        headers.due = Some(self.due);
        headers.maybe_delivered = self.maybe_delivered;
        headers.consent = self.consent;
        headers
    }
}

impl From<&Decision> for Decided {
    fn from(decision: &Decision) -> Self {
        let attempt = decision.attempt.clone();
        match &decision.verdicted {
            Verdicted::Ended {
                outcome: Outcome::Delivered { .. },
                ..
            } => Self::Delivered,
            Verdicted::Ended {
                outcome: Outcome::Dead { reason, at, .. },
                maybe_delivered,
            } => Self::Dead(Box::new(Died {
                reason: *reason,
                at: *at,
                maybe_delivered: *maybe_delivered,
                attempt,
            })),
            Verdicted::PutBack {
                due,
                maybe_delivered,
                consent,
                ..
            } => Self::PutBack(Box::new(WentBack {
                turn: decision.turn,
                due: *due,
                maybe_delivered: *maybe_delivered,
                consent: *consent,
                attempt,
            })),
        }
    }
}

/// Which lane a record is about.
pub(crate) fn lane_of(record: &Record) -> &Account {
    match record {
        Record::Decided(decision) => decision.account(),
        Record::Opened { tenure, .. } | Record::Note { tenure, .. } => &tenure.account,
        Record::Paused { account, .. }
        | Record::Ordered { account, .. }
        | Record::Standing { account, .. } => account,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidings_model::{Left, Tenure};

    use super::*;

    const REMEMBER: Remember = Remember {
        time: Duration::from_secs(3600),
        messages: 3,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn account() -> Account {
        "groupme.ops".parse().unwrap()
    }

    fn put_back(id: &str, turn: u32, second: i64) -> Decision {
        let verdicted = Verdicted::PutBack {
            id: id.parse().unwrap(),
            generation: 0,
            account: account(),
            at: at(second),
            due: at(second + 60),
            maybe_delivered: true,
            consent: false,
        };
        Decision {
            turn,
            attempt: None,
            verdicted,
        }
    }

    fn delivered(id: &str, turn: u32, second: i64) -> Decision {
        let outcome = Outcome::Delivered {
            id: id.parse().unwrap(),
            generation: 0,
            account: account(),
            attempts: 1,
            at: at(second),
            provider_message_id: None,
            deduplicated: false,
            metadata: Default::default(),
        };
        Decision {
            turn,
            attempt: None,
            verdicted: Verdicted::Ended {
                outcome,
                maybe_delivered: false,
            },
        }
    }

    fn turn(turn: u32) -> Headers {
        Headers {
            turn,
            ..Headers::default()
        }
    }

    #[test]
    fn an_outcome_decides_every_turn_and_the_first_one_holds() {
        let mut memory = Memory::new(REMEMBER);
        let id = "m".parse().unwrap();
        memory.decide(&delivered("m", 2, 0));
        memory.decide(&put_back("m", 3, 1));
        for t in [0, 2, 9] {
            assert_eq!(memory.decided(&id, &turn(t)), Some(&Decided::Delivered));
        }
        assert_eq!(
            memory.decided(
                &id,
                &Headers {
                    generation: 1,
                    ..turn(0)
                }
            ),
            None
        );
    }

    #[test]
    fn a_turn_that_was_put_back_is_decided_and_its_copy_is_not() {
        let mut memory = Memory::new(REMEMBER);
        let id = "m".parse().unwrap();
        memory.decide(&put_back("m", 1, 0));
        assert!(memory.decided(&id, &turn(2)).is_none());
        let effect = |t| {
            memory
                .decided(&id, &turn(t))
                .unwrap()
                .effect(&turn(t), |_, _| Effect::Done)
        };
        assert_eq!(effect(0), Effect::Done, "its copy came back already");
        let Effect::PutBack(copy) = effect(1) else {
            panic!("the copy is made again")
        };
        assert_eq!(
            (copy.turn, copy.due, copy.maybe_delivered),
            (2, Some(at(60)), true)
        );
    }

    #[test]
    fn an_outcome_follows_a_copy_and_never_the_other_way_round() {
        let mut memory = Memory::new(REMEMBER);
        let id = "m".parse().unwrap();
        memory.decide(&put_back("m", 0, 0));
        memory.decide(&delivered("m", 0, 1));
        memory.decide(&put_back("m", 5, 2));
        assert_eq!(memory.decided(&id, &turn(7)), Some(&Decided::Delivered));
    }

    #[test]
    fn what_was_put_back_is_remembered_from_its_last_decision() {
        let mut memory = Memory::new(REMEMBER);
        memory.decide(&put_back("a", 0, 0));
        memory.decide(&put_back("b", 0, 1));
        memory.decide(&delivered("a", 1, 3500));
        memory.decide(&delivered("c", 0, 3602));
        let decided = |id: &str| memory.decided(&id.parse().unwrap(), &turn(0)).is_some();
        assert!(decided("a") && !decided("b") && decided("c"));
        for id in ["d", "e"] {
            memory.decide(&delivered(id, 0, 3603));
        }
        let decided = |id: &str| memory.decided(&id.parse().unwrap(), &turn(0)).is_some();
        assert!(!decided("a") && decided("c"), "no more than three");
    }

    #[test]
    fn one_that_is_put_back_again_and_again_takes_no_more_room() {
        let mut memory = Memory::new(REMEMBER);
        for turn in 0..5000 {
            memory.decide(&put_back("a", turn, i64::from(turn)));
        }
        assert_eq!(memory.decided.len(), 1);
        assert!(memory.order.len() < 1100, "{}", memory.order.len());
    }

    #[test]
    fn a_note_that_comes_late_ends_no_pause() {
        let mut memory = Memory::new(REMEMBER);
        let until = |second| Some((at(second), "rate limited".to_owned()));
        let note = |paused| Record::Note {
            tenure: Tenure {
                account: account(),
                worker: "a".into(),
                number: 1,
            },
            at: at(0),
            left: Left::Untouched,
            paused,
        };
        memory.learn(note(until(600)));
        memory.learn(note(None));
        memory.learn(note(until(5)));
        let paused = memory.paused(at(10)).unwrap();
        assert_eq!(paused.until, at(600));
        assert_eq!(memory.paused(at(600)), None);
    }

    #[test]
    fn memory_is_bounded_in_number_and_time() {
        let mut memory = Memory::new(REMEMBER);
        for (index, id) in ["a", "b", "c", "d"].into_iter().enumerate() {
            memory.decide(&delivered(id, 0, i64::try_from(index).unwrap()));
        }
        assert!(memory.decided(&"a".parse().unwrap(), &turn(0)).is_none());
        assert!(memory.decided(&"b".parse().unwrap(), &turn(0)).is_some());
        assert!(
            memory.may_have_forgotten(at(0), at(-10)) && !memory.may_have_forgotten(at(1), at(-10))
        );
        memory.decide(&delivered("e", 0, 4000));
        assert!(memory.decided(&"d".parse().unwrap(), &turn(0)).is_none());
        assert_eq!(memory.decided.len(), 1);
    }
}
