//! What waits in the delays: rows with a due time. Nothing moves them on the way, so nothing can stand still.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::clock;
use crate::{DelayLevel, Delays, Moves};

pub(super) fn look(db: &Connection, fleet: i64) -> rusqlite::Result<Delays> {
    let now = clock::now();
    let mut waiting = db.prepare_cached(
        "SELECT (due - ?2 + 999) / 1000 AS seconds, count(*) FROM delayed JOIN lanes USING (lane)
         WHERE fleet = ?1 AND due > ?2 GROUP BY seconds ORDER BY seconds",
    )?;
    let mut levels: Vec<DelayLevel> = Vec::new();
    let mut rows = waiting.query(params![fleet, now])?;
    while let Some(row) = rows.next()? {
        let (seconds, count): (i64, i64) = (row.get(0)?, row.get(1)?);
        let holds = Duration::from_secs(1 << seconds.unsigned_abs().max(1).ilog2());
        match levels.last_mut().filter(|last| last.holds == holds) {
            Some(last) => last.waiting += count.unsigned_abs(),
            None => levels.push(DelayLevel {
                holds,
                waiting: count.unsigned_abs(),
                moves: Moves::Yes,
            }),
        }
    }
    let unroutable: i64 = db
        .prepare_cached(
            "SELECT (SELECT count(*) FROM messages JOIN lanes USING (lane)
                     WHERE fleet = ?1 AND name = 'unroutable')
                  + (SELECT count(*) FROM delayed JOIN lanes USING (lane)
                     WHERE fleet = ?1 AND NOT declared AND due <= ?2)",
        )?
        .query_row(params![fleet, now], |row| row.get(0))?;
    Ok(Delays {
        levels,
        unroutable: unroutable.unsigned_abs(),
    })
}
