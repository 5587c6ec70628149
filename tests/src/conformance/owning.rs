//! One owner at a time, and what comes over to the next.

use std::time::Duration;

use tidings_broker::{FENCE, LaneName};
use tokio::time::{Instant, sleep};

use super::{
    fixture::{ALERTS, Fixture, OPS, account},
    owner::Owner,
    sending::{Differently, message, number, queue, seconds, send},
    within,
};
use crate::{Program, Signal, eventually};

pub async fn one_at_a_time_owns_a_lane<F: Fixture>(fixture: &F) {
    let workers = [
        fixture.connect("first").await,
        fixture.connect("second").await,
        fixture.connect("third").await,
    ];
    let mut owners = Vec::new();
    for worker in &workers {
        owners.push(Owner::of_ops(&**worker, 10).await);
    }
    queue(&*workers[0], (0..300).map(message)).await;
    let mut numbers = Vec::new();
    while !owners.is_empty() {
        let mut owner = the_one_that_owns(&mut owners).await;
        numbers.extend(owner.finish(100).await);
        assert!(
            owners.iter_mut().all(Owner::has_nothing),
            "somebody else got messages of an owned lane"
        );
        owner.close().await;
    }
    assert!(numbers.into_iter().eq(0..300), "each once, in order");
}

async fn the_one_that_owns(owners: &mut Vec<Owner>) -> Owner {
    let has_something = |owner: &mut Owner| !owner.has_nothing();
    let position = eventually("somebody to own the lane", async || {
        owners
            .iter_mut()
            .position(has_something)
            .ok_or("nobody does")
    })
    .await;
    owners.remove(position)
}

pub async fn a_closed_lane_is_handed_over_in_its_old_order<F: Fixture>(fixture: &F) {
    let old = fixture.connect("old").await;
    let new = fixture.connect("new").await;
    queue(&*old, (0..30).map(message)).await;
    let mut owner = Owner::of_ops(&*old, 10).await;
    let held = owner.take(10).await;
    let mut successor = Owner::of_ops(&*new, 30).await;
    for delivery in held {
        match number(&delivery) {
            3 | 7 => owner.done(delivery),
            _ => delivery.leave(),
        }
    }
    owner.settled().await;
    owner.close().await;

    let expected = (0..30).filter(|n| ![3, 7].contains(n));
    let deliveries = successor.take(28).await;
    let numbers: Vec<_> = deliveries.iter().map(number).collect();
    assert!(expected.eq(numbers.iter().copied()), "{numbers:?}");
    for delivery in deliveries {
        assert!(
            delivery.redelivered || number(&delivery) >= 10,
            "{} was handed out before, and says nothing of it",
            number(&delivery)
        );
        successor.done(delivery);
    }
    successor.settled().await;
}

pub async fn lanes_are_owned_apart<F: Fixture>(fixture: &F) {
    let one = fixture.connect("one").await;
    let other = fixture.connect("other").await;
    let mut ops = Owner::of_ops(&*one, 1).await;
    let mut alerts = Owner::of(&*other, LaneName::Account(account(ALERTS)), 1).await;
    queue(&*one, [message(0), message(1).to(ALERTS), message(2)]).await;
    assert_eq!(
        alerts.finish(1).await,
        [1],
        "nobody waits for the other lane's owner"
    );
    assert_eq!(ops.finish(2).await, [0, 2]);
    assert!(alerts.has_nothing());
}

pub async fn a_window_bounds_what_is_held<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    queue(&*worker, (0..20).map(message)).await;
    let mut owner = Owner::of_ops(&*worker, 5).await;
    let mut held = owner.take(5).await;
    assert!(owner.has_nothing());
    // The next one comes only because one has gone.
    for next in 5..20 {
        owner.done(held.remove(0));
        held.push(owner.next().await);
        assert!(owner.has_nothing());
        assert_eq!(number(&held[4]), next);
    }
    for delivery in held {
        owner.done(delivery);
    }
    owner.settled().await;
}

pub async fn a_killed_owner_is_replaced<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    queue(&*worker, (0..10).map(message)).await;
    let killed = Program::new("lane-owner")
        .args([&fixture.url(), OPS, "hold"])
        .start();
    killed.line("holds 9").await;
    let mut standby = Owner::of_ops(&*worker, 10).await;
    killed.signal(Signal::KILL);
    let delivery = within(F::TAKE_OVER, "the lane to move", standby.next()).await;
    assert!(
        number(&delivery) == 0 && delivery.redelivered,
        "{delivery:?}"
    );
    standby.done(delivery);
    assert!(standby.finish(9).await.into_iter().eq(1..10));
}

/// A frozen process keeps its connections; the broker has to find out by itself.
pub async fn a_frozen_owner_is_replaced_and_learns_of_it<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    queue(&*worker, (0..10).map(message)).await;
    let frozen = Program::new("lane-owner")
        .args([&fixture.url(), OPS, "hold"])
        .start();
    frozen.line("holds 9").await;
    let mut standby = Owner::of_ops(&*worker, 10).await;
    frozen.signal(Signal::STOP);
    assert!(standby.finish(10).await.into_iter().eq(0..10));
    frozen.signal(Signal::CONT);
    frozen.line("lost the lane").await;
    assert!(
        !frozen.log().contains("may call"),
        "the fence held although another had the lane: {}",
        frozen.log()
    );
    send(&*worker, message(10)).await.expect("confirmed");
    assert_eq!(standby.finish(1).await, [10], "the lane did not move back");
}

pub async fn the_fence_holds_while_connected<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let owner = Owner::of_ops(&*worker, 1).await;
    let fence = &owner.lane.fence;
    within(seconds(10), "the fence to hold", fence.held()).await;
    // Nothing is published meanwhile: the beat alone keeps it up.
    let end = Instant::now() + 2 * FENCE;
    while Instant::now() < end {
        assert!(
            fence.holds(Instant::now()),
            "{:?}",
            fence.age(Instant::now())
        );
        sleep(Duration::from_millis(20)).await;
    }
}
