//! Dead letters are sent again, mended, discarded and restored: each message once, and the audit knows of it.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use std::{
    collections::BTreeMap,
    process::Output,
    sync::{Arc, Mutex},
};

use futures::StreamExt;
use rand::Rng;
use serde_json::{Value, json};
use tidings_broker::{DeadRecord, Options, ReadFrom, ReadUntil, Topology};
use tidings_model::{Account, Audit, DeadLetter, LetterState, Reason, Verdicted};
use tidings_sandbox::{Fault, Faults, On as Calls, Operation, Provider};
use tidings_tests::{
    Broker, Flavour, Process, Program, Signal, eventually,
    fleet::{Fleet, On, message, messages},
    on_each_broker, on_rabbitmq_4_3,
};

on_each_broker! {
    a_replay_killed_twenty_times_sends_each_message_once,
    a_replay_goes_only_as_far_as_its_canary,
    what_may_have_been_delivered_is_sent_again_with_consent_alone,
    a_message_that_dies_again_is_replayed_again,
    letters_are_mended_discarded_restored_and_renewed,
}

on_rabbitmq_4_3! {
    a_replay_killed_twenty_times_sends_each_message_once,
}

const QUICK: &str = r#"
    rate = "unlimited"
    destination_rate = "unlimited"
    concurrency = 32
    timeout = "2s"
    retry = { max_attempts = 1, base = "1s", cap = "1s" }
"#;

const KILLS: u64 = 20;

/// What each provider says to a message that it will never take.
fn refusals() -> Faults {
    let refusal = |provider: Provider| {
        let fault = match provider {
            Provider::Grupo => {
                Fault::status(200).body(json!({"success": false, "error_key": "user_not_found"}))
            }
            Provider::Raven => Fault::status(404),
            Provider::Pingup => Fault::status(400)
                .body(json!({"success": false, "message": "The conversation is not open"})),
            Provider::WhatsPie => Fault::status(422),
            Provider::GroupMe => Fault::status(400),
        };
        fault.on(Calls::from(provider).operation(Operation::Send))
    };
    let providers = [
        Provider::Grupo,
        Provider::Raven,
        Provider::Pingup,
        Provider::WhatsPie,
        Provider::GroupMe,
    ];
    providers
        .into_iter()
        .map(refusal)
        .fold(Faults::none(), Faults::fault)
}

/// As the deployment's broker has them: rights to configure, to write and to read.
const INSPECTOR: [&str; 3] = [
    r"^tidings[.]own[.].*$",
    r"^tidings([.](delay|dead|own[.].*))?$",
    r"^tidings[.](dead|ledger|fleet|own[.].*)$",
];

/// Waits until so many letters are open.
async fn letters(fleet: &Fleet, count: usize) -> Vec<DeadLetter> {
    eventually("every letter is there", async || {
        let letters = fleet.letters().await;
        match letters.len() {
            found if found == count => Ok(letters),
            found => Err(format!("{found} of {count}")),
        }
    })
    .await
}

async fn dlq(fleet: &Fleet, arguments: &[&str]) -> Output {
    fleet.command("tidings-dlq", arguments).run("").await
}

/// Runs it, and returns what it said, a line of JSON each.
async fn well(fleet: &Fleet, arguments: &[&str]) -> Vec<Value> {
    let output = dlq(fleet, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    json_lines(&String::from_utf8(output.stdout).unwrap())
}

fn json_lines(text: &str) -> Vec<Value> {
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The outcome of one generation of each message: delivered, or why not.
fn outcomes(fleet: &Fleet, generation: u32) -> BTreeMap<String, Option<Reason>> {
    let mut outcomes = BTreeMap::new();
    for decision in fleet.ledger.decisions() {
        if let Verdicted::Ended { outcome, .. } = &decision.verdicted
            && outcome.generation() == generation
        {
            let id = outcome.id().to_string();
            outcomes.entry(id).or_insert_with(|| outcome.reason());
        }
    }
    outcomes
}

/// Waits until so many messages of a generation have ended, and returns how many were delivered.
async fn ended(fleet: &Fleet, generation: u32, count: usize) -> usize {
    let outcomes = eventually("every replayed message has ended", async || {
        let outcomes = outcomes(fleet, generation);
        match outcomes.len() {
            found if found >= count => Ok(outcomes),
            found => Err(format!("{found} of {count}")),
        }
    })
    .await;
    outcomes.values().filter(|reason| reason.is_none()).count()
}

/// What the dead stream says so far.
#[derive(Default)]
struct Said {
    /// How many letters were resolved.
    resolved: u64,
    /// The operation that each user began last.
    operations: BTreeMap<String, String>,
}

/// Follows the dead stream as it is written.
async fn follow(fleet: &Fleet) -> Arc<Mutex<Said>> {
    let said = Arc::new(Mutex::new(Said::default()));
    let told = said.clone();
    let entries = fleet.broker.dead(ReadFrom::First, ReadUntil::Forever);
    let mut entries = entries.await.unwrap();
    tokio::spawn(async move {
        while let Some(Ok(entry)) = entries.next().await {
            let mut said = told.lock().unwrap();
            match entry.record {
                DeadRecord::Resolution(resolution) => {
                    said.resolved += resolution.letters.len() as u64;
                }
                DeadRecord::Audit(Audit::Began(began)) => {
                    let (user, _) = began.by.split_once('@').unwrap();
                    let operation = began.operation.to_string();
                    said.operations.insert(user.to_owned(), operation);
                }
                _ => {}
            }
        }
    });
    said
}

fn start(fleet: &Fleet, by: &str, arguments: &[&str]) -> Process {
    fleet
        .command("tidings-dlq", arguments)
        .env("USER", by)
        .start()
}

async fn a_replay_killed_twenty_times_sends_each_message_once(on: On) {
    const EACH: usize = 1000;
    let accounts = [
        "groupme.ops",
        "whatspie.ops",
        "grupo.ops",
        "raven.ops",
        "pingup.ops",
    ];
    let mut draft = Fleet::on(on).faults(refusals());
    for account in accounts {
        draft = draft.account(account, QUICK);
    }
    let fleet = draft.start().await;
    let worker = fleet.worker().await;
    let all: Vec<Value> = accounts
        .iter()
        .flat_map(|account| messages(account, "m", EACH))
        .collect();
    let ids = fleet.send(&all).await;
    let count = ids.len() as u64;
    fleet.ended(&ids).await;
    letters(&fleet, ids.len()).await;
    fleet.sandbox.heal().await;

    // Two at once, and both are killed again and again.
    let said = follow(&fleet).await;
    let replay = |user: &str| {
        let begun = said.lock().unwrap().operations.get(user).cloned();
        match begun {
            Some(operation) => start(&fleet, user, &["replay", "--resume", &operation]),
            None => start(&fleet, user, &["replay", "--yes", "--rate", "4000/s"]),
        }
    };
    let mut replays: Vec<_> = ["ann", "bob"].map(|user| (user, replay(user))).into();
    for kill in 0..KILLS {
        let random = rand::rng().random_range(0..count / KILLS);
        let until = (kill * count / KILLS + random).saturating_sub(count / KILLS);
        eventually("the replays come on", async || {
            let resolved = said.lock().unwrap().resolved;
            (resolved >= until).then_some(()).ok_or(resolved)
        })
        .await;
        let (through, at_work): (Vec<_>, Vec<_>) = replays
            .into_iter()
            .partition(|(_, replay)| replay.ended().is_some());
        for (_, replay) in through {
            assert!(replay.exit().await.success(), "{}", replay.log());
        }
        assert!(!at_work.is_empty(), "kill {kill} meets a replay at work");
        replays = Vec::new();
        for (user, killed) in at_work {
            killed.kill9().await;
            replays.push((user, replay(user)));
        }
    }
    for (_, replay) in &replays {
        assert!(replay.exit().await.success(), "{}", replay.log());
    }

    assert_eq!(ended(&fleet, 1, ids.len()).await, ids.len());
    let book = fleet.sandbox.book().await;
    assert!(book.times().values().all(|times| *times == 1));
    assert_eq!(book.times().len(), ids.len());
    let duplicates = book.refused.iter().filter(|call| call.status == Some(409));
    assert!(duplicates.count() <= 100);

    assert!(fleet.letters().await.is_empty());
    let listed = well(&fleet, &["list", "--json", "--state", "replayed"]).await;
    assert_eq!(listed.len(), ids.len());
    let audit = well(&fleet, &["audit", "--json"]).await;
    let done: u64 = audit.iter().map(|one| one["done"].as_u64().unwrap()).sum();
    assert_eq!(done, count, "{audit:?}");
    assert!(worker.terminate().await.success());
}

async fn a_replay_goes_only_as_far_as_its_canary(on: On) {
    let fleet = Fleet::on(on)
        .account("raven.ops", QUICK)
        .faults(refusals())
        .start()
        .await;
    let worker = fleet.worker().await;
    let ids = fleet.send(&messages("raven.ops", "m", 30)).await;
    fleet.ended(&ids).await;
    letters(&fleet, 30).await;
    let canary = ["replay", "--yes", "--json", "--canary", "5"];

    let output = dlq(&fleet, &canary).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = json_lines(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(said[0]["planned"], 30);
    assert_eq!(
        (&said[1]["failed"], &said[1]["replayed"]),
        (&json!(5), &json!(0))
    );
    assert_eq!(outcomes(&fleet, 1).len(), 5, "the others were left alone");

    let stops = ["replay", "--yes", "--json", "--stop-after-failures", "3"];
    let output = dlq(&fleet, &stops).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = json_lines(&String::from_utf8(output.stdout).unwrap());
    let failed = said[1]["failed"].as_u64().unwrap();
    assert!((3..=12).contains(&failed), "{said:?}");

    fleet.sandbox.heal().await;
    let open = fleet.letters().await.len();
    let said = well(&fleet, &canary).await;
    assert_eq!(said[0]["planned"], open);
    assert_eq!(said[1]["replayed"], open);
    eventually("each message is recorded", async || {
        let times = fleet.sandbox.book().await.times();
        (times.len() == 30).then_some(()).ok_or(times.len())
    })
    .await;
    assert!(
        fleet
            .sandbox
            .book()
            .await
            .times()
            .values()
            .all(|times| *times == 1)
    );
    assert!(worker.terminate().await.success());
}

async fn what_may_have_been_delivered_is_sent_again_with_consent_alone(on: On) {
    let parks = format!("{QUICK}\non_unknown = \"park\"");
    let lost = |provider| {
        let sends = Calls::from(provider).operation(Operation::Send);
        Fault::timeout().after_recording().on(sends)
    };
    let blind = Calls::from(Provider::GroupMe).operation(Operation::Index);
    let fleet = Fleet::on(on)
        .account("groupme.ops", QUICK)
        .account("raven.ops", &parks)
        .faults(
            Faults::none()
                .fault(lost(Provider::GroupMe))
                .fault(lost(Provider::Raven))
                .fault(Fault::status(404).on(blind)),
        )
        .start()
        .await;
    let worker = fleet.worker().await;
    let sent = [
        messages("groupme.ops", "m", 5),
        messages("raven.ops", "m", 5),
    ]
    .concat();
    let ids = fleet.send(&sent).await;
    fleet.ended(&ids).await;
    for letter in letters(&fleet, 10).await {
        assert_eq!(
            (letter.reason, letter.maybe_delivered),
            (Reason::UnknownOutcome, true)
        );
    }
    fleet.sandbox.heal().await;

    let said = well(&fleet, &["replay", "--yes", "--json"]).await;
    assert_eq!(
        (&said[0]["planned"], &said[1]["skipped"]),
        (&json!(0), &json!(10))
    );
    let said = well(
        &fleet,
        &["replay", "--yes", "--json", "--including-unknown"],
    )
    .await;
    assert_eq!(said[1]["replayed"], 10);
    assert_eq!(ended(&fleet, 1, 10).await, 10);
    // GroupMe's were found, and Raven's were sent again since somebody agreed to that.
    for (id, times) in fleet.sandbox.book().await.times() {
        let expected = if id.starts_with("groupme.") { 1 } else { 2 };
        assert_eq!(times, expected, "{id}");
    }
    assert!(worker.terminate().await.success());
}

async fn a_message_that_dies_again_is_replayed_again(on: On) {
    let fleet = Fleet::on(on)
        .account("pingup.ops", QUICK)
        .faults(refusals())
        .start()
        .await;
    let worker = fleet.worker().await;
    let ids = fleet.send(&messages("pingup.ops", "m", 1)).await;
    let id = ids[0].as_str();
    for generation in 0..3 {
        ended(&fleet, generation, 1).await;
        let open = letters(&fleet, 1).await;
        assert_eq!(open[0].generation, generation);
        if generation == 2 {
            fleet.sandbox.heal().await;
        }
        let said = well(&fleet, &["replay", id, "--yes", "--json"]).await;
        assert_eq!(said[1]["replayed"], 1, "{said:?}");
    }
    assert_eq!(ended(&fleet, 3, 1).await, 1);
    assert_eq!(fleet.sandbox.book().await.times_of(id), 1);
    let output = dlq(&fleet, &["replay", id, "--yes"]).await;
    assert_eq!(output.status.code(), Some(1), "it is delivered: {output:?}");
    assert!(worker.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_replay_says_how_it_goes_on() {
    let fleet = Fleet::on(On::Embedded)
        .account("raven.ops", QUICK)
        .faults(refusals())
        .start()
        .await;
    let worker = fleet.worker().await;
    let ids = fleet.send(&messages("raven.ops", "m", 40)).await;
    fleet.ended(&ids).await;
    letters(&fleet, 40).await;
    fleet.sandbox.heal().await;
    let said = follow(&fleet).await;
    let resolved = || said.lock().unwrap().resolved;
    let replay = start(&fleet, "ann", &["replay", "--yes", "--rate", "2/s"]);
    eventually("it has begun to send", async || {
        (resolved() > 0).then_some(()).ok_or("nothing is resolved")
    })
    .await;
    replay.signal(Signal::INT);
    assert_eq!(replay.exit().await.code(), Some(1));
    let line = replay.line("replay --resume").await;
    let (_, rest) = line.split_once("--resume ").unwrap();
    let (operation, _) = rest.split_once('`').unwrap();
    assert!(resolved() < 40);

    // As it was begun: at its slow rate. It is discarded in place of being waited for.
    let resumed = start(&fleet, "ann", &["replay", "--resume", operation]);
    let so_far = resolved();
    eventually("it goes on", async || {
        (resolved() > so_far).then_some(()).ok_or(so_far)
    })
    .await;
    resumed.kill9().await;
    let taken = ["discard", "--yes", "--take-over", "--why", "it is too late"];
    well(&fleet, &taken).await;
    assert!(fleet.letters().await.is_empty());
    assert!(worker.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inspector_needs_no_more_than_its_rights() {
    let vhost = Broker::shared(Flavour::Debian).await.vhost();
    let url = vhost.url().parse().unwrap();
    let operator = tidings_broker::connect(&url, Options::new("operator".into()));
    let operator = operator.await.unwrap();
    let account: Account = "raven.ops".parse().unwrap();
    let topology = Topology::of([account.clone()]);
    operator.apply(&topology).await.unwrap();
    let letters = ["a", "b", "c"].map(|id| {
        let mut body = message("raven.ops", id);
        body["enqueued_at"] = json!("2026-01-01T00:00:00Z");
        let head = json!({
            "id": id, "account": "raven.ops", "reason": "rejected", "attempts": [],
            "dead_at": "2026-01-01T00:00:00Z", "generation": 0, "maybe_delivered": false,
        });
        DeadRecord::Letter {
            head: serde_json::from_value(head).unwrap(),
            body: body.to_string().into(),
        }
    });
    operator.record(letters.into()).await.unwrap();

    let [configure, write, read] = INSPECTOR;
    let inspector = vhost.user(configure, write, read);
    for arguments in [
        &["list"][..],
        &["discard", "a", "--why", "no"],
        &["restore", "a"],
        &["renew", "a"],
        &[
            "replay",
            "a",
            "--yes",
            "--canary",
            "0",
            "--stop-after-failures",
            "1",
        ],
        &["edit", "b", "--set", "/payload/message=x"],
        &["edit", "c", "--set", "/delay=1h"],
        &["show", "a"],
        &["audit"],
    ] {
        let output = Program::new("tidings-dlq")
            .args(arguments)
            .args(["--broker", &inspector])
            .run("")
            .await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    assert_eq!(operator.depth(&account).await.unwrap().ready, 2);
}

async fn letters_are_mended_discarded_restored_and_renewed(on: On) {
    let fleet = Fleet::on(on)
        .account("raven.ops", QUICK)
        .faults(refusals())
        .start()
        .await;
    let worker = fleet.worker().await;
    let sent: Vec<Value> = ["a", "b", "c"].map(|id| message("raven.ops", id)).into();
    let ids = fleet.send(&sent).await;
    fleet.ended(&ids).await;
    letters(&fleet, 3).await;
    fleet.sandbox.heal().await;
    let state = async |id: &str| {
        let letters = well(&fleet, &["list", "--json", "--state", "all"]).await;
        let letter = letters.iter().find(|letter| letter["message"]["id"] == id);
        serde_json::from_value::<LetterState>(letter.unwrap()["state"].clone()).unwrap()
    };

    let edited = well(&fleet, &["edit", "a", "--set", "/payload/message=mended"]).await;
    let new_id = edited[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(state("a").await, LetterState::Edited);
    let outcome = fleet.ended(std::slice::from_ref(&new_id)).await;
    assert!(outcome[&new_id].reason().is_none(), "{outcome:?}");
    assert_eq!(fleet.sandbox.book().await.times_of("mended"), 1);
    let refused = dlq(&fleet, &["edit", "b", "--set", "/payload/message="]).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");

    well(&fleet, &["discard", "b", "--why", "the customer has left"]).await;
    assert_eq!(state("b").await, LetterState::Discarded);
    let refused = dlq(&fleet, &["replay", "b", "--yes"]).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    well(&fleet, &["restore", "b"]).await;
    assert_eq!(state("b").await, LetterState::Open);

    well(&fleet, &["renew", "--yes"]).await;
    letters(&fleet, 2).await;
    let said = well(&fleet, &["replay", "--yes", "--json"]).await;
    assert_eq!(said[1]["replayed"], 2, "{said:?}");
    assert_eq!(ended(&fleet, 1, 2).await, 2);
    let times = fleet.sandbox.book().await.times();
    assert_eq!((times.get("b"), times.get("c")), (Some(&1), Some(&1)));
    let audit = well(&fleet, &["audit", "--json"]).await;
    let verbs: Vec<&str> = audit
        .iter()
        .map(|one| one["verb"].as_str().unwrap())
        .collect();
    assert_eq!(verbs, ["edit", "discard", "restore", "renew", "replay"]);
    assert_eq!(audit[1]["why"], "the customer has left");
    assert!(
        audit.iter().all(|one| !one["ended_at"].is_null()),
        "{audit:?}"
    );
    assert!(worker.terminate().await.success());
}
