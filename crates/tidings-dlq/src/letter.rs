use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt, future};
use jiff::Timestamp;
use tidings_broker::{Broker, BrokerError, DeadEntry, DeadRecord, Position, ReadFrom, ReadUntil};
use tidings_model::{DeadLetter, LetterState, MessageId};

use crate::Filter;

/// The clocks of broker and workers agree within a few seconds: reading begins so much earlier than what is asked for.
const SKEW: Duration = Duration::from_secs(60);

/// A dead letter, and where it stands.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Where it stands in the stream.
    pub position: Position,
    /// The letter.
    pub letter: DeadLetter,
    /// The message's bytes, as they were.
    pub body: Bytes,
}

/// Reads the letters that a filter lets through, oldest first, up to now.
///
/// # Errors
/// When the broker is away or has no dead letters' stream.
pub async fn read(
    broker: &dyn Broker,
    filter: Filter,
) -> Result<impl Stream<Item = Result<Letter, BrokerError>> + Unpin + use<>, BrokerError> {
    let from = filter.since.map_or(ReadFrom::First, begin);
    let entries = broker.dead(from, ReadUntil::Now).await?;
    let mut told = Told::default();
    Ok(entries.filter_map(move |entry| {
        let letter = match entry {
            Ok(entry) => open(entry)
                .filter(|letter| {
                    told.is_first(letter) && filter.includes(&letter.letter, &letter.body)
                })
                .map(Ok),
            Err(error) => Some(Err(error)),
        };
        future::ready(letter)
    }))
}

fn begin(since: Timestamp) -> ReadFrom {
    since
        .checked_sub(SKEW)
        .map_or(ReadFrom::First, ReadFrom::Since)
}

fn open(entry: DeadEntry) -> Option<Letter> {
    match entry.record {
        DeadRecord::Letter { head, body } => Some(Letter {
            position: entry.position,
            letter: head.with_body(&body, LetterState::Open),
            body,
        }),
        // A later version's records say nothing of a letter's content.
        _ => None,
    }
}

/// A decision that was repeated after a crash can have written its letter twice.
#[derive(Debug, Default)]
struct Told(HashSet<(MessageId, u32)>);

impl Told {
    fn is_first(&mut self, letter: &Letter) -> bool {
        let key = |id: &MessageId| (id.clone(), letter.letter.generation);
        match letter.letter.message.id() {
            Some(id) => self.0.insert(key(id)),
            None => true,
        }
    }
}
