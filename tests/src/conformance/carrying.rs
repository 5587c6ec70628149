//! What is carried arrives as it was.

use bytes::Bytes;
use jiff::Timestamp;
use tidings_broker::ReadFrom;
use tidings_model::{Attempt, Attempts, Headers, MAX_BODY_BYTES, Verdict};

use super::{
    fixture::Fixture,
    owner::Owner,
    reading::{dead, letter},
    sending::{Differently, from_now, message, queue, seconds},
};

pub async fn bytes_stay_as_they_are<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let bodies = [
        Bytes::new(),
        Bytes::from((0..=255).collect::<Vec<u8>>()),
        Bytes::from_static(b"\xff\xfe{\"id\":"),
        Bytes::from_static(b"\0"),
        Bytes::from_static(b"line\r\nline\n\n"),
    ];
    queue(
        &*worker,
        bodies.iter().map(|body| message(0).with_body(body.clone())),
    )
    .await;
    let mut owner = Owner::of_ops(&*worker, 10).await;
    for body in &bodies {
        let delivery = owner.next().await;
        assert_eq!(&delivery.body, body);
        owner.bury(delivery);
    }
    owner.settled().await;
    let mut kept: Vec<_> = dead(&*worker, ReadFrom::First)
        .await
        .into_iter()
        .map(|entry| letter(entry).1)
        .collect();
    let mut bodies = bodies.to_vec();
    kept.sort();
    bodies.sort();
    assert_eq!(kept, bodies);
}

/// Through the delays, a lane, back through the delays, and among the dead, where two read it.
pub async fn the_largest_body_passes_through_everything<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    // No two stretches alike, and no text.
    let body: Bytes = (0u32..)
        .take(MAX_BODY_BYTES / 4)
        .flat_map(|n| n.wrapping_mul(0x9E37_79B9).to_be_bytes())
        .collect();
    assert_eq!(body.len(), MAX_BODY_BYTES);
    queue(
        &*worker,
        [message(0).with_body(body.clone()).due(from_now(seconds(1)))],
    )
    .await;
    let mut owner = Owner::of_ops(&*worker, 10).await;
    let delivery = owner.next().await;
    assert!(delivery.body == body);
    let headers = Headers {
        turn: 1,
        due: Some(from_now(seconds(1))),
        ..delivery.headers.clone()
    };
    owner.put_back(delivery, headers);
    let copy = owner.next().await;
    assert!(copy.body == body && copy.headers.turn == 1);
    let head = owner.bury(copy);
    owner.settled().await;
    for reader in ["one", "another"] {
        let reader = fixture.connect(reader).await;
        let letters: Vec<_> = dead(&*reader, ReadFrom::First)
            .await
            .into_iter()
            .map(letter)
            .collect();
        assert!(
            letters == [(head.clone(), body.clone())],
            "{} letters",
            letters.len()
        );
    }
}

/// As much as a message can remember: twenty attempts, each with five hundred characters of the widest kind.
fn longest_history() -> Attempts {
    let mut attempts = Attempts::default();
    for n in 0..20u16 {
        attempts.push(Attempt {
            at: Timestamp::now(),
            verdict: Verdict::ALL[usize::from(n) % 7],
            status: Some(500 + n),
            error: Some("🦀\"".repeat(Attempt::MAX_ERROR / 2)),
            took_ms: u64::from(n),
            worker: "worker-0123456789abcdef".into(),
        });
    }
    attempts
}

fn every_header() -> Headers {
    Headers {
        generation: 3,
        turn: 7,
        attempts: longest_history(),
        due: Some(from_now(seconds(0)) - seconds(1)),
        maybe_delivered: true,
        consent: true,
        again: true,
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
    }
}

pub async fn every_header_travels<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let mut full = message(0);
    full.headers = every_header();
    queue(&*worker, [full.clone(), message(1)]).await;
    let mut owner = Owner::of_ops(&*worker, 10).await;
    let delivery = owner.next().await;
    assert_eq!(delivery.headers, full.headers);
    let empty = owner.next().await;
    assert_eq!(empty.headers, Headers::default());
    // The other way round: what a copy does not have, it does not inherit.
    owner.put_back(delivery, Headers::default());
    owner.put_back(empty, full.headers.clone());
    let (first, second) = (owner.next().await, owner.next().await);
    for copy in [first, second] {
        let expected = if copy.body == full.body {
            Headers::default()
        } else {
            full.headers.clone()
        };
        assert_eq!(copy.headers, expected);
        owner.done(copy);
    }
    owner.settled().await;
}

pub async fn the_longest_history_travels_through_the_delays<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let mut full = message(0).due(from_now(seconds(3)));
    full.headers = Headers {
        due: full.headers.due,
        ..every_header()
    };
    queue(&*worker, [full.clone()]).await;
    let mut owner = Owner::of_ops(&*worker, 10).await;
    let delivery = owner.next().await;
    assert_eq!(delivery.headers, full.headers);
    let head = owner.bury(delivery);
    owner.settled().await;
    let letters: Vec<_> = dead(&*worker, ReadFrom::First)
        .await
        .into_iter()
        .map(letter)
        .collect();
    assert_eq!(letters, [(head, full.body)]);
}
