//! A crash between the steps of settling: a process ends there, and another goes on.

use tidings_broker::ReadFrom;

use super::{
    fixture::{Fixture, OPS},
    owner::Owner,
    reading::{dead, decided},
    sending::{id, message, number, queue},
};
use crate::Program;

/// What stood on the broker after the crash.
struct Found {
    recorded: bool,
    effects: usize,
    again: bool,
}

pub async fn a_crash_after_the_record_loses_nothing<F: Fixture>(fixture: &F) {
    let found = crash(fixture, "put-back", "recorded").await;
    if F::IN_STEPS {
        assert!(found.recorded && found.again && found.effects == 0);
    }
}

pub async fn a_crash_after_the_effect_loses_nothing<F: Fixture>(fixture: &F) {
    let found = crash(fixture, "put-back", "effected").await;
    if F::IN_STEPS {
        assert!(found.recorded && found.again && found.effects == 1);
    }
}

pub async fn a_crash_after_the_acknowledgement_loses_nothing<F: Fixture>(fixture: &F) {
    let found = crash(fixture, "put-back", "acknowledged").await;
    assert!(found.recorded && found.effects == 1);
}

pub async fn a_crash_while_burying_loses_nothing<F: Fixture>(fixture: &F) {
    crash(fixture, "bury", "recorded").await;
}

/// Lets a process crash over message 0, and looks at what it left behind.
async fn crash<F: Fixture>(fixture: &F, how: &str, point: &str) -> Found {
    let worker = fixture.connect("worker").await;
    queue(&*worker, [message(0), message(1)]).await;
    let crashing = Program::new("lane-owner").args([&fixture.url(), OPS, how, point]);
    let crashed = crashing.run("").await;
    assert!(
        !crashed.status.success(),
        "it passed the point {point} alive: {crashed:?}"
    );

    let mut found = Found {
        recorded: decided(&*worker).await.contains(&id(0)),
        effects: dead(&*worker, ReadFrom::First).await.len(),
        again: false,
    };
    let mut owner = Owner::of_ops(&*worker, 10).await;
    // Behind all that the crash left.
    queue(&*worker, [message(2)]).await;
    let mut last = None;
    while last != Some(2) {
        let delivery = owner.next().await;
        last = Some(number(&delivery));
        match (number(&delivery), delivery.headers.turn) {
            (0, 0) => {
                assert!(delivery.redelivered, "it was in somebody's hands");
                found.again = true;
            }
            (0, _) => found.effects += 1,
            _ => {}
        }
        delivery.leave();
    }
    assert!(
        found.recorded || found.effects == 0,
        "an effect of which the ledger knows nothing"
    );
    assert!(
        found.again || (found.recorded && found.effects == 1),
        "the message is neither there nor settled"
    );
    found
}
