use rusqlite::{Connection, OptionalExtension, Params, params};
use tidings_model::{Record, WorkerId};

use super::{clock, news::Topic};
use crate::EntryKind;

/// An entry of the ledger grows no larger than this by further records, in bytes.
const MAX_ENTRY: usize = 1 << 20;

/// One transaction, which several jobs share.
pub(super) struct Batch<'c> {
    pub(super) db: &'c Connection,
    pub(super) fleet: i64,
    /// When it began, in milliseconds since 1970.
    pub(super) now: i64,
    /// The same in milliseconds that the host is up.
    pub(super) uptime: i64,
    name: &'c WorkerId,
    told: Vec<Topic>,
    /// Records that wait to become one entry of the ledger.
    lines: Vec<u8>,
    kind: EntryKind,
}

impl<'c> Batch<'c> {
    pub(super) fn new(db: &'c Connection, fleet: i64, name: &'c WorkerId) -> Self {
        Self {
            db,
            fleet,
            now: clock::now(),
            uptime: clock::uptime(),
            name,
            told: Vec::new(),
            lines: Vec::new(),
            kind: EntryKind::Decisions,
        }
    }

    /// Runs a statement; returns how many rows it touched.
    pub(super) fn execute(
        &self,
        sql: &'static str,
        params: impl Params,
    ) -> rusqlite::Result<usize> {
        self.db.prepare_cached(sql)?.execute(params)
    }

    /// The number in the first column of the first row, where there is a row.
    pub(super) fn number(
        &self,
        sql: &'static str,
        params: impl Params,
    ) -> rusqlite::Result<Option<i64>> {
        let mut statement = self.db.prepare_cached(sql)?;
        statement.query_row(params, |row| row.get(0)).optional()
    }

    /// What those who wait for news are told once it is on the disk.
    pub(super) fn tell(&mut self, topic: Topic) {
        if !self.told.contains(&topic) {
            self.told.push(topic);
        }
    }

    /// Adds a record's line to the ledger, in the order of the calls.
    pub(super) fn record(&mut self, kind: EntryKind, line: &[u8]) -> rusqlite::Result<()> {
        if kind != self.kind || self.lines.len() + line.len() > MAX_ENTRY {
            self.flush()?;
            self.kind = kind;
        }
        self.lines.extend_from_slice(line);
        Ok(())
    }

    /// Writes what waits, and says what there is news about.
    pub(super) fn finish(mut self) -> rusqlite::Result<Vec<Topic>> {
        self.flush()?;
        Ok(self.told)
    }

    fn flush(&mut self) -> rusqlite::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        self.execute(
            "INSERT INTO ledger (fleet, at, writer, kind, lines) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                self.fleet,
                self.now,
                self.name.as_str(),
                word(self.kind),
                self.lines
            ],
        )?;
        self.lines.clear();
        self.tell(Topic::Ledger);
        Ok(())
    }
}

const DECISIONS: &str = "decisions";
const TENURES: &str = "tenures";

/// How a kind of entry is written.
fn word(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Decisions => DECISIONS,
        EntryKind::Tenures => TENURES,
    }
}

/// What was written for a kind of entry. Any other word is a later version's, whose lines explain themselves.
pub(super) fn kind(word: &str) -> EntryKind {
    match word {
        TENURES => EntryKind::Tenures,
        _ => EntryKind::Decisions,
    }
}

/// Which kind of entry holds a record.
pub(super) fn kind_of(record: &Record) -> EntryKind {
    match record {
        Record::Decided(_) => EntryKind::Decisions,
        _ => EntryKind::Tenures,
    }
}
