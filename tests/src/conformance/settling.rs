//! Settling: once, and the ledger first.

use std::collections::BTreeSet;

use tidings_broker::{Broker, Effect, ReadFrom, ReadUntil};
use tidings_model::Headers;

use super::{
    fixture::Fixture,
    owner::Owner,
    reading::{dead, decided, decisions, following, letter},
    sending::{from_now, id, message, number, queue, seconds},
};

pub async fn a_settled_message_never_comes_again<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    queue(&*worker, (0..200).map(message)).await;
    let mut owner = Owner::of_ops(&*worker, 50).await;
    assert!(owner.finish(200).await.into_iter().eq(0..200));
    owner.close().await;
    worker.close().await;

    let next = fixture.connect("next").await;
    let mut owner = Owner::of_ops(&*next, 50).await;
    queue(&*next, [message(200)]).await;
    let first = owner.next().await;
    assert_eq!((number(&first), first.redelivered), (200, false));
    owner.done(first);
    owner.settled().await;
    let ids = decided(&*next).await;
    assert!(ids.into_iter().eq((0..=200).map(id)), "one decision each");
}

pub async fn a_message_put_back_comes_with_its_new_headers<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let mut owner = Owner::of_ops(&*worker, 10).await;
    queue(&*worker, [message(0), message(1)]).await;
    let delivery = owner.next().await;
    let headers = Headers {
        turn: 1,
        maybe_delivered: true,
        due: Some(from_now(seconds(0))),
        ..delivery.headers.clone()
    };
    owner.put_back(delivery, headers.clone());
    assert_eq!(owner.finish(1).await, [1]);
    let copy = owner.next().await;
    assert_eq!((number(&copy), &copy.headers), (0, &headers));
    assert!(!copy.redelivered, "a copy was in nobody's hands yet");
    owner.done(copy);
    owner.settled().await;
    let turns: Vec<_> = decisions(&*worker)
        .await
        .iter()
        .map(|decision| decision.turn)
        .collect();
    assert_eq!(turns, [0, 0, 1]);
}

pub async fn a_buried_message_is_a_dead_letter<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let mut owner = Owner::of_ops(&*worker, 10).await;
    queue(&*worker, [message(0), message(1)]).await;
    let delivery = owner.next().await;
    let head = owner.bury(delivery);
    assert_eq!(owner.finish(1).await, [1]);
    let letters: Vec<_> = dead(&*worker, ReadFrom::First)
        .await
        .into_iter()
        .map(letter)
        .collect();
    assert_eq!(letters, [(head, message(0).body)]);
}

pub async fn the_ledger_has_the_decision_before_its_effect_shows<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let onlooker = fixture.connect("onlooker").await;
    let mut letters = onlooker
        .dead(ReadFrom::Next, ReadUntil::Forever)
        .await
        .expect("the dead letters are there");
    let mut owner = Owner::of_ops(&*worker, 10).await;
    for n in 0..20 {
        queue(&*worker, [message(n)]).await;
        let delivery = owner.next().await;
        if n % 2 == 0 {
            owner.bury(delivery);
            following(&mut letters, 1).await;
        } else {
            let headers = Headers {
                turn: 1,
                ..Headers::default()
            };
            owner.put_back(delivery, headers);
            let copy = owner.next().await;
            assert_eq!((number(&copy), copy.headers.turn), (n, 1));
            copy.leave();
        }
        assert!(
            decided(&*onlooker).await.contains(&id(n)),
            "message {n} has an effect and no record"
        );
    }
}

/// Acknowledging several at once must not take along the one between them.
pub async fn settling_out_of_order_settles_each<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    queue(&*worker, (0..100).map(message)).await;
    let mut owner = Owner::of_ops(&*worker, 100).await;
    let mut deliveries = owner.take(100).await;
    for delivery in deliveries.split_off(51).into_iter().rev() {
        owner.done(delivery);
    }
    deliveries.pop().expect("number 50").leave();
    for delivery in deliveries {
        owner.done(delivery);
    }
    owner.settled().await;
    owner.close().await;
    let mut owner = Owner::of_ops(&*worker, 100).await;
    queue(&*worker, [message(100)]).await;
    // A broker that still takes the old owner's leave may deliver the new message first.
    let mut left = BTreeSet::new();
    while left.len() < 2 {
        let delivery = owner.next().await;
        let n = number(&delivery);
        if n == 50 || n == 100 {
            left.insert(n);
            owner.done(delivery);
        } else {
            // RabbitMQ's channel keeps acknowledgements back while a queue is slow, and forgets them when it closes.
            assert!(n > 50 && delivery.redelivered, "number {n} was settled");
            owner.repeat(delivery, Effect::Done);
        }
    }
    owner.settled().await;
    let mut decided = decided(&*worker).await;
    decided.sort();
    let mut all: Vec<_> = (0..=100).map(id).collect();
    all.sort();
    assert_eq!(decided, all, "one decision each");
}

/// What a crash or a lost lane parted from its record is made good.
pub async fn repeating_makes_the_effect_without_a_record<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let mut owner = Owner::of_ops(&*worker, 10).await;
    queue(&*worker, (0..3).map(message)).await;
    let mut deliveries = owner.take(3).await.into_iter();
    let mut next = || deliveries.next().expect("three were taken");
    owner.repeat(next(), Effect::Done);
    let copy = Headers {
        turn: 1,
        ..Headers::default()
    };
    owner.repeat(next(), Effect::PutBack(Box::new(copy)));
    let buried = next();
    let head = owner.letter(&buried);
    owner.repeat(buried, Effect::Bury(Box::new(head)));
    owner.settled().await;
    queue(&*worker, [message(3)]).await;

    for expected in [(1, 1), (3, 0)] {
        let delivery = owner.next().await;
        assert_eq!((number(&delivery), delivery.headers.turn), expected);
        delivery.leave();
    }
    assert!(owner.has_nothing());
    let letters = dead(&*worker, ReadFrom::First).await;
    assert_eq!(letters.len(), 1);
    assert!(decided(&*worker).await.is_empty(), "it was decided before");
}

pub async fn what_is_left_comes_again<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    queue(&*worker, (0..5).map(message)).await;
    for returns in 0..3 {
        leave_five(&*worker, returns).await;
    }
    let mut owner = Owner::of_ops(&*worker, 5).await;
    assert!(owner.finish(5).await.into_iter().eq(0..5));
}

/// RabbitMQ 4 drops a message at its 21st return, unless it is told otherwise; 3.10 at its first, if told the wrong way.
pub async fn thirty_returns_lose_nothing<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    queue(&*worker, (0..5).map(message)).await;
    for returns in 0..30 {
        leave_five(&*worker, returns).await;
    }
    let mut owner = Owner::of_ops(&*worker, 5).await;
    assert!(owner.finish(5).await.into_iter().eq(0..5));
}

/// A tenure that leaves messages 0 to 4, which were returned so often before.
async fn leave_five(worker: &dyn Broker, returns: u32) {
    let mut owner = Owner::of_ops(worker, 5).await;
    for (n, delivery) in (0..).zip(owner.take(5).await) {
        let expected = (n, returns > 0, returns);
        let seen = (number(&delivery), delivery.redelivered, delivery.returns);
        delivery.leave();
        assert_eq!(seen, expected);
    }
    owner.close().await;
}
