use std::collections::{BTreeMap, HashMap};

use futures::StreamExt;
use jiff::Timestamp;
use tidings_broker::{Broker, BrokerError, DeadEntry, DeadRecord, Position, ReadFrom, ReadUntil};
use tidings_model::{
    Audit, Began, Claim, Ended, LetterHead, LetterKey, LetterState, MessageId, OperationId,
    Resolution, Verb,
};

use crate::Planned;

/// What the dead stream says of letters and operations, as far as it was read. Taken in entry by entry, in the
/// stream's order; an entry that was taken in already changes nothing.
#[derive(Debug, Clone, Default)]
pub struct Register {
    read: Option<Position>,
    letters: HashMap<LetterKey, Standing>,
    operations: BTreeMap<OperationId, Operation>,
}

/// What is known of one letter beside its content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Where it stands first; `None` where only what was done about it is kept any more.
    pub position: Option<Position>,
    /// What has been done about it.
    pub state: LetterState,
    /// Who did that last.
    pub resolved_by: Option<OperationId>,
    /// The message that an edit made of it.
    pub new_id: Option<MessageId>,
    /// When it was last written: what is kept of the stream is counted from then.
    pub written_at: Option<Timestamp>,
    /// Since when its message may have been sent again by a replay that somebody took it over from.
    pub doubt: Option<Timestamp>,
    claimed_by: Option<OperationId>,
    /// Where it was spoken of last.
    kept: Option<Position>,
}

/// What is known of one operation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Operation {
    /// Its beginning; `None` where that is no longer kept.
    pub began: Option<Began>,
    /// Its end, where it has come to it.
    pub ended: Option<Ended>,
    /// How many letters it claimed, whether it got them or not.
    pub claimed: u64,
    /// For how many it wrote a new state.
    pub resolved: u64,
    /// Behind which place of the stream it began: it saw nothing of what comes later.
    pub position: Option<Position>,
    /// Where it was spoken of last.
    kept: Option<Position>,
}

impl Register {
    /// Reads the stream from there up to now.
    ///
    /// # Errors
    /// When the broker is away or has no dead letters' stream.
    pub async fn read(broker: &dyn Broker, from: ReadFrom) -> Result<Self, BrokerError> {
        let mut register = Self::default();
        let mut entries = broker.dead(from, ReadUntil::Now).await?;
        while let Some(entry) = entries.next().await {
            register.take_in(&entry?);
        }
        Ok(register)
    }

    /// Takes in the next entry.
    pub fn take_in(&mut self, entry: &DeadEntry) {
        if self.read >= Some(entry.position) {
            return;
        }
        self.read = Some(entry.position);
        match &entry.record {
            DeadRecord::Letter { head, .. } => self.letter(entry.position, head),
            DeadRecord::Claim(claim) => self.claim(entry.position, claim),
            DeadRecord::Resolution(resolution) => self.resolve(entry.position, resolution),
            DeadRecord::Audit(Audit::Began(began)) => self.began(entry.position, began),
            DeadRecord::Audit(Audit::Ended(ended)) => self.ended(entry.position, ended),
            // A later version's.
            _ => {}
        }
    }

    /// Up to where the stream was read.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.read
    }

    /// What is known of a letter; nothing has been done about one that was not read yet.
    #[must_use]
    pub fn standing(&self, key: &LetterKey) -> Option<&Standing> {
        self.letters.get(key)
    }

    /// A letter's state.
    #[must_use]
    pub fn state(&self, key: &LetterKey) -> LetterState {
        self.standing(key)
            .map_or_else(LetterState::default, |standing| standing.state)
    }

    /// Which operation a letter is claimed by: one that has not ended, and has not resolved it.
    #[must_use]
    pub fn holder(&self, key: &LetterKey) -> Option<OperationId> {
        let holder = self.standing(key)?.claimed_by?;
        let ended = self
            .operation(holder)
            .is_some_and(|one| one.ended.is_some());
        (!ended).then_some(holder)
    }

    /// Since when a letter's message may have been sent again by a replay that nobody saw the end of.
    pub(crate) fn in_doubt_since(&self, key: &LetterKey) -> Option<Timestamp> {
        let earlier = self.standing(key)?.doubt;
        let holder = self.holder(key);
        let holders = holder.and_then(|holder| self.may_have_sent_since(holder));
        earlier.into_iter().chain(holders).min()
    }

    /// Whether an operation that renews letters holds it: what is written of it then is a copy.
    pub(crate) fn is_being_renewed(&self, key: &LetterKey) -> bool {
        let holder = self.holder(key).and_then(|holder| self.operation(holder));
        holder.is_some_and(|holder| holder.is(Verb::Renew))
    }

    /// Forgets what the stream forgot.
    pub(crate) fn forget_before(&mut self, first: Position) {
        let is_kept = |kept: Option<Position>| kept >= Some(first);
        self.letters.retain(|_, standing| is_kept(standing.kept));
        self.operations
            .retain(|_, operation| is_kept(operation.kept));
        let operations = &self.operations;
        for standing in self.letters.values_mut() {
            let known = |by: &OperationId| operations.contains_key(by);
            standing.claimed_by = standing.claimed_by.filter(known);
        }
    }

    /// The letters that are kept, in no order.
    pub fn letters(&self) -> impl Iterator<Item = (&LetterKey, &Standing)> {
        let kept = |(_, standing): &(_, &Standing)| standing.position.is_some();
        self.letters.iter().filter(kept)
    }

    /// The letters that an operation holds or has resolved, in the stream's order.
    #[must_use]
    pub fn letters_of(&self, operation: OperationId) -> Vec<Planned> {
        let its = |standing: &Standing| {
            let operation = Some(operation);
            standing.claimed_by == operation || standing.resolved_by == operation
        };
        let letters = self.letters.iter().filter(|(_, standing)| its(standing));
        let mut letters: Vec<Planned> = letters
            .filter_map(|(key, standing)| {
                Some(Planned {
                    key: key.clone(),
                    position: standing.position?,
                })
            })
            .collect();
        letters.sort_by_key(|letter| letter.position);
        letters
    }

    /// One operation.
    #[must_use]
    pub fn operation(&self, id: OperationId) -> Option<&Operation> {
        self.operations.get(&id)
    }

    /// All operations, in the order of their beginning.
    pub fn operations(&self) -> impl DoubleEndedIterator<Item = (OperationId, &Operation)> {
        self.operations
            .iter()
            .map(|(id, operation)| (*id, operation))
    }

    fn letter(&mut self, position: Position, head: &LetterHead) {
        let standing = self.letters.entry(head.key(position.0)).or_default();
        standing.position.get_or_insert(position);
        standing.kept = Some(position);
        standing.written_at = standing.written_at.max(Some(head.dead_at));
    }

    /// One operation, of which more is said there.
    fn spoken_of(&mut self, id: OperationId, position: Position) -> &mut Operation {
        let operation = self.operations.entry(id).or_default();
        operation.kept = Some(position);
        operation
    }

    fn claim(&mut self, position: Position, claim: &Claim) {
        let operation = self.spoken_of(claim.operation, position);
        operation.claimed += claim.letters.len() as u64;
        for key in &claim.letters {
            let holder = self.holder(key);
            if claim.take_over || holder.is_none() {
                let doubt = holder.and_then(|holder| self.may_have_sent_since(holder));
                let standing = self.letters.entry(key.clone()).or_default();
                if holder != Some(claim.operation) {
                    standing.doubt = standing.doubt.into_iter().chain(doubt).min();
                }
                standing.claimed_by = Some(claim.operation);
                standing.kept = Some(position);
            }
        }
    }

    /// Since when an operation may have sent the messages of the letters that it holds; nothing but a replay does. Of one
    /// whose beginning is no longer kept nobody knows.
    fn may_have_sent_since(&self, operation: OperationId) -> Option<Timestamp> {
        let began = self.operation(operation)?.began.as_ref();
        match began {
            None => Some(Timestamp::MIN),
            Some(began) => (began.verb == Verb::Replay).then_some(began.at),
        }
    }

    fn resolve(&mut self, position: Position, resolution: &Resolution) {
        let operation = self.spoken_of(resolution.operation, position);
        operation.resolved += resolution.letters.len() as u64;
        let renews = operation.is(Verb::Renew);
        for key in &resolution.letters {
            // The letter itself may be kept by a copy further down alone.
            let standing = self.letters.entry(key.clone()).or_default();
            standing.claimed_by = None;
            standing.kept = Some(position);
            if renews {
                standing.written_at = Some(resolution.at);
                continue;
            }
            if resolution.state == LetterState::Replayed {
                standing.doubt = None;
            }
            standing.state = resolution.state;
            standing.resolved_by = Some(resolution.operation);
            standing.new_id = resolution.new_id.clone();
        }
    }

    fn began(&mut self, position: Position, began: &Began) {
        let operation = self.spoken_of(began.operation, position);
        operation.position.get_or_insert(position);
        operation.began.get_or_insert_with(|| began.clone());
    }

    fn ended(&mut self, position: Position, ended: &Ended) {
        let operation = self.spoken_of(ended.operation, position);
        operation.ended.get_or_insert_with(|| ended.clone());
    }
}

impl Operation {
    fn is(&self, verb: Verb) -> bool {
        let began = self.began.as_ref();
        began.is_some_and(|began| began.verb == verb)
    }
}

#[cfg(test)]
mod tests;
