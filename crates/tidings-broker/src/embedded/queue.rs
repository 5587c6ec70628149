//! The statements about messages: in a lane's queue, in the delays, and out of both.

use rusqlite::params;

use super::{batch::Batch, news::Topic};
use crate::LaneName;

/// How many messages that fell due go to their lane in one transaction.
const RIPE: i64 = 1000;

/// How a lane is called in the file. No account is called `unroutable`: each has a dot.
pub(super) fn name(lane: &LaneName) -> &str {
    match lane {
        LaneName::Account(account) => account.as_str(),
        LaneName::Unroutable => "unroutable",
    }
}

/// The number of a declared lane.
pub(super) fn lane(batch: &Batch<'_>, name: &str) -> rusqlite::Result<Option<i64>> {
    batch.number(
        "SELECT lane FROM lanes WHERE fleet = ?1 AND name = ?2 AND declared",
        params![batch.fleet, name],
    )
}

/// The number of a lane, declared or not.
fn any_lane(batch: &Batch<'_>, name: &str) -> rusqlite::Result<i64> {
    batch.execute(
        "INSERT INTO lanes (fleet, name, declared) VALUES (?1, ?2, 0) ON CONFLICT DO NOTHING",
        params![batch.fleet, name],
    )?;
    batch
        .db
        .prepare_cached("SELECT lane FROM lanes WHERE fleet = ?1 AND name = ?2")?
        .query_row(params![batch.fleet, name], |row| row.get(0))
}

/// Puts a new message into its lane, or into the delays where `due` lies ahead. Says whether there was a lane: the
/// delays ask for none.
pub(super) fn publish(
    batch: &mut Batch<'_>,
    name: &str,
    due: Option<i64>,
    headers: &str,
    body: &[u8],
) -> rusqlite::Result<bool> {
    let due = due.filter(|due| *due > batch.now);
    let lane = match (lane(batch, name)?, due) {
        (Some(lane), _) => lane,
        (None, Some(_)) => any_lane(batch, name)?,
        (None, None) => return Ok(false),
    };
    batch.execute("INSERT INTO bodies (bytes) VALUES (?1)", [body])?;
    put(batch, lane, due, headers, batch.db.last_insert_rowid())?;
    Ok(true)
}

/// Puts a message whose body is there into a lane, or into the delays where `due` lies ahead.
pub(super) fn put(
    batch: &mut Batch<'_>,
    lane: i64,
    due: Option<i64>,
    headers: &str,
    body: i64,
) -> rusqlite::Result<()> {
    batch.tell(Topic::Lanes);
    match due.filter(|due| *due > batch.now) {
        Some(due) => batch.execute(
            "INSERT INTO delayed (body, lane, due, headers) VALUES (?1, ?2, ?3, ?4)",
            params![body, lane, due, headers],
        ),
        None => batch.execute(
            "INSERT INTO messages (lane, body, headers) VALUES (?1, ?2, ?3)",
            params![lane, body, headers],
        ),
    }?;
    Ok(())
}

/// Takes a message out of its lane and returns its body's number, unless it is gone.
pub(super) fn take(batch: &Batch<'_>, lane: i64, seq: i64) -> rusqlite::Result<Option<i64>> {
    batch.number(
        "DELETE FROM messages WHERE seq = ?1 AND lane = ?2 RETURNING body",
        params![seq, lane],
    )
}

/// Removes a body.
pub(super) fn forget(batch: &Batch<'_>, body: i64) -> rusqlite::Result<()> {
    batch.execute("DELETE FROM bodies WHERE body = ?1", [body])?;
    Ok(())
}

/// Writes a dead letter with a message's body, and removes that.
pub(super) fn bury(batch: &mut Batch<'_>, head: &str, body: i64) -> rusqlite::Result<()> {
    batch.tell(Topic::Dead);
    batch.execute(
        "INSERT INTO dead (fleet, at, kind, head, body)
         VALUES (?1, ?2, 'letter', ?3, coalesce((SELECT bytes FROM bodies WHERE body = ?4), x''))",
        params![batch.fleet, batch.now, head, body],
    )?;
    forget(batch, body)
}

/// Moves what fell due to the end of its lane, the earliest first, and returns when the next falls due. The lane
/// `unroutable` gets what fell due for accounts without a lane.
pub(super) fn ripen(
    batch: &Batch<'_>,
    lane: i64,
    name: &LaneName,
) -> rusqlite::Result<Option<i64>> {
    let LaneName::Unroutable = name else {
        return move_ripe(batch, lane, lane);
    };
    let mut undeclared = batch
        .db
        .prepare_cached("SELECT lane FROM lanes WHERE fleet = ?1 AND NOT declared")?;
    let undeclared: Vec<i64> = undeclared
        .query_map([batch.fleet], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut next = None;
    for from in undeclared {
        match move_ripe(batch, from, lane)? {
            Some(due) => next = Some(next.map_or(due, |next: i64| next.min(due))),
            None => {
                batch.execute("DELETE FROM lanes WHERE lane = ?1", [from])?;
            }
        }
    }
    Ok(next)
}

/// Moves what fell due for one lane to the end of another, and returns when the next falls due.
fn move_ripe(batch: &Batch<'_>, from: i64, to: i64) -> rusqlite::Result<Option<i64>> {
    const NEXT: &str = "SELECT due FROM delayed WHERE lane = ?1 ORDER BY due LIMIT 1";
    let next = batch.number(NEXT, [from])?;
    if next.is_none_or(|due| due > batch.now) {
        return Ok(next);
    }
    batch.execute(
        "INSERT INTO messages (lane, body, headers) SELECT ?1, body, headers FROM delayed
         WHERE lane = ?2 AND due <= ?3 ORDER BY due, body LIMIT ?4",
        params![to, from, batch.now, RIPE],
    )?;
    batch.execute(
        "DELETE FROM delayed WHERE body IN (
             SELECT body FROM delayed WHERE lane = ?1 AND due <= ?2 ORDER BY due, body LIMIT ?3)",
        params![from, batch.now, RIPE],
    )?;
    batch.number(NEXT, [from])
}
