use rusqlite::{Connection, OptionalExtension, params};

use super::{batch::Batch, lease::millis, queue};
use crate::{Difference, LaneName, Topology};

/// Declares lanes and ages. Removes none: a lane can hold messages.
pub(super) fn apply(batch: &Batch<'_>, topology: &Topology) -> rusqlite::Result<()> {
    for name in names(topology) {
        batch.execute(
            "INSERT INTO lanes (fleet, name, declared) VALUES (?1, ?2, 1)
             ON CONFLICT DO UPDATE SET declared = 1 WHERE NOT declared",
            params![batch.fleet, name],
        )?;
    }
    batch.execute(
        "UPDATE fleets SET ledger_max_age = ?2, dead_max_age = ?3 WHERE fleet = ?1
         AND (ledger_max_age IS NOT ?2 OR dead_max_age IS NOT ?3)",
        params![
            batch.fleet,
            millis(topology.ledger_max_age),
            millis(topology.dead_max_age)
        ],
    )?;
    Ok(())
}

/// Names what is missing or different.
pub(super) fn verify(
    db: &Connection,
    fleet: i64,
    topology: &Topology,
) -> rusqlite::Result<Vec<Difference>> {
    let mut differences = Vec::new();
    for name in names(topology) {
        if lane(db, fleet, name)?.is_none() {
            differences.push(Difference {
                what: format!("lane {name}"),
                why: "is missing".into(),
            });
        }
    }
    let ages = db.query_row(
        "SELECT ledger_max_age, dead_max_age FROM fleets WHERE fleet = ?1",
        [fleet],
        |row| Ok([row.get::<_, Option<i64>>(0)?, row.get(1)?]),
    )?;
    let wanted = [topology.ledger_max_age, topology.dead_max_age];
    for ((what, is), must) in ["ledger", "dead letters"].into_iter().zip(ages).zip(wanted) {
        let why = match is {
            Some(is) if is == millis(must) => continue,
            Some(is) => format!("kept for {} s, not for {} s", is / 1000, must.as_secs()),
            None => format!("kept for ever, not for {} s", must.as_secs()),
        };
        let what = what.to_owned();
        differences.push(Difference { what, why });
    }
    Ok(differences)
}

/// The number of a declared lane.
pub(super) fn lane(db: &Connection, fleet: i64, name: &str) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached("SELECT lane FROM lanes WHERE fleet = ?1 AND name = ?2 AND declared")?
        .query_row(params![fleet, name], |row| row.get(0))
        .optional()
}

fn names(topology: &Topology) -> impl Iterator<Item = &str> {
    let accounts = topology.accounts.iter().map(|account| account.as_str());
    accounts.chain([queue::name(&LaneName::Unroutable)])
}
