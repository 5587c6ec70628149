//! Replays: what is planned, whose letters they are, and what was cut off.

use std::collections::BTreeMap;

use futures::{StreamExt as _, future::join_all};
use jiff::Timestamp;
use serde_json::json;
use tidings_broker::{DeadRecord, ReadFrom, ReadUntil};
use tidings_dlq::{
    Request,
    operator::{OperatorError, Pace, Resumed, Watch},
};
use tidings_model::{
    Audit, Headers, LetterState, OperationId, Reason, Record, Resolution, Tenure, Verb,
};

use crate::{
    records::{cut_off_at, died, key, letter, plain, raven},
    world::World,
};

fn maybe_delivered(id: &str) -> DeadRecord {
    let DeadRecord::Letter { mut head, body } = plain(id) else {
        unreachable!()
    };
    head.maybe_delivered = true;
    DeadRecord::Letter { head, body }
}

/// A replay of somebody who was cut off when he had claimed this.
fn cut_off(by: &str, id: &str) -> (OperationId, Vec<DeadRecord>) {
    cut_off_at(
        Verb::Replay,
        by,
        id,
        json!({"request": {"upto": 1}, "pace": {}}),
    )
}

#[tokio::test]
async fn of_two_who_planned_the_same_each_letter_is_sent_by_one() {
    let ids: Vec<String> = (0..1200).map(|number| format!("m-{number}")).collect();
    let world = World::with(ids.iter().map(|id| plain(id))).await;
    let operators = ["ann", "bob", "eve"].map(|by| world.operator(by));
    let mut replays = Vec::new();
    for operator in &operators {
        let plan = operator.plan(Verb::Replay, Request::default(), Timestamp::now());
        let plan = plan.await.unwrap();
        assert_eq!(plan.planned(), 1200);
        replays.push(operator.replay(plan, Pace::default()).await.unwrap());
    }
    let operations: Vec<OperationId> = replays.iter().map(|replay| replay.operation()).collect();
    let watch = Watch::default();
    let tallies = join_all(replays.into_iter().map(|replay| replay.run(&watch))).await;
    let tallies: Vec<_> = tallies.into_iter().map(Result::unwrap).collect();
    let sent: u64 = tallies.iter().map(|tally| tally.done).sum();
    assert_eq!(sent, 1200, "{tallies:?}");
    for tally in &tallies {
        let lost: u64 = tally.lost.values().sum();
        assert_eq!(tally.done + lost, 1200, "{tally:?}");
        assert!(tally.lost.keys().all(|winner| operations.contains(winner)));
    }
    let mut times = BTreeMap::new();
    for (id, headers) in world.queued().await {
        assert_eq!((headers.generation, headers.turn), (1, 0));
        *times.entry(id).or_insert(0) += 1;
    }
    assert!(times.len() == 1200 && times.values().all(|times| *times == 1));
}

#[tokio::test]
async fn a_replay_sends_what_its_conditions_let_through_and_no_more() {
    let world = World::with([
        plain("a"),
        died("b", Reason::Rejected, 30),
        plain("c"),
        plain("d"),
    ])
    .await;
    let replay = |conditions: &[&str]| {
        let said = world.run(&[&["replay", "--yes", "--json"], conditions].concat());
        assert_eq!(said.status, 0, "{said:?}");
        said.json()[1]["replayed"].clone()
    };
    assert_eq!(
        replay(&["--account", "raven.ops", "--sort", "newest", "--limit", "1"]),
        1
    );
    assert_eq!(world.ids(&[]), ["a", "b", "c"]);
    assert_eq!(replay(&["--account", "raven.ops", "--limit", "1"]), 1);
    assert_eq!(world.ids(&[]), ["b", "c"]);
    assert_eq!(replay(&["--reason", "undecodable"]), 0);
    assert_eq!(replay(&["--reason", "attempts-exhausted"]), 1);
    assert_eq!(world.ids(&[]), ["b"], "it is of another reason");
    let queued = world.queued().await;
    let queued: Vec<&str> = queued.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(queued, ["d", "a", "c"]);
}

#[tokio::test]
async fn a_plan_leaves_alone_what_must_not_be_sent() {
    let world = World::with([
        plain("a"),
        letter("expired", &json!({"expires_at": "2026-01-02T00:00:00Z"})),
        letter("unknown-field", &json!({"colour": "red"})),
        maybe_delivered("maybe"),
    ])
    .await;
    let said = world.run(&["replay", "--dry-run", "--json"]);
    assert_eq!(
        (said.status, &said.json()[0]["planned"]),
        (0, &json!(1)),
        "{}",
        said.words
    );
    assert_eq!(said.json()[0]["skipped"], 3);
    let said = world.run(&["replay", "--dry-run", "--json", "--including-unknown"]);
    let plan = &said.json()[0];
    assert_eq!(
        (
            &plan["accounts"],
            &plan["reasons"],
            &plan["maybe_delivered"]
        ),
        (
            &json!({"raven.ops": 2}),
            &json!({"attempts-exhausted": 2}),
            &json!(1)
        )
    );
    for words in [
        "to replay: 2 letters",
        "accounts: raven.ops 2",
        "reasons: attempts-exhausted 2",
        "may have been delivered: 1",
        "left alone: 1, since they have expired",
    ] {
        assert!(said.words.contains(words), "{words} in {}", said.words);
    }
    let said = world.run(&["replay", "--json"]);
    assert_eq!(
        said.status, 2,
        "nobody is there to be asked: {}",
        said.words
    );
    assert!(world.queued().await.is_empty());

    let said = world.run(&["replay", "--yes", "--json"]);
    assert_eq!(said.status, 0, "{}", said.words);
    assert_eq!(said.json()[1]["replayed"], 1);
    assert_eq!(said.json()[1]["skipped"], 3);
    let said = world.run(&["replay", "--yes", "--json", "--including-unknown"]);
    assert_eq!(said.json()[1]["replayed"], 1, "{}", said.words);
    let headers = |maybe| Headers {
        generation: 1,
        maybe_delivered: maybe,
        consent: maybe,
        ..Headers::default()
    };
    let expected = [
        ("a".to_owned(), headers(false)),
        ("maybe".to_owned(), headers(true)),
    ];
    assert_eq!(world.queued().await, expected);
    let audit = world.run(&["audit", "--json"]).json();
    let which: Vec<_> = audit.iter().map(|one| one["which"].to_string()).collect();
    assert!(
        which
            .iter()
            .any(|which| which.contains("also what may have been delivered")),
        "{which:?}"
    );
    assert!(
        audit
            .iter()
            .all(|one| one["by"].as_str().unwrap().starts_with("ann@") && one["planned"] == 1)
    );

    // What has expired goes once it was mended.
    let said = world.run(&["edit", "expired", "--remove", "/expires_at", "--json"]);
    assert_eq!(said.status, 0, "{}", said.words);
    assert_eq!(world.queued().await.len(), 3);
}

/// Nothing is done that the audit does not tell of already.
#[tokio::test]
async fn the_audit_is_written_before_the_act() {
    let world = World::with(["a", "b"].map(plain)).await;
    assert_eq!(world.run(&["replay", "a", "--yes"]).status, 0);
    assert_eq!(world.run(&["discard", "b", "--why", "no"]).status, 0);
    let mut entries = world
        .broker
        .dead(ReadFrom::First, ReadUntil::Now)
        .await
        .unwrap();
    let mut steps = Vec::new();
    while let Some(entry) = entries.next().await {
        steps.push(match entry.unwrap().record {
            DeadRecord::Letter { .. } => "letter",
            DeadRecord::Claim(_) => "claim",
            DeadRecord::Resolution(_) => "resolution",
            DeadRecord::Audit(Audit::Began(_)) => "began",
            DeadRecord::Audit(Audit::Ended(_)) => "ended",
            _ => "something else",
        });
    }
    let act = ["began", "claim", "resolution", "ended"];
    assert_eq!(steps, [&["letter", "letter"][..], &act, &act].concat());
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

/// Somebody looks at a plan for a while before he agrees to it.
#[tokio::test]
async fn a_plan_that_was_shown_does_not_grow() {
    let world = World::with(["a", "b"].map(plain)).await;
    let ann = world.operator("ann@host");
    let shown = ann.plan(Verb::Replay, Request::default(), Timestamp::now());
    let shown = shown.await.unwrap();
    world.add([plain("c")]).await;
    let confirmed = ann.plan(Verb::Replay, shown.request.clone(), Timestamp::now());
    assert_eq!(confirmed.await.unwrap().letters, shown.letters);
    let anew = ann.plan(Verb::Replay, Request::default(), Timestamp::now());
    assert_eq!(anew.await.unwrap().planned(), 3);
}

#[tokio::test]
async fn after_the_last_generation_there_is_none() {
    let DeadRecord::Letter { mut head, body } = plain("a") else {
        unreachable!()
    };
    head.generation = u32::MAX;
    let world = World::with([DeadRecord::Letter { head, body }]).await;
    let ann = world.operator("ann@host");
    let plan = ann.plan(Verb::Replay, Request::default(), Timestamp::now());
    assert_eq!(plan.await.unwrap().planned(), 0);
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

#[tokio::test]
async fn an_account_without_a_lane_is_a_failure_and_stays_open() {
    let elsewhere = letter("a", &json!({"account": "raven.gone"}));
    let world = World::with([elsewhere, plain("b")]).await;
    let said = world.run(&["replay", "--yes", "--json"]);
    assert_eq!(said.status, 1, "{}", said.words);
    assert_eq!(
        (&said.json()[1]["replayed"], &said.json()[1]["failed"]),
        (&json!(1), &json!(1))
    );
    assert!(said.words.contains("topology apply"), "{}", said.words);
    let register = world.register().await;
    assert_eq!(register.state(&key("a")), LetterState::Open);
    assert_eq!(register.holder(&key("a")), None);
}
