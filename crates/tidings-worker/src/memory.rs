//! What a worker remembers of one lane: the decided, its tenures, its pause. Filled from the ledger, and from one's
//! own decisions as they are made.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
};

use jiff::{SignedDuration, Timestamp};
use tidings_broker::Effect;
use tidings_model::{
    Account, Attempt, Decision, Headers, MessageId, Outcome, Pauses, Reason, Record, Verdicted,
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
    pub(crate) pauses: Pauses,
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
            pauses: Pauses::default(),
        }
    }

    fn key(&self, id: &MessageId, generation: u32) -> Key {
        let what = (id.as_str(), generation);
        (self.hashers.0.hash_one(what), self.hashers.1.hash_one(what))
    }

    /// Takes in one record of the lane's ledger.
    pub(crate) fn learn(&mut self, record: Record) {
        if let Some(pauses) = pauses_of(&record) {
            self.pauses.learn(pauses);
        }
        match record {
            Record::Decided(decision) => self.decide(&decision),
            Record::Opened { tenure, .. } => self.tenures.opened(tenure),
            Record::Note { tenure, left, .. } => self.tenures.noted(&tenure, left),
            Record::Standing { last, .. } => {
                if let Some((tenure, left)) = last.map(|last| *last) {
                    self.tenures.restated(tenure, left);
                }
            }
            // Orders are the lane memory's.
            Record::Paused { .. } | Record::Reopened { .. } | Record::Ordered { .. } => {}
        }
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

/// What a record tells of its lane's pauses.
pub(crate) fn pauses_of(record: &Record) -> Option<Pauses> {
    match record {
        Record::Note { pauses, .. } | Record::Standing { pauses, .. } => Some(pauses.clone()),
        Record::Paused { paused, .. } => Some(Pauses {
            paused: Some(paused.clone()),
            reopened: None,
        }),
        Record::Reopened { at, .. } => Some(Pauses {
            paused: None,
            reopened: Some(*at),
        }),
        Record::Decided(_) | Record::Opened { .. } | Record::Ordered { .. } => None,
    }
}

/// Which lane a record is about.
pub(crate) fn lane_of(record: &Record) -> &Account {
    match record {
        Record::Decided(decision) => decision.account(),
        Record::Opened { tenure, .. } | Record::Note { tenure, .. } => &tenure.account,
        Record::Paused { account, .. }
        | Record::Reopened { account, .. }
        | Record::Ordered { account, .. }
        | Record::Standing { account, .. } => account,
    }
}

#[cfg(test)]
mod tests;
