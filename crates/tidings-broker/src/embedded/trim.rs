use std::time::Duration;

use rusqlite::{Connection, params};

use super::clock;

/// How often what is too old is looked for, where anything is written at all.
pub(super) const EACH: Duration = Duration::from_secs(1);

/// At most so many rows go at once, so that nobody waits for long; more than are written in that time.
const ROWS: i64 = 1000;

/// Removes entries of the ledger and dead letters that outlived their age.
pub(super) fn trim(db: &Connection, fleet: i64) -> rusqlite::Result<()> {
    for (table, age) in [("ledger", "ledger_max_age"), ("dead", "dead_max_age")] {
        let sql = format!(
            "DELETE FROM {table} WHERE position IN (
                 SELECT {table}.position FROM {table} JOIN fleets USING (fleet)
                 WHERE fleet = ?1 AND at < ?2 - {age} ORDER BY at LIMIT {ROWS})"
        );
        db.execute(&sql, params![fleet, clock::now()])?;
    }
    Ok(())
}
