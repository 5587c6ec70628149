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
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn key(id: &str) -> LetterKey {
        LetterKey::Message {
            id: id.parse().unwrap(),
            generation: 0,
        }
    }

    fn operation(number: u128) -> OperationId {
        format!("{number:032x}").parse().unwrap()
    }

    fn letter(id: &str) -> DeadRecord {
        DeadRecord::Letter {
            head: LetterHead {
                id: Some(id.parse().unwrap()),
                account: None,
                reason: tidings_model::Reason::Rejected,
                attempts: Vec::new(),
                dead_at: at(0),
                generation: 0,
                maybe_delivered: false,
                stood_at: None,
            },
            body: bytes::Bytes::new(),
        }
    }

    fn claim(number: u128, id: &str, take_over: bool) -> DeadRecord {
        DeadRecord::Claim(Claim {
            operation: operation(number),
            by: "ann@host".into(),
            at: at(1),
            letters: vec![key(id)],
            take_over,
        })
    }

    fn resolution(number: u128, id: &str, state: LetterState) -> DeadRecord {
        DeadRecord::Resolution(Resolution {
            operation: operation(number),
            at: at(9),
            letters: vec![key(id)],
            state,
            new_id: None,
        })
    }

    fn began(number: u128, verb: Verb) -> DeadRecord {
        DeadRecord::Audit(Audit::Began(Began {
            operation: operation(number),
            verb,
            by: "ann@host".into(),
            at: at(1),
            which: "all".into(),
            planned: 1,
            why: None,
            parameters: serde_json::Value::Null,
        }))
    }

    fn ended(number: u128) -> DeadRecord {
        DeadRecord::Audit(Audit::Ended(Ended {
            operation: operation(number),
            by: "ann@host".into(),
            at: at(2),
            done: 0,
            failed: 0,
            skipped: 0,
            stopped: None,
        }))
    }

    fn of(records: impl IntoIterator<Item = DeadRecord>) -> Register {
        let mut register = Register::default();
        for (position, record) in (0..).map(Position).zip(records) {
            let entry = DeadEntry { position, record };
            register.take_in(&entry);
            register.take_in(&entry);
        }
        register
    }

    #[test]
    fn the_first_claim_holds_until_its_operation_has_ended() {
        let mut records = vec![letter("a"), claim(1, "a", false), claim(2, "a", false)];
        let holder = |records: &[DeadRecord]| of(records.to_vec()).holder(&key("a"));
        assert_eq!(holder(&records), Some(operation(1)));
        records.push(ended(1));
        assert_eq!(
            holder(&records),
            None,
            "the second one learned that it lost"
        );
        records.push(claim(3, "a", false));
        assert_eq!(holder(&records), Some(operation(3)));
        records.push(claim(4, "a", true));
        assert_eq!(holder(&records), Some(operation(4)));
        records.push(resolution(4, "a", LetterState::Discarded));
        assert_eq!(holder(&records), None);
    }

    #[test]
    fn a_letter_that_is_written_again_is_the_same_letter() {
        let register = of([
            letter("a"),
            resolution(1, "a", LetterState::Replayed),
            letter("a"),
            letter("b"),
        ]);
        assert_eq!(register.letters().count(), 2);
        assert_eq!(register.state(&key("a")), LetterState::Replayed);
        assert_eq!(register.state(&key("b")), LetterState::Open);
        assert_eq!(register.state(&key("c")), LetterState::Open);
    }

    #[test]
    fn what_was_done_about_a_letter_outlives_its_first_copy() {
        let register = of([
            began(1, Verb::Discard),
            resolution(1, "a", LetterState::Discarded),
            letter("a"),
        ]);
        assert_eq!(register.state(&key("a")), LetterState::Discarded);
        assert_eq!(register.operation(operation(1)).unwrap().resolved, 1);
    }

    #[test]
    fn what_a_replay_may_have_sent_is_in_doubt_until_it_is_replayed() {
        let mut records = vec![letter("a"), began(1, Verb::Replay), claim(1, "a", false)];
        let doubt =
            |records: &[DeadRecord]| of(records.to_vec()).standing(&key("a")).unwrap().doubt;
        assert_eq!(doubt(&records), None, "who holds it knows");
        records.extend([began(2, Verb::Renew), claim(2, "a", true)]);
        assert_eq!(doubt(&records), Some(at(1)));
        records.push(resolution(2, "a", LetterState::Open));
        assert_eq!(doubt(&records), Some(at(1)));
        records.push(resolution(3, "a", LetterState::Replayed));
        assert_eq!(doubt(&records), None);
    }

    #[test]
    fn what_the_stream_forgot_is_forgotten() {
        let mut register = of([
            letter("a"),
            letter("b"),
            began(1, Verb::Renew),
            claim(1, "a", false),
            letter("a"),
        ]);
        register.forget_before(Position(2));
        let kept: Vec<_> = register.letters().map(|(key, _)| key.clone()).collect();
        assert_eq!(kept, [key("a")], "a copy of it is kept");
        register.forget_before(Position(9));
        assert_eq!(register.operations().count(), 0);
    }

    #[test]
    fn a_renewal_changes_nothing_but_how_long_a_letter_is_kept() {
        let register = of([
            letter("a"),
            resolution(1, "a", LetterState::Open),
            began(2, Verb::Renew),
            claim(2, "a", false),
            letter("a"),
            resolution(2, "a", LetterState::Open),
        ]);
        let standing = register.standing(&key("a")).unwrap();
        assert_eq!(standing.written_at, Some(at(9)));
        assert_eq!(standing.resolved_by, Some(operation(1)));
        assert_eq!(register.holder(&key("a")), None);
    }
}
