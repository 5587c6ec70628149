//! Publish: confirmed, or a typed error.

use std::iter;

use tidings_broker::PublishError;
use tidings_model::MAX_BODY_BYTES;

use super::{
    fixture::{ALERTS, Fixture, account},
    in_time,
    owner::Owner,
    sending::{Differently, message, queue, send, send_all},
};
use crate::eventually;

pub async fn a_confirmed_message_is_queued<F: Fixture>(fixture: &F) {
    let producer = fixture.connect("producer").await;
    send(&*producer, message(0)).await.expect("confirmed");
    ready(fixture, 1).await;
}

pub async fn an_unknown_account_is_named<F: Fixture>(fixture: &F) {
    let producer = fixture.connect("producer").await;
    let error = send(&*producer, message(0).to("groupme.nobody")).await;
    assert!(
        matches!(&error, Err(PublishError::UnknownAccount(account)) if account.as_str() == "groupme.nobody"),
        "{error:?}"
    );
}

pub async fn what_is_too_large_is_refused_with_its_size<F: Fixture>(fixture: &F) {
    let producer = fixture.connect("producer").await;
    let error = send(
        &*producer,
        message(0).with_body(vec![b'x'; MAX_BODY_BYTES + 1]),
    )
    .await;
    assert!(
        matches!(error, Err(PublishError::TooLarge(size)) if size == MAX_BODY_BYTES + 1),
        "{error:?}"
    );
    send(&*producer, message(1))
        .await
        .expect("the next one is confirmed");
}

pub async fn ten_thousand_are_confirmed_in_a_pipeline<F: Fixture>(fixture: &F) {
    let producer = fixture.connect("producer").await;
    queue(&*producer, (0..10_000).map(message)).await;
    let worker = fixture.connect("worker").await;
    let mut owner = Owner::of_ops(&*worker, 300).await;
    let numbers = owner.finish(10_000).await;
    assert!(numbers.into_iter().eq(0..10_000), "each once, in order");
    ready(fixture, 0).await;
}

/// RabbitMQ's client library mixes up the returns of unroutable messages in a pipeline.
pub async fn each_of_many_gets_its_own_result<F: Fixture>(fixture: &F) {
    let producer = fixture.connect("producer").await;
    let envelopes = (0..10_000).map(|n| match n % 7 {
        3 => message(n).to(&format!("groupme.nobody-{n}")),
        _ => message(n),
    });
    for (n, result) in iter::zip(0.., send_all(&*producer, envelopes).await) {
        match (n % 7, result) {
            (3, Err(PublishError::UnknownAccount(account)))
                if account.as_str() == format!("groupme.nobody-{n}") => {}
            (other, Ok(())) if other != 3 => {}
            (_, result) => panic!("message {n} got another's result: {result:?}"),
        }
    }
    ready(fixture, (0..10_000).filter(|n| n % 7 != 3).count()).await;
}

pub async fn what_was_published_is_confirmed_before_closing<F: Fixture>(fixture: &F) {
    let producer = fixture.connect("producer").await;
    let mut confirmations = Vec::new();
    for n in 0..500 {
        confirmations.push(producer.publish(message(n)).await.expect("on its way"));
    }
    in_time("the connection to close", producer.close()).await;
    for confirmation in confirmations {
        in_time("a confirmation", confirmation)
            .await
            .expect("confirmed");
    }
    ready(fixture, 500).await;
}

pub async fn messages_keep_their_order<F: Fixture>(fixture: &F) {
    let producer = fixture.connect("producer").await;
    let worker = fixture.connect("worker").await;
    let mut owner = Owner::of_ops(&*worker, 10).await;
    let between = (0..1_000).flat_map(|n| [message(n), message(n).to(ALERTS)]);
    queue(&*producer, between).await;
    assert!(owner.finish(1_000).await.into_iter().eq(0..1_000));
}

/// RabbitMQ counts a moment after it confirms.
async fn ready<F: Fixture>(fixture: &F, expected: usize) {
    let onlooker = fixture.connect("onlooker").await;
    eventually(
        &format!("{expected} messages in the lane"),
        async || match onlooker.depth(&account(super::fixture::OPS)).await {
            Ok(depth) if depth.ready == expected as u64 => Ok(()),
            other => Err(other),
        },
    )
    .await;
}
