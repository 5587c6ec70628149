//! Delays: never early, hardly late, and in nobody's memory.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tidings_broker::{Delivery, Effect, LaneName, Moves};
use tidings_model::Headers;

use super::{
    fixture::Fixture,
    in_time,
    owner::Owner,
    sending::{Differently, from_now, message, number, queue, seconds, send},
};
use crate::{Lag, eventually};

/// Delivered no sooner than it was due, and no more than `at_most` later; but for what this machine stood still meanwhile.
pub(super) fn assert_on_time(delivery: &Delivery, lag: &Lag, at_most: Duration) {
    let arrived = Timestamp::now();
    let n = number(delivery);
    let due = delivery.headers.due.expect("it went through the delays");
    let late = arrived.duration_since(due);
    assert!(!late.is_negative(), "message {n} was early by {:#}", -late);
    let stood_still = lag.stood_still((due.as_millisecond(), arrived.as_millisecond()));
    assert!(
        Duration::try_from(late).expect("not negative") <= at_most + stood_still,
        "message {n} was {late:#} late, and this machine stood still for {stood_still:?}"
    );
}

/// Messages up to this number are delivered, each on time. A broker whose queues are slow makes copies: they are as late as
/// they like, since nobody calls them.
async fn all_are_on_time(owner: &mut Owner, count: usize, lag: &Lag, at_most: Duration) {
    let mut seen = BTreeSet::new();
    while seen.len() < count {
        let delivery = owner.next().await;
        let n = number(&delivery);
        assert!(n < count, "message {n} was never sent");
        if seen.insert(n) {
            assert_on_time(&delivery, lag, at_most);
        }
        // Only acknowledged: how fast the ledger is does not matter here.
        owner.repeat(delivery, Effect::Done);
    }
}

pub async fn a_delayed_message_is_never_early_and_hardly_late<F: Fixture>(fixture: &F) {
    let lag = Lag::measure();
    let worker = fixture.connect("worker").await;
    let mut owner = Owner::of_ops(&*worker, 100).await;
    for n in 0..30 {
        let wait = seconds(1 + n as u64 % 6);
        queue(&*worker, [message(n).due(from_now(wait))]).await;
    }
    all_are_on_time(&mut owner, 30, &lag, seconds(1)).await;
    owner.settled().await;
}

pub async fn ten_thousand_due_in_one_second_are_hardly_late<F: Fixture>(fixture: &F) {
    let lag = Lag::measure();
    let worker = fixture.connect("worker").await;
    let mut owner = Owner::of_ops(&*worker, 1_000).await;
    let due = from_now(seconds(10));
    let began = Instant::now();
    queue(&*worker, (0..10_000).map(|n| message(n).due(due))).await;
    // Three seconds where the broker confirms so many in one; in proportion on a slower machine, which says nothing of Tidings.
    let at_most = seconds(3).mul_f64(began.elapsed().as_secs_f64().max(1.0));
    assert!(
        Timestamp::now() < due,
        "this machine is too slow to publish them in time"
    );
    all_are_on_time(&mut owner, 10_000, &lag, at_most).await;
    owner.settled().await;
}

pub async fn a_delay_goes_on_while_nobody_is_connected<F: Fixture>(fixture: &F) {
    let lag = Lag::measure();
    let producer = fixture.connect("producer").await;
    let due = from_now(seconds(4));
    queue(&*producer, (0..20).map(|n| message(n).due(due))).await;
    in_time("the connection to close", producer.close()).await;
    drop(producer);
    let worker = fixture.connect("worker").await;
    let mut owner = Owner::of_ops(&*worker, 20).await;
    all_are_on_time(&mut owner, 20, &lag, seconds(1)).await;
    owner.settled().await;
}

async fn one_is_delayed<F: Fixture>(fixture: &F) {
    eventually("one message in the delays", async || {
        match fixture.delayed().await {
            1 => Ok(()),
            other => Err(other),
        }
    })
    .await;
}

pub async fn two_weeks_are_placed_and_visible<F: Fixture>(fixture: &F) {
    const DAY: u64 = 86_400;
    let producer = fixture.connect("producer").await;
    let far = message(0).due(from_now(seconds(14 * DAY)));
    queue(&*producer, [far, message(1)]).await;
    let worker = fixture.connect("worker").await;
    let mut owner = Owner::of_ops(&*worker, 10).await;
    assert_eq!(owner.finish(1).await, [1]);
    one_is_delayed(fixture).await;
    assert!(owner.has_nothing());
}

pub async fn what_is_due_already_is_not_delayed<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let mut owner = Owner::of_ops(&*worker, 10).await;
    let past = from_now(seconds(0)) - seconds(60);
    queue(&*worker, [message(0).due(past), message(1)]).await;
    let delivery = owner.next().await;
    assert_eq!((number(&delivery), delivery.headers.due), (0, Some(past)));
    owner.done(delivery);
    assert_eq!(owner.finish(1).await, [1]);
}

/// Whoever publishes can ask for any time; the lane must live on.
pub async fn what_is_due_beyond_the_delays_is_put_back_all_the_same<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let mut owner = Owner::of_ops(&*worker, 10).await;
    queue(&*worker, [message(0), message(1)]).await;
    let delivery = owner.next().await;
    let headers = Headers {
        due: Some("9999-01-01T00:00:00Z".parse().expect("a time")),
        ..delivery.headers.clone()
    };
    owner.put_back(delivery, headers);
    owner.settled().await;
    assert_eq!(owner.finish(1).await, [1]);
    one_is_delayed(fixture).await;
}

/// One account without a lane must not stop the others' delays.
pub async fn a_delayed_message_to_an_unknown_account_is_unroutable<F: Fixture>(fixture: &F) {
    let lag = Lag::measure();
    let worker = fixture.connect("worker").await;
    let mut owner = Owner::of_ops(&*worker, 10).await;
    let mut unroutable = Owner::of(&*worker, LaneName::Unroutable, 100).await;
    let due = from_now(seconds(2));
    let nobody = (0..100).map(|n| message(n).to("groupme.nobody").due(due));
    for (n, envelope) in nobody.enumerate() {
        // Whether the broker can tell at once is its own affair; if it cannot, the message must not be lost.
        let sent = send(&*worker, envelope).await;
        assert!(sent.is_ok(), "message {n}: {sent:?}");
    }
    queue(&*worker, [message(100).due(due)]).await;
    let delivery = owner.next().await;
    assert_on_time(&delivery, &lag, seconds(1));
    owner.done(delivery);
    owner.settled().await;

    let mut numbers = Vec::new();
    for delivery in unroutable.take(100).await {
        numbers.push(number(&delivery));
        unroutable.bury(delivery);
    }
    unroutable.settled().await;
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..100));
}

/// RabbitMQ 3 silently drops a message that has been in the same queue before, if it is published with its `x-death`.
pub async fn a_message_goes_through_the_delays_again_and_again<F: Fixture>(fixture: &F) {
    let lag = Lag::measure();
    let worker = fixture.connect("worker").await;
    let mut owner = Owner::of_ops(&*worker, 10).await;
    queue(&*worker, [message(0).due(from_now(seconds(1)))]).await;
    for turn in 0..4 {
        let delivery = owner.next().await;
        assert_on_time(&delivery, &lag, seconds(1));
        assert_eq!(delivery.headers.turn, turn);
        let headers = Headers {
            turn: turn + 1,
            due: Some(from_now(seconds(1))),
            ..delivery.headers.clone()
        };
        owner.put_back(delivery, headers);
    }
    let last = owner.next().await;
    assert_eq!((last.headers.turn, number(&last)), (4, 0));
    owner.done(last);
    owner.settled().await;
    assert!(owner.has_nothing());
}

pub async fn the_delays_tell_what_waits_and_that_it_moves<F: Fixture>(fixture: &F) {
    let broker = fixture.connect("operator").await;
    let fortnight = (0..5).map(|n| message(n).due(from_now(seconds(14 * 86_400))));
    let hour = (5..8).map(|n| message(n).due(from_now(seconds(3_600))));
    let nobody = (8..10).map(|n| message(n).to("groupme.nobody").due(from_now(seconds(1))));
    queue(&*broker, fortnight.chain(hour).chain(nobody)).await;
    eventually(
        "what waits at which level, and what found no lane",
        async || {
            let delays = in_time("a look", broker.delays(seconds(5)))
                .await
                .expect("a look");
            assert_eq!(delays.standing_still().count(), 0, "{delays:?}");
            let at = |holds: u64| {
                let mut levels = delays.levels.iter();
                levels.find(|level| level.holds == seconds(holds)).copied()
            };
            for short in [1, 2] {
                assert!(
                    at(short).is_none_or(|level| level.moves == Moves::Yes),
                    "{delays:?}"
                );
            }
            let waiting = |holds| at(holds).map_or(0, |level| level.waiting);
            let seen = (waiting(1 << 20), waiting(1 << 11), delays.unroutable);
            if seen == (5, 3, 2) { Ok(()) } else { Err(seen) }
        },
    )
    .await;
    let mut owner = Owner::of(&*broker, LaneName::Unroutable, 10).await;
    for delivery in owner.take(2).await {
        owner.bury(delivery);
    }
    owner.settled().await;
    assert!(owner.has_nothing(), "looking adds nothing");
}
