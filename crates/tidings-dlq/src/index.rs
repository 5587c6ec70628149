use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidings_broker::{DeadEntry, DeadRecord, Position};
use tidings_model::{
    Account, LetterHead, LetterKey, LetterState, MessageId, Reason, Resolution, Verdict,
};

use crate::{Filter, Member, filter::Facts, signature};

/// What is counted by of every letter that is kept: small enough to have all of them at hand.
///
/// It takes the dead stream in, entry by entry, and [`Cache`](crate::Cache) keeps it from one time to the next.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Index {
    read: Option<Mark>,
    letters: Vec<Row>,
    accounts: Names<Account>,
    signatures: Names<String>,
    #[serde(skip)]
    places: HashMap<LetterKey, usize>,
}

/// The last entry that was taken in, so that another stream is known from this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) position: u64,
    content: u64,
}

impl Mark {
    pub(crate) fn of(entry: &DeadEntry) -> Self {
        let mut content = DefaultHasher::new();
        format!("{:?}", entry.record).hash(&mut content);
        Self {
            position: entry.position.0,
            content: content.finish(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Row {
    /// Where it stood first: it names a letter without an id.
    position: u64,
    /// Where it was written last: it is kept for as long as that is.
    kept: u64,
    id: Option<MessageId>,
    generation: u32,
    account: Option<u32>,
    reason: Reason,
    verdict: Option<Verdict>,
    status: Option<u16>,
    signature: u32,
    #[serde(with = "jiff::fmt::serde::timestamp::nanosecond::required")]
    dead_at: Timestamp,
    maybe_delivered: bool,
    state: LetterState,
}

/// One letter, as far as the index knows it.
#[derive(Debug, Clone)]
pub struct Indexed<'i> {
    /// Names it.
    pub key: LetterKey,
    /// Where its newest copy stands.
    pub position: Position,
    /// What has been done about it.
    pub state: LetterState,
    /// The rest.
    pub member: Member<'i>,
}

impl Index {
    /// Takes in the next entry.
    pub fn take_in(&mut self, entry: &DeadEntry) {
        match &entry.record {
            DeadRecord::Letter { head, body } => self.add(entry.position, head, body),
            DeadRecord::Resolution(resolution) => self.resolve(resolution),
            _ => {}
        }
    }

    /// The letters that a filter lets through, as they stand in the stream; what it asks about their content is not
    /// known here.
    pub fn letters<'i>(
        &'i self,
        filter: &'i Filter,
    ) -> impl DoubleEndedIterator<Item = Indexed<'i>> {
        let signed = |row: &Row| {
            let wanted = filter.signature.as_ref();
            wanted.is_none_or(|wanted| self.signatures.get(row.signature) == Some(wanted))
        };
        self.letters
            .iter()
            .filter(move |row| {
                filter.calls(|| row.key()) && filter.admits(self.facts(row)) && signed(row)
            })
            .map(|row| self.indexed(row))
    }

    /// One letter.
    #[must_use]
    pub fn letter(&self, key: &LetterKey) -> Option<Indexed<'_>> {
        let row = self.letters.get(*self.places.get(key)?)?;
        Some(self.indexed(row))
    }

    /// The accounts that letters are of.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.list.iter()
    }

    pub(crate) fn mark(&self) -> Option<Mark> {
        self.read
    }

    pub(crate) fn set_mark(&mut self, mark: Mark) {
        self.read = Some(mark);
    }

    /// Forgets what the stream forgot. Says whether there was anything.
    pub(crate) fn forget_before(&mut self, first: Position) -> bool {
        let before = self.letters.len();
        self.letters.retain(|row| row.kept >= first.0);
        let forgot = self.letters.len() < before;
        if forgot {
            self.place();
        }
        forgot
    }

    /// Knows again where each letter is, after it was read from a file.
    pub(crate) fn place(&mut self) {
        let letters = self.letters.iter().enumerate();
        self.places = letters.map(|(place, row)| (row.key(), place)).collect();
        self.accounts.place();
        self.signatures.place();
    }

    fn add(&mut self, position: Position, head: &LetterHead, body: &[u8]) {
        let key = head.key(position.0);
        if let Some(place) = self.places.get(&key) {
            self.letters[*place].kept = position.0;
            return;
        }
        let named = match &key {
            LetterKey::Place { position } => *position,
            LetterKey::Message { .. } => position.0,
        };
        let letter = head.clone().with_body(body, LetterState::Open);
        let facts = Facts::from(&letter);
        let row = Row {
            position: named,
            kept: position.0,
            id: head.id.clone(),
            generation: head.generation,
            account: facts.account.map(|account| self.accounts.number(account)),
            reason: facts.reason,
            verdict: facts.verdict,
            status: facts.status,
            signature: self.signatures.number(&signature(&letter)),
            dead_at: facts.dead_at,
            maybe_delivered: letter.maybe_delivered,
            state: LetterState::Open,
        };
        self.places.insert(key, self.letters.len());
        self.letters.push(row);
    }

    fn resolve(&mut self, resolution: &Resolution) {
        for key in &resolution.letters {
            if let Some(place) = self.places.get(key) {
                self.letters[*place].state = resolution.state;
            }
        }
    }

    fn account(&self, row: &Row) -> Option<&Account> {
        self.accounts.get(row.account?)
    }

    fn facts<'i>(&'i self, row: &'i Row) -> Facts<'i> {
        Facts {
            account: self.account(row),
            reason: row.reason,
            verdict: row.verdict,
            status: row.status,
            state: row.state,
            dead_at: row.dead_at,
        }
    }

    fn indexed<'i>(&'i self, row: &'i Row) -> Indexed<'i> {
        Indexed {
            key: row.key(),
            position: Position(row.kept),
            state: row.state,
            member: Member {
                account: self.account(row),
                reason: row.reason,
                signature: self.signatures.get(row.signature).map_or("", |text| text),
                dead_at: row.dead_at,
                maybe_delivered: row.maybe_delivered,
            },
        }
    }
}

impl Row {
    fn key(&self) -> LetterKey {
        match &self.id {
            Some(id) => LetterKey::Message {
                id: id.clone(),
                generation: self.generation,
            },
            None => LetterKey::Place {
                position: self.position,
            },
        }
    }
}

/// Numbers what comes again and again.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent, bound(deserialize = "T: Deserialize<'de>"))]
struct Names<T> {
    list: Vec<T>,
    #[serde(skip)]
    numbers: HashMap<T, u32>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            numbers: HashMap::new(),
        }
    }
}

impl<T: Clone + Eq + Hash> Names<T> {
    fn number(&mut self, name: &T) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.list.push(name.clone());
        self.numbers.insert(name.clone(), number);
        number
    }

    fn get(&self, number: u32) -> Option<&T> {
        self.list.get(usize::try_from(number).ok()?)
    }

    fn place(&mut self) {
        self.numbers = (0..)
            .zip(&self.list)
            .map(|(number, name)| (name.clone(), number))
            .collect();
    }
}
