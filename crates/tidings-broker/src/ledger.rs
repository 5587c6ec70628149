use bytes::Bytes;
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use tidings_model::{Audit, Claim, LetterHead, Record, Resolution, WorkerId, object};

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
        lines.filter_map(|line| match object::read(line) {
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
    /// An operation is about to act on letters.
    Claim(Claim),
    /// Letters have a new state.
    Resolution(Resolution),
    /// An operation began or ended.
    Audit(Audit),
}

/// What a record of the dead stream is, as adapters write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeadKind {
    Letter,
    Claim,
    Resolution,
    Audit,
}

impl DeadKind {
    const ALL: [Self; 4] = [Self::Letter, Self::Claim, Self::Resolution, Self::Audit];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Letter => "letter",
            Self::Claim => "claim",
            Self::Resolution => "resolution",
            Self::Audit => "audit",
        }
    }

    /// `None` for a later version's.
    pub(crate) fn from_str(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl DeadRecord {
    pub(crate) fn kind(&self) -> DeadKind {
        match self {
            Self::Letter { .. } => DeadKind::Letter,
            Self::Claim(_) => DeadKind::Claim,
            Self::Resolution(_) => DeadKind::Resolution,
            Self::Audit(_) => DeadKind::Audit,
        }
    }

    /// The record's JSON: of a letter, its head.
    pub(crate) fn json(&self) -> Vec<u8> {
        fn json(value: &impl Serialize) -> Vec<u8> {
            // Plain data with string keys: writing it to memory cannot fail.
            serde_json::to_vec(value).unwrap_or_default()
        }
        match self {
            Self::Letter { head, .. } => json(head),
            Self::Claim(claim) => json(claim),
            Self::Resolution(resolution) => json(resolution),
            Self::Audit(audit) => json(audit),
        }
    }

    /// Reads a record back; `body` is a letter's. What cannot be read is a later version's, and passed over with a
    /// warning.
    pub(crate) fn read(
        kind: DeadKind,
        position: Position,
        json: &[u8],
        body: impl FnOnce() -> Bytes,
    ) -> Option<Self> {
        fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
            object::read(json)
        }
        let read = match kind {
            DeadKind::Letter => parse(json).map(|head| Self::Letter { head, body: body() }),
            DeadKind::Claim => parse(json).map(Self::Claim),
            DeadKind::Resolution => parse(json).map(Self::Resolution),
            DeadKind::Audit => parse(json).map(Self::Audit),
        };
        let kind = kind.as_str();
        read.inspect_err(|error| {
            tracing::warn!(position = position.0, kind, %error, "an entry among the dead letters is not understood, and passed over");
        })
        .ok()
    }
}
