use std::{collections::BTreeMap, fmt};

use futures::StreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidings_broker::{Broker, BrokerError, DeadRecord, Position, ReadUntil};
use tidings_model::{
    Account, DeadLetter, LetterKey, LetterMessage, LetterState, OperationId, Reason, Verb,
};

use crate::{
    Filter, Order, Register, Shortlist,
    letter::{Letter, Told, begin},
};

/// Which letters an operation is for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// Those that this lets through.
    pub filter: Filter,
    /// At most so many of them.
    pub limit: Option<usize>,
    /// Which ones, where there are more: without it, those that stand first.
    pub sort: Option<Order>,
    /// Also those that may have been delivered.
    pub including_unknown: bool,
    /// Also those that another operation has claimed and left.
    pub take_over: bool,
    /// Only those that were written before then, and not renewed since.
    pub written_before: Option<Timestamp>,
    /// Up to where the stream was read when it was planned: a plan never grows.
    pub upto: Option<u64>,
}

/// What an operation would do, told before it does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What it does.
    pub verb: Verb,
    /// What was asked.
    pub request: Request,
    /// The letters, in the stream's order.
    pub letters: Vec<Planned>,
    /// How many of each account; `None` where that is not known.
    pub accounts: BTreeMap<Option<Account>, u64>,
    /// How many for each reason.
    pub reasons: BTreeMap<Reason, u64>,
    /// How many may have been delivered.
    pub maybe_delivered: u64,
    /// How many were asked for and are left alone, and why.
    pub skipped: BTreeMap<Skip, u64>,
    pub(crate) register: Register,
}

/// A letter that is acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Names it.
    pub key: LetterKey,
    /// Where it stands.
    pub position: Position,
}

/// What is counted of a letter that is acted on.
struct Facts {
    account: Option<Account>,
    reason: Reason,
    maybe_delivered: bool,
}

/// Why a letter that was asked for is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skip {
    /// It may have been delivered.
    MaybeDelivered,
    /// What has expired is sent only once it was edited.
    Expired,
    /// It is no message.
    Undecodable,
    /// A later replay of the same message died as well: that letter is the one to act on.
    Superseded,
    /// Its state does not fit what is to be done.
    State(LetterState),
    /// Another operation has claimed it.
    Claimed(OperationId),
}

/// In the words of the audit.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.filter.fmt(f)?;
        if let Some(before) = self.written_before {
            write!(f, ", written before {before}")?;
        }
        if self.including_unknown {
            write!(f, ", also what may have been delivered")?;
        }
        if self.take_over {
            write!(f, ", also what others claimed")?;
        }
        if let Some(limit) = self.limit {
            write!(f, ", at most {limit}")?;
        }
        match self.sort {
            Some(order) => write!(f, ", {order} first"),
            None => Ok(()),
        }
    }
}

impl Plan {
    /// Reads the stream, as far as it was written, and plans. What was planned once, and is confirmed now, does not grow.
    pub(crate) async fn make(
        broker: &dyn Broker,
        verb: Verb,
        mut request: Request,
        now: Timestamp,
    ) -> Result<Self, BrokerError> {
        let register = Register::read(broker, begin(&request.filter)).await?;
        request.upto = request
            .upto
            .or(register.position().map(|position| position.0));
        Self::again(broker, verb, request, now, register, None).await
    }

    /// Plans again, among the letters that were there the first time; those that `own` has claimed already are its own.
    pub(crate) async fn again(
        broker: &dyn Broker,
        verb: Verb,
        request: Request,
        now: Timestamp,
        register: Register,
        own: Option<OperationId>,
    ) -> Result<Self, BrokerError> {
        let mut told = Told::default();
        let mut chosen = Shortlist::new(request.sort.unwrap_or(Order::Oldest), request.limit);
        let mut skipped = BTreeMap::new();
        let mut taken = 0;
        let most = request.limit.filter(|_| request.sort.is_none());
        let mut entries = broker.dead(begin(&request.filter), ReadUntil::Now).await?;
        while let Some(entry) = entries.next().await {
            let entry = entry?;
            if Some(entry.position.0) > request.upto || Some(taken) == most {
                break;
            }
            let DeadRecord::Letter { head, body } = entry.record else {
                continue;
            };
            let Some(key) = told.first(&head, entry.position) else {
                continue;
            };
            let letter = Letter::new(key, entry.position, head, body, &register);
            let before = request.written_before;
            let old_enough = before.is_none_or(|before| letter.written_at < before);
            if !old_enough
                || !request
                    .filter
                    .includes(&letter.key, &letter.letter, &letter.body)
            {
                continue;
            }
            match judge(verb, &letter, &request, &register, own, now) {
                Some(skip) => *skipped.entry(skip).or_default() += 1,
                None => {
                    taken += 1;
                    chosen.push(
                        &letter.letter,
                        (Planned::from(&letter), Facts::from(&letter)),
                    );
                }
            }
        }
        let (mut letters, facts): (Vec<_>, Vec<_>) = chosen.finish().into_iter().unzip();
        letters.sort_by_key(|letter: &Planned| letter.position);
        Ok(Self {
            verb,
            request,
            letters,
            accounts: counted(&facts, |facts| facts.account.clone()),
            reasons: counted(&facts, |facts| facts.reason),
            maybe_delivered: facts.iter().filter(|facts| facts.maybe_delivered).count() as u64,
            skipped,
            register,
        })
    }

    #[cfg(test)]
    pub(crate) fn of(verb: Verb) -> Self {
        Self {
            verb,
            request: Request::default(),
            letters: Vec::new(),
            accounts: BTreeMap::new(),
            reasons: BTreeMap::new(),
            maybe_delivered: 0,
            skipped: BTreeMap::new(),
            register: Register::default(),
        }
    }

    /// How many letters are acted on.
    #[must_use]
    pub fn planned(&self) -> u64 {
        self.letters.len() as u64
    }

    /// How many were asked for and are left alone.
    #[must_use]
    pub fn left_alone(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// What the stream says, as far as it was read.
    #[must_use]
    pub fn register(&self) -> &Register {
        &self.register
    }
}

fn counted<K: Ord>(letters: &[Facts], key: impl Fn(&Facts) -> K) -> BTreeMap<K, u64> {
    let mut counts = BTreeMap::new();
    for facts in letters {
        *counts.entry(key(facts)).or_default() += 1;
    }
    counts
}

/// Why a letter is left alone, if it is.
fn judge(
    verb: Verb,
    letter: &Letter,
    request: &Request,
    register: &Register,
    own: Option<OperationId>,
    now: Timestamp,
) -> Option<Skip> {
    let (key, content) = (&letter.key, &letter.letter);
    let fits = match verb {
        Verb::Restore => matches!(content.state, LetterState::Discarded | LetterState::Edited),
        _ => content.state == LetterState::Open,
    };
    if !fits {
        return Some(Skip::State(content.state));
    }
    let holder = register.holder(key).filter(|_| !request.take_over);
    if let Some(holder) = holder.filter(|holder| Some(*holder) != own) {
        return Some(Skip::Claimed(holder));
    }
    match verb {
        Verb::Replay => may_be_replayed(key, content, request, register, now),
        _ => None,
    }
}

fn may_be_replayed(
    key: &LetterKey,
    letter: &DeadLetter,
    request: &Request,
    register: &Register,
    now: Timestamp,
) -> Option<Skip> {
    let (LetterMessage::Whole(message), LetterKey::Message { id, generation }) =
        (&letter.message, key)
    else {
        return Some(Skip::Undecodable);
    };
    let next = generation
        .checked_add(1)
        .map(|generation| LetterKey::Message {
            id: id.clone(),
            generation,
        });
    // Whoever publishes can claim any generation; none comes after the last.
    if next.is_none_or(|next| {
        let standing = register.standing(&next);
        standing.is_some_and(|next| next.position.is_some())
    }) {
        Some(Skip::Superseded)
    } else if message.expires().is_some_and(|expires| expires <= now) {
        Some(Skip::Expired)
    } else if letter.maybe_delivered && !request.including_unknown {
        Some(Skip::MaybeDelivered)
    } else {
        None
    }
}

impl From<&Letter> for Planned {
    fn from(letter: &Letter) -> Self {
        Self {
            key: letter.key.clone(),
            position: letter.position,
        }
    }
}

impl From<&Letter> for Facts {
    fn from(letter: &Letter) -> Self {
        Self {
            account: letter.letter.message.account().cloned(),
            reason: letter.letter.reason,
            maybe_delivered: letter.letter.maybe_delivered,
        }
    }
}
