//! Replays: what is planned, whose letters they are, and what was cut off.

use std::collections::BTreeMap;

use futures::{StreamExt as _, future::join_all};
use jiff::Timestamp;
use serde_json::json;
use tidings_broker::{DeadRecord, ReadFrom, ReadUntil};
use tidings_dlq::{
    Request,
    operator::{Pace, Watch},
};
use tidings_model::{Audit, Headers, LetterState, OperationId, Reason, Verb};

use crate::{
    records::{died, key, letter, plain},
    world::World,
};

fn maybe_delivered(id: &str) -> DeadRecord {
    let DeadRecord::Letter { mut head, body } = plain(id) else {
        unreachable!()
    };
    head.maybe_delivered = true;
    DeadRecord::Letter { head, body }
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

/// Whoever looks at the audit at any moment finds what was done, or what may be being done.
#[tokio::test]
async fn what_is_done_is_written_before_and_completed_after() {
    let whys = ["--yes", "--why", "they asked"];
    for (verb, more) in [
        ("replay", &["--yes"][..]),
        ("edit", &["--set", "/payload/message=x"]),
        ("discard", &whys),
        ("renew", &["--yes"]),
    ] {
        let world = World::with([plain("a")]).await;
        let said = world.run(&[&[verb, "a"], more].concat());
        assert_eq!(said.status, 0, "{verb}: {}", said.words);
        let entries = world.broker.dead(ReadFrom::First, ReadUntil::Now);
        let entries = entries.await.unwrap().skip(1);
        let records: Vec<_> = entries.map(|entry| entry.unwrap().record).collect().await;
        let [
            DeadRecord::Audit(Audit::Began(began)),
            DeadRecord::Claim(claim),
            ..,
            DeadRecord::Audit(Audit::Ended(ended)),
        ] = &records[..]
        else {
            panic!("{verb}: {records:?}");
        };
        assert_eq!(
            (began.operation, claim.operation),
            (ended.operation, ended.operation)
        );
        assert_eq!((began.planned, ended.done), (1, 1), "{verb}");
    }
}

/// `script` of util-linux has terminals to lend.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn who_sits_at_a_terminal_is_asked_and_sees_it_come_on() {
    let world = World::with(["a", "b", "c"].map(plain)).await;
    let (_, shown) = world.run_at_a_terminal("replay a b", "n\r");
    for words in ["to replay: 2 letters", "replay them? [y/N]"] {
        assert!(shown.contains(words), "{words} in {shown}");
    }
    assert!(world.queued().await.is_empty(), "nobody agreed");
    let (status, shown) = world.run_at_a_terminal("replay a b --rate 2/s", "y\r");
    assert_eq!(status, 0, "{shown}");
    assert!(shown.contains("of 2, 0 failed"), "{shown}");
    assert!(
        shown.contains("/s, ") && shown.contains("remain"),
        "{shown}"
    );
    assert_eq!(world.queued().await.len(), 2);
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
