use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{Stream, stream};
use rusqlite::{Connection, OptionalExtension, Row, params};
use tidings_model::Announcement;
use tokio::sync::watch;

use super::{Core, batch, news::Topic};
use crate::{
    BrokerError, DeadEntry, DeadRecord, LedgerEntry, Position, ReadFrom, ReadUntil,
    ledger::DeadKind,
};

/// Rows read at once, at most.
const ROWS: i64 = 500;

/// Bytes read at once, unless one row alone is larger.
const MAX_BYTES: usize = 2 << 20;

/// How soon a reader that follows tries again after an error.
const AGAIN: Duration = Duration::from_secs(1);

/// What is kept in a table in the order in which it was written, and read from any point without changing it.
pub(super) trait Entry: Sized + Send + 'static {
    const TABLE: &'static str;
    const TOPIC: Topic;
    /// Besides the position.
    const COLUMNS: &'static str;

    /// Reads a row, and says how many bytes it has; `None` where it is not understood.
    fn read(position: i64, row: &Row<'_>) -> rusqlite::Result<(Option<Self>, usize)>;
}

impl Entry for LedgerEntry {
    const TABLE: &'static str = "ledger";
    const TOPIC: Topic = Topic::Ledger;
    const COLUMNS: &'static str = "writer, kind, lines";

    fn read(position: i64, row: &Row<'_>) -> rusqlite::Result<(Option<Self>, usize)> {
        let lines: Vec<u8> = row.get(3)?;
        let size = lines.len();
        let entry = Self {
            position: Position(position.unsigned_abs()),
            writer: Some(row.get::<_, String>(1)?.into()),
            kind: batch::kind(row.get_ref(2)?.as_str()?),
            lines: lines.into(),
        };
        Ok((Some(entry), size))
    }
}

impl Entry for DeadEntry {
    const TABLE: &'static str = "dead";
    const TOPIC: Topic = Topic::Dead;
    const COLUMNS: &'static str = "kind, head, body";

    fn read(position: i64, row: &Row<'_>) -> rusqlite::Result<(Option<Self>, usize)> {
        let (head, body) = (row.get_ref(2)?.as_bytes()?, row.get_ref(3)?.as_bytes()?);
        let size = head.len() + body.len();
        let Some(kind) = DeadKind::from_str(row.get_ref(1)?.as_str()?) else {
            tracing::warn!(
                position,
                "a dead entry is of a later version's kind, and passed over"
            );
            return Ok((None, size));
        };
        let position = Position(position.unsigned_abs());
        let record = DeadRecord::read(kind, position, head, || Bytes::copy_from_slice(body));
        Ok((record.map(|record| Self { position, record }), size))
    }
}

impl Entry for Announcement {
    const TABLE: &'static str = "announcements";
    const TOPIC: Topic = Topic::Fleet;
    const COLUMNS: &'static str = "json";

    fn read(position: i64, row: &Row<'_>) -> rusqlite::Result<(Option<Self>, usize)> {
        let json = row.get_ref(1)?.as_str()?;
        let entry = serde_json::from_str(json).inspect_err(
            |error| tracing::warn!(position, %error, "an announcement is not understood"),
        );
        Ok((entry.ok(), json.len()))
    }
}

/// Reads entries as a stream, a page at a time.
pub(super) async fn read<E: Entry>(
    core: Arc<Core>,
    from: ReadFrom,
    until: ReadUntil,
) -> Result<impl Stream<Item = Result<E, BrokerError>> + Send + 'static, BrokerError> {
    // Before the first look, so that nothing written after it is missed.
    let news = core.hear(E::TOPIC);
    let fleet = core.fleet;
    let (after, last) = core
        .reader
        .read(move |db| {
            let last = last::<E>(db)?;
            Ok((start::<E>(db, fleet, from, last)?, last))
        })
        .await?;
    let reading = Reading {
        core,
        news,
        after,
        until: match until {
            ReadUntil::Now => Some(last),
            ReadUntil::Forever => None,
        },
        page: VecDeque::new(),
        over: false,
    };
    Ok(stream::unfold(reading, async |mut reading| {
        let item = reading.next().await?;
        Some((item, reading))
    }))
}

/// One reader's place.
struct Reading<E> {
    core: Arc<Core>,
    news: watch::Receiver<()>,
    after: i64,
    until: Option<i64>,
    page: VecDeque<E>,
    over: bool,
}

impl<E: Entry> Reading<E> {
    async fn next(&mut self) -> Option<Result<E, BrokerError>> {
        loop {
            if let Some(entry) = self.page.pop_front() {
                return Some(Ok(entry));
            }
            if self.over {
                return None;
            }
            self.news.borrow_and_update();
            match self.turn().await {
                Ok(true) => {}
                Ok(false) if self.until.is_some() => return None,
                Ok(false) => tokio::select! {
                    () = self.core.closing.cancelled() => return None,
                    changed = self.news.changed() => changed.ok()?,
                },
                Err(error) if self.until.is_some() => {
                    self.over = true;
                    return Some(Err(error));
                }
                Err(error) => {
                    tracing::warn!(%error, what = E::TABLE, "reading goes on as soon as it can");
                    tokio::select! {
                        () = self.core.closing.cancelled() => return None,
                        () = tokio::time::sleep(AGAIN) => {}
                    }
                }
            }
        }
    }

    /// Reads the next page. Says whether there was anything.
    async fn turn(&mut self) -> Result<bool, BrokerError> {
        let (fleet, after) = (self.core.fleet, self.after);
        let until = self.until.unwrap_or(i64::MAX);
        let (page, last) = self
            .core
            .reader
            .read(move |db| page::<E>(db, fleet, after, until))
            .await?;
        self.page = page;
        self.after = last.unwrap_or(self.after);
        Ok(last.is_some())
    }
}

/// The entries behind a position, and the last position that was read.
fn page<E: Entry>(
    db: &Connection,
    fleet: i64,
    after: i64,
    until: i64,
) -> rusqlite::Result<(VecDeque<E>, Option<i64>)> {
    let sql = format!(
        "SELECT position, {} FROM {} WHERE position > ?1 AND position <= ?2 AND fleet = ?3
         ORDER BY position LIMIT {ROWS}",
        E::COLUMNS,
        E::TABLE
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params![after, until, fleet])?;
    let (mut page, mut last, mut bytes) = (VecDeque::new(), None, 0);
    while bytes < MAX_BYTES
        && let Some(row) = rows.next()?
    {
        let position = row.get(0)?;
        let (entry, size) = E::read(position, row)?;
        page.extend(entry);
        last = Some(position);
        bytes += size;
    }
    Ok((page, last))
}

/// The position behind which a reading begins.
fn start<E: Entry>(
    db: &Connection,
    fleet: i64,
    from: ReadFrom,
    last: i64,
) -> rusqlite::Result<i64> {
    Ok(match from {
        ReadFrom::First => 0,
        ReadFrom::After(Position(position)) => i64::try_from(position).unwrap_or(i64::MAX),
        ReadFrom::Next => last,
        ReadFrom::Since(at) => {
            let sql = format!(
                "SELECT min(position) - 1 FROM {} WHERE fleet = ?1 AND at >= ?2",
                E::TABLE
            );
            db.query_row(&sql, params![fleet, at.as_millisecond()], |row| {
                row.get::<_, Option<i64>>(0)
            })?
            .unwrap_or(last)
        }
    })
}

/// The highest position there ever was.
fn last<E: Entry>(db: &Connection) -> rusqlite::Result<i64> {
    let last = db
        .query_row(
            "SELECT seq FROM sqlite_sequence WHERE name = ?1",
            [E::TABLE],
            |row| row.get(0),
        )
        .optional()?;
    Ok(last.unwrap_or(0))
}

/// Appends a record to the dead letters.
pub(super) fn record(batch: &mut batch::Batch<'_>, record: &DeadRecord) -> rusqlite::Result<()> {
    let body = match record {
        DeadRecord::Letter { body, .. } => &body[..],
        DeadRecord::Claim(_) | DeadRecord::Resolution(_) | DeadRecord::Audit(_) => &[],
    };
    // JSON is text.
    let head = String::from_utf8(record.json()).unwrap_or_default();
    batch.execute(
        "INSERT INTO dead (fleet, at, kind, head, body) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![batch.fleet, batch.now, record.kind().as_str(), head, body],
    )?;
    batch.tell(Topic::Dead);
    Ok(())
}

/// How long announcements are kept for those who look late, in milliseconds.
const ANNOUNCED: i64 = 30_000;

/// Writes an announcement, and removes old ones.
pub(super) fn announce(batch: &mut batch::Batch<'_>, json: &str) -> rusqlite::Result<()> {
    batch.execute(
        "INSERT INTO announcements (fleet, at, json) VALUES (?1, ?2, ?3)",
        params![batch.fleet, batch.now, json],
    )?;
    let (old, ahead) = (batch.now - ANNOUNCED, batch.now + ANNOUNCED);
    batch.execute(
        "DELETE FROM announcements WHERE fleet = ?1 AND (at < ?2 OR at > ?3)",
        params![batch.fleet, old, ahead],
    )?;
    batch.tell(Topic::Fleet);
    Ok(())
}
