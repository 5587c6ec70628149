use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt, future};
use jiff::Timestamp;
use tidings_broker::{Broker, BrokerError, DeadEntry, DeadRecord, Position, ReadFrom, ReadUntil};
use tidings_model::{DeadLetter, LetterHead, LetterKey};

use crate::{Filter, Planned, Register, follow::read_next};

/// The clocks of broker and workers agree within a few seconds: reading begins so much earlier than what is asked for.
const SKEW: Duration = Duration::from_secs(60);

/// A dead letter, and where it stands.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Names it.
    pub key: LetterKey,
    /// Where it stands in the stream.
    pub position: Position,
    /// When it was written, or renewed last.
    pub written_at: Timestamp,
    /// The letter.
    pub letter: DeadLetter,
    /// The message's bytes, as they were.
    pub body: Bytes,
}

/// Reads the letters that a filter lets through, oldest first, up to now.
///
/// The stream is read twice: what was done about a letter stands behind it.
///
/// # Errors
/// When the broker is away or has no dead letters' stream.
pub async fn read(
    broker: &dyn Broker,
    filter: Filter,
) -> Result<impl Stream<Item = Result<Letter, BrokerError>> + Unpin + use<>, BrokerError> {
    let register = Register::read(broker, begin(&filter)).await?;
    read_with(broker, register, filter).await
}

/// The same, with what is known of the letters already.
///
/// # Errors
/// When the broker is away or has no dead letters' stream.
pub async fn read_with(
    broker: &dyn Broker,
    mut register: Register,
    filter: Filter,
) -> Result<impl Stream<Item = Result<Letter, BrokerError>> + Unpin + use<>, BrokerError> {
    let entries = broker.dead(begin(&filter), ReadUntil::Now).await?;
    let mut told = Told::default();
    Ok(entries.filter_map(move |entry| {
        let letter = entry.map(|entry| {
            register.take_in(&entry);
            Letter::wanted(entry, &mut told, &register, &filter)
        });
        future::ready(letter.transpose())
    }))
}

/// From where the letters that a filter lets through, and what was done about them, are read.
pub(crate) fn begin(filter: &Filter) -> ReadFrom {
    let since = filter.since.and_then(|since| since.checked_sub(SKEW).ok());
    since.map_or(ReadFrom::First, ReadFrom::Since)
}

impl Letter {
    /// The letter that an entry holds, where none of its key was told before and the filter lets it through.
    pub(crate) fn wanted(
        entry: DeadEntry,
        told: &mut Told,
        register: &Register,
        filter: &Filter,
    ) -> Option<Self> {
        let DeadRecord::Letter { head, body } = entry.record else {
            return None;
        };
        let key = told.first(&head, entry.position)?;
        let letter = Self::new(key, entry.position, head, body, register);
        filter
            .includes(&letter.key, &letter.letter, &letter.body)
            .then_some(letter)
    }

    /// The letter that an entry holds, in the state that the register knows; `None` where it holds something else.
    pub(crate) fn open(entry: DeadEntry, register: &Register) -> Option<Self> {
        let DeadRecord::Letter { head, body } = entry.record else {
            return None;
        };
        let key = head.key(entry.position.0);
        Some(Self::new(key, entry.position, head, body, register))
    }

    pub(crate) fn new(
        key: LetterKey,
        position: Position,
        head: LetterHead,
        body: Bytes,
        register: &Register,
    ) -> Self {
        let standing = register.standing(&key);
        let written_at = standing.and_then(|standing| standing.written_at);
        let written_at = written_at.unwrap_or(head.dead_at);
        let letter = head.with_body(&body, register.state(&key));
        Self {
            key,
            position,
            written_at,
            letter,
            body,
        }
    }
}

/// A letter as it stands in the stream.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) key: LetterKey,
    pub(crate) head: LetterHead,
    pub(crate) body: Bytes,
}

/// Bodies of so many bytes are held at once, unless one alone is larger.
const HELD: usize = 8 << 20;

/// Reads planned letters, which are in the stream's order, until there are enough of them in memory; returns also those
/// that it did not come to. One that is in neither is no longer kept.
pub(crate) async fn bodies<'p>(
    broker: &dyn Broker,
    letters: &'p [Planned],
) -> Result<(Vec<Raw>, &'p [Planned]), BrokerError> {
    let mut found = Vec::new();
    let (Some(first), Some(last)) = (letters.first(), letters.last()) else {
        return Ok((found, letters));
    };
    let before = first.position.0.checked_sub(1).map(Position);
    let from = before.map_or(ReadFrom::First, ReadFrom::After);
    // Something is there behind the last one: the audit's word that this operation began, for one.
    let mut entries = broker.dead(from, ReadUntil::Forever).await?;
    let (mut held, mut rest) = (0, letters);
    while let Some(next) = rest.first()
        && held < HELD
    {
        let entry = read_next(&mut entries, broker).await?;
        if entry.position > last.position {
            return Ok((found, &[]));
        }
        if entry.position < next.position {
            continue;
        }
        let passed = rest.partition_point(|letter| letter.position < entry.position);
        rest = &rest[passed..];
        if let Some(letter) = rest
            .first()
            .filter(|letter| letter.position == entry.position)
            && let DeadRecord::Letter { head, body } = entry.record
        {
            rest = &rest[1..];
            held += body.len();
            let key = letter.key.clone();
            found.push(Raw { key, head, body });
        }
    }
    Ok((found, rest))
}

/// A letter can stand in the stream more than once: written again after a crash, or renewed. The first counts.
#[derive(Debug, Default)]
pub(crate) struct Told(HashSet<LetterKey>);

impl Told {
    /// The letter's key, where it was not told before.
    pub(crate) fn first(&mut self, head: &LetterHead, position: Position) -> Option<LetterKey> {
        let key = head.key(position.0);
        self.0.insert(key.clone()).then_some(key)
    }
}
