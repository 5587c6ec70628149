use bytes::Bytes;
use jiff::Timestamp;
use tidings_model::{LetterHead, Record, WorkerId};

/// A place in a stream: counts up, with gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position(pub u64);

/// Where to begin reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// At the oldest that is kept.
    First,
    /// Behind this position.
    After(Position),
    /// At what was written then. Somewhat older entries can come first.
    Since(Timestamp),
    /// At what is written from now on.
    Next,
}

/// Where to stop reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadUntil {
    /// At what had been written when the reading began.
    Now,
    /// Never: what is written later follows, also after the connection was lost.
    Forever,
}

/// What an entry of the ledger holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// Decisions.
    Decisions,
    /// Notes about tenures.
    Tenures,
}

/// One entry of the ledger: a batch of records of one writer.
#[derive(Debug, Clone)]
pub struct LedgerEntry {
    /// Where it stands.
    pub position: Position,
    /// Who wrote it.
    pub writer: Option<WorkerId>,
    /// What it holds.
    pub kind: EntryKind,
    /// The records, a line of JSON each.
    pub lines: Bytes,
}

impl LedgerEntry {
    /// The records. A line that is none (a later version's) is passed over, with a warning.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let lines = self
            .lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        lines.filter_map(|line| match serde_json::from_slice(line) {
            Ok(record) => Some(record),
            Err(error) => {
                tracing::warn!(position = self.position.0, %error, "a line of the ledger is not understood, and passed over");
                None
            }
        })
    }

    /// For adapters: the lines of these records.
    #[must_use]
    pub fn lines<'r>(records: impl IntoIterator<Item = &'r Record>) -> Vec<u8> {
        let mut lines = Vec::with_capacity(256);
        for record in records {
            // Plain data with string keys: writing it to memory cannot fail.
            let _ = serde_json::to_writer(&mut lines, record);
            lines.push(b'\n');
        }
        lines
    }
}

/// One entry of the dead stream.
#[derive(Debug, Clone)]
pub struct DeadEntry {
    /// Where it stands.
    pub position: Position,
    /// What it is.
    pub record: DeadRecord,
}

/// What the dead stream holds.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum DeadRecord {
    /// A dead letter, with its message's bytes as they were.
    Letter {
        /// What stands beside the bytes.
        head: LetterHead,
        /// The message's bytes.
        body: Bytes,
    },
}
