//! Replays that were cut off: what goes on, whose it is, and what may have been sent.

use std::collections::BTreeMap;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::json;
use tidings_broker::DeadRecord;
use tidings_dlq::{
    Request,
    operator::{OperatorError, Pace, Resumed, Watch},
};
use tidings_model::{
    Audit, Decision, LetterState, Metadata, OperationId, Outcome, Record, Resolution, Tenure, Verb,
    Verdicted,
};

use crate::{
    records::{cut_off_at, key, plain, raven},
    world::World,
};

/// A replay of somebody who was cut off when he had claimed this.
fn cut_off(by: &str, id: &str) -> (OperationId, Vec<DeadRecord>) {
    cut_off_at(
        Verb::Replay,
        by,
        id,
        json!({"request": {"upto": 1}, "pace": {}}),
    )
}

/// What a worker writes of a message that it delivered.
fn delivered(id: &str, generation: u32) -> Record {
    Record::Decided(Box::new(Decision {
        turn: 0,
        attempt: None,
        verdicted: Verdicted::Ended {
            outcome: Outcome::Delivered {
                id: id.parse().unwrap(),
                account: raven(),
                generation,
                attempts: 1,
                at: Timestamp::now(),
                provider_message_id: None,
                deduplicated: false,
                metadata: Metadata::default(),
            },
            maybe_delivered: false,
        },
    }))
}

/// A replay was killed when it may have sent a message; somebody renewed its letter, and somebody else sends it.
#[tokio::test]
async fn what_a_replay_may_have_sent_is_looked_for_whoever_took_it_over() {
    let (_, records) = cut_off("bob@host", "a");
    let letters = [plain("a"), plain("sure")];
    let world = World::with(letters.into_iter().chain(records)).await;
    let said = world.run(&["renew", "a", "--take-over"]);
    assert_eq!(said.status, 0, "{}", said.words);
    let said = world.run(&["edit", "a", "--set", "/payload/message=x", "--json"]);
    assert!(
        said.words.contains("may have been delivered"),
        "{}",
        said.words
    );
    let said = world.run(&["restore", "a"]);
    assert_eq!(said.status, 0, "{}", said.words);
    // The ledger tells nothing of that time.
    let said = world.run(&["replay", "--yes", "--json"]);
    assert_eq!(said.json()[1]["replayed"], 2, "{}", said.words);
    let queued = world.queued().await.into_iter();
    let doubted: BTreeMap<_, _> = queued
        .map(|(id, headers)| (id, headers.maybe_delivered))
        .collect();
    assert!(doubted["a"] && !doubted["sure"], "{doubted:?}");
}

#[tokio::test]
async fn what_somebody_claimed_is_left_to_him_until_it_is_taken_over() {
    let (operation, records) = cut_off("bob@host", "a");
    let world = World::with([plain("a"), plain("b")].into_iter().chain(records)).await;
    let said = world.run(&["replay", "--yes", "--json"]);
    assert_eq!(said.json()[1]["replayed"], 1);
    assert!(said.words.contains("bob@host"), "{}", said.words);
    assert_eq!(world.run(&["discard", "a", "--why", "no"]).status, 1);
    let resume = operation.to_string();
    let said = world.run(&["replay", "--resume", &resume]);
    assert_eq!(said.status, 1);
    assert!(said.words.contains("--take-over"), "{}", said.words);

    let said = world.run(&["replay", "a", "--yes", "--json", "--take-over"]);
    assert_eq!(said.json()[1]["replayed"], 1, "{}", said.words);
    assert_eq!(world.queued().await.len(), 2);
}

#[tokio::test]
async fn anothers_replay_goes_on_once_it_is_taken_over() {
    let (operation, records) = cut_off("bob@host", "a");
    let world = World::with([plain("a")].into_iter().chain(records)).await;
    let resume = ["replay", "--resume", &operation.to_string(), "--take-over"];
    let said = world.run(&resume);
    assert_eq!(said.status, 0, "{}", said.words);
    assert_eq!(world.queued().await.len(), 1);
    let audit = world.run(&["audit", "--json"]).json();
    let [one] = &audit[..] else {
        panic!("it is one operation: {audit:?}")
    };
    assert_eq!((&one["by"], &one["done"]), (&"bob@host".into(), &1.into()));
}

#[tokio::test]
async fn what_was_cut_off_goes_on_with_what_it_was_begun_for() {
    let (operation, records) = cut_off("ann@host", "a");
    let world = World::with([plain("a")].into_iter().chain(records)).await;
    let resume = operation.to_string();
    for other in [
        &["--dry-run"][..],
        &["--rate", "5/s"],
        &["--including-unknown"],
        &["--account", "raven.ops"],
        &["--limit", "1"],
        &["a"],
    ] {
        let said = world.run(&[&["replay", "--resume", &resume], other].concat());
        assert_eq!(said.status, 2, "it goes on as it was begun: {other:?}");
    }
    assert!(world.queued().await.is_empty());
    let ann = world.operator("ann@host");
    let Resumed::Replay(replay) = ann.resume(operation, false).await.unwrap() else {
        panic!("it has not ended");
    };
    let tally = replay.run(&Watch::default()).await.unwrap();
    assert_eq!((tally.done, tally.skipped), (1, 0));
    let Resumed::Ended(again) = ann.resume(operation, false).await.unwrap() else {
        panic!("it has ended");
    };
    assert_eq!(again.done, 1);
    assert_eq!(world.queued().await.len(), 1);
    let nobodys = "01938c2e-7b2a-7000-8000-000000000002".parse().unwrap();
    assert!(matches!(
        ann.resume(nobodys, false).await,
        Err(OperatorError::Unknown(_))
    ));
}

/// It was killed when its message was out, and before it could say so.
#[tokio::test]
async fn what_the_ledger_shows_is_not_sent_again() {
    let (operation, records) = cut_off("ann@host", "a");
    let world = World::with([plain("a")].into_iter().chain(records)).await;
    world.broker.append(vec![delivered("a", 1)]).await.unwrap();
    let ann = world.operator("ann@host");
    let Resumed::Replay(replay) = ann.resume(operation, false).await.unwrap() else {
        panic!("it has not ended");
    };
    assert_eq!(replay.run(&Watch::default()).await.unwrap().done, 1);
    assert!(world.queued().await.is_empty());
    assert_eq!(world.ids(&["--state", "replayed"]), ["a"]);
}

/// Somebody who lost sight of the first one started a second.
#[tokio::test]
async fn one_that_is_resumed_twice_at_once_sends_what_one_would() {
    const COUNT: u64 = 1200;
    let world = World::with((0..COUNT).map(|number| plain(&format!("m-{number}")))).await;
    let ann = world.operator("ann@host");
    let plan = ann.plan(Verb::Replay, Request::default(), Timestamp::now());
    let replay = ann.replay(plan.await.unwrap(), Pace::default());
    let operation = replay.await.unwrap().operation();
    let mut both = Vec::new();
    for _ in 0..2 {
        match ann.resume(operation, false).await.unwrap() {
            Resumed::Replay(replay) => both.push(replay),
            Resumed::Ended(tally) => panic!("it has not ended: {tally:?}"),
        }
    }
    let watch = Watch::default();
    for tally in join_all(both.into_iter().map(|replay| replay.run(&watch))).await {
        let tally = tally.unwrap();
        assert_eq!((tally.done, tally.skipped), (COUNT, 0), "{tally:?}");
    }
    // A copy has the same generation and turn: a worker calls one of them.
    let queued = world.queued().await;
    let turns: BTreeMap<_, _> = queued
        .iter()
        .map(|(id, headers)| (id, (headers.generation, headers.turn)))
        .collect();
    assert_eq!(turns.len() as u64, COUNT);
    assert!(turns.values().all(|turn| *turn == (1, 0)), "{turns:?}");
    let audit = world.run(&["audit", "--json"]).json();
    assert_eq!((audit.len(), &audit[0]["done"]), (1, &COUNT.into()));
}

/// A message that was sent before the ledger's beginning may have been delivered, and nothing says so.
#[tokio::test]
async fn what_the_ledger_has_forgotten_may_have_been_delivered() {
    let (operation, records) = cut_off("ann@host", "a");
    let world = World::with([plain("a")].into_iter().chain(records)).await;
    let tenure = Tenure {
        account: raven(),
        worker: "w".into(),
        number: 1,
    };
    let at = Timestamp::now();
    let opened = Record::Opened { tenure, at };
    world.broker.append(vec![opened]).await.unwrap();
    let ann = world.operator("ann@host");
    let Resumed::Replay(replay) = ann.resume(operation, false).await.unwrap() else {
        panic!("it has not ended");
    };
    assert_eq!(replay.run(&Watch::default()).await.unwrap().done, 1);
    let headers = world.queued().await.remove(0).1;
    assert!(headers.maybe_delivered && !headers.consent, "{headers:?}");
}

/// It had claimed one letter of two when it was cut off, and the other one was gone when it went on and was cut off again.
#[tokio::test]
async fn what_is_resumed_twice_counts_what_it_did_the_first_time() {
    let (operation, records) = cut_off_at(
        Verb::Replay,
        "ann@host",
        "a",
        json!({"request": {"upto": 2, "filter": {"states": ["open"]}}, "pace": {}}),
    );
    let mut records: Vec<_> = [plain("a"), plain("b")]
        .into_iter()
        .chain(records)
        .collect();
    for record in &mut records {
        if let DeadRecord::Audit(Audit::Began(began)) = record {
            began.planned = 2;
        }
    }
    let world = World::with(records).await;
    assert_eq!(world.run(&["discard", "b", "--why", "no"]).status, 0);
    world
        .broker
        .record(vec![DeadRecord::Resolution(Resolution {
            operation,
            at: Timestamp::now(),
            letters: vec![key("a")],
            state: LetterState::Replayed,
            new_id: None,
        })])
        .await
        .unwrap();
    let ann = world.operator("ann@host");
    let Resumed::Replay(replay) = ann.resume(operation, false).await.unwrap() else {
        panic!("it has not ended");
    };
    let tally = replay.run(&Watch::default()).await.unwrap();
    assert_eq!((tally.done, tally.skipped), (1, 1));
    assert!(world.queued().await.is_empty());
}

#[tokio::test]
async fn an_interrupted_replay_can_be_resumed() {
    let world = World::with((0..300).map(|number| plain(&format!("m-{number}")))).await;
    let ann = world.operator("ann@host");
    let plan = ann.plan(Verb::Replay, Request::default(), Timestamp::now());
    let replay = ann
        .replay(plan.await.unwrap(), Pace::default())
        .await
        .unwrap();
    let operation = replay.operation();
    let watch = Watch::default();
    watch.stop.cancel();
    let tally = replay.run(&watch).await.unwrap();
    assert!(tally.interrupted && tally.done < 300, "{tally:?}");
    assert!(
        world
            .register()
            .await
            .operation(operation)
            .unwrap()
            .ended
            .is_none()
    );
    let Resumed::Replay(replay) = ann.resume(operation, false).await.unwrap() else {
        panic!("it has not ended");
    };
    let tally = replay.run(&Watch::default()).await.unwrap();
    assert_eq!(tally.done, 300);
    assert_eq!(world.queued().await.len(), 300);
}
