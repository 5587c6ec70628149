//! Who owns a lane: a lease that its owner renews, numbered so that who lost it can tell (the fencing token). It ends when
//! its time is over, or with its owner's process.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::batch::Batch;

/// Milliseconds, as the file holds them.
pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// How a lane's lease stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) owner: Option<String>,
    until: i64,
}

impl Lease {
    /// How long somebody still owns the lane, in milliseconds; 0 if nobody does. A lease that ends later than any can
    /// was taken before the host was started again.
    pub(super) fn left(&self, uptime: i64, longest: Duration) -> i64 {
        let left = self.until.saturating_sub(uptime);
        match self.owner.is_some() && left <= millis(longest) {
            true => left.max(0),
            false => 0,
        }
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            owner: row.get(0)?,
            until: row.get(1)?,
        })
    }
}

/// How the lease of a lane stands; `None` where the lane is gone.
pub(super) fn look(db: &Connection, lane: i64) -> rusqlite::Result<Option<Lease>> {
    db.prepare_cached("SELECT owner, lease_until FROM lanes WHERE lane = ?1")?
        .query_row([lane], Lease::read)
        .optional()
}

/// Takes a lane that nobody owns, and returns the number of the new tenure. What the last one was handed and did not
/// settle has returned. Of an owner that has `ended` the lane need not be awaited.
pub(super) fn take(
    batch: &Batch<'_>,
    lane: i64,
    owner: &str,
    ended: Option<&str>,
    length: Duration,
) -> rusqlite::Result<Option<i64>> {
    let Some(lease) = look(batch.db, lane)? else {
        return Ok(None);
    };
    let has_ended = ended.is_some() && lease.owner.as_deref() == ended;
    if !has_ended && lease.left(batch.uptime, length) > 0 {
        return Ok(None);
    }
    batch.execute(
        "UPDATE messages SET returns = returns + 1
         WHERE lane = ?1 AND seq <= (SELECT handed FROM lanes WHERE lane = ?1)",
        [lane],
    )?;
    batch.number(
        "UPDATE lanes SET tenure = tenure + 1, owner = ?2, lease_until = ?3, handed = 0
         WHERE lane = ?1 RETURNING tenure",
        params![lane, owner, batch.uptime + millis(length)],
    )
}

/// Whether an owner has a lane of any fleet of the file.
pub(super) fn owns(db: &Connection, owner: &str) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM lanes WHERE owner = ?1")?
        .exists([owner])
}

/// Until when a tenure holds its lane; `None` once another began, or it was let go.
pub(super) fn held(batch: &Batch<'_>, lane: i64, tenure: i64) -> rusqlite::Result<Option<i64>> {
    batch.number(
        "SELECT lease_until FROM lanes WHERE lane = ?1 AND tenure = ?2",
        [lane, tenure],
    )
}

/// Renews the lease of the tenure that holds the lane.
pub(super) fn renew(batch: &Batch<'_>, lane: i64, length: Duration) -> rusqlite::Result<()> {
    batch.execute(
        "UPDATE lanes SET lease_until = ?2 WHERE lane = ?1",
        [lane, batch.uptime + millis(length)],
    )?;
    Ok(())
}

/// Ends a tenure that was handed everything up to `handed`: the lane is anybody's at once.
pub(super) fn release(
    batch: &Batch<'_>,
    lane: i64,
    tenure: i64,
    handed: i64,
) -> rusqlite::Result<()> {
    batch.execute(
        "UPDATE lanes SET tenure = tenure + 1, owner = NULL, lease_until = 0, handed = ?3
         WHERE lane = ?1 AND tenure = ?2",
        [lane, tenure, handed],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_by_time_by_release_and_with_the_host() {
        let longest = Duration::from_secs(8);
        let left = |owned: bool, until| {
            let owner = owned.then(|| "somebody".to_owned());
            Lease { owner, until }.left(100_000, longest)
        };
        assert_eq!(left(true, 108_000), 8000);
        assert_eq!(left(true, 100_001), 1);
        assert_eq!(left(true, 99_000), 0, "it has run out");
        assert_eq!(left(false, 108_000), 0, "nobody owns it");
        assert_eq!(
            left(true, 900_000),
            0,
            "it is from before the host's last start"
        );
    }
}
