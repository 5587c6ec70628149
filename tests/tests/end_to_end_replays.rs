//! Dead letters are sent again: each message once, whatever happens to who sends it.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use futures::StreamExt;
use rand::Rng;
use serde_json::{Value, json};
use tidings_broker::{DeadRecord, ReadFrom, ReadUntil};
use tidings_model::{Audit, Reason};
use tidings_sandbox::{Fault, Faults, On as Calls, Operation, Provider};
use tidings_tests::{
    Process, Signal, eventually,
    fleet::{Fleet, On, messages, refusals},
    on_each_broker, on_rabbitmq_4_3,
};

on_each_broker! {
    a_replay_killed_twenty_times_sends_each_message_once,
    a_replay_goes_only_as_far_as_its_canary,
    a_replay_that_was_cut_off_still_waits_for_its_canary,
    what_may_have_been_delivered_is_sent_again_with_consent_alone,
    a_message_that_dies_again_is_replayed_again,
}

on_rabbitmq_4_3! {
    a_replay_goes_only_as_far_as_its_canary,
    what_may_have_been_delivered_is_sent_again_with_consent_alone,
    a_message_that_dies_again_is_replayed_again,
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
    fleet.open_letters(ids.len()).await;
    fleet.sandbox.heal().await;

    // Two at once, who want the same letters of one account, and both are killed again and again.
    let said = follow(&fleet).await;
    let replay = |user: &str| {
        let begun = said.lock().unwrap().operations.get(user).cloned();
        match begun {
            Some(operation) => start(&fleet, user, &["replay", "--resume", &operation]),
            None => {
                let some = if user == "ann" {
                    &accounts[..3]
                } else {
                    &accounts[2..]
                };
                let replay = ["replay", "--yes", "--rate", "4000/s", "--account"];
                start(&fleet, user, &[&replay[..], some].concat())
            }
        }
    };
    let mut replays: Vec<_> = ["ann", "bob"].map(|user| (user, replay(user))).into();
    eventually("both have begun", async || {
        let begun = said.lock().unwrap().operations.len();
        (begun == 2).then_some(()).ok_or(begun)
    })
    .await;
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

    assert_eq!(fleet.delivered_of(1, ids.len()).await, ids.len());
    let book = fleet.sandbox.book().await;
    assert!(book.times().values().all(|times| *times == 1));
    assert_eq!(book.times().len(), ids.len());
    let duplicates = book.refused.iter().filter(|call| call.status == Some(409));
    assert!(duplicates.count() <= 100);

    assert!(fleet.letters().await.is_empty());
    let listed = fleet
        .dlq_does(&["list", "--json", "--state", "replayed"])
        .await;
    assert_eq!(listed.len(), ids.len());
    let audit = fleet.dlq_does(&["audit", "--json"]).await;
    let done: u64 = audit.iter().map(|one| one["done"].as_u64().unwrap()).sum();
    assert_eq!((done, audit.len()), (count, 2), "{audit:?}");
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
    fleet.open_letters(30).await;
    let canary = ["replay", "--yes", "--json", "--canary", "5"];

    let said = fleet.dlq_fails(&canary).await;
    assert_eq!(said[0]["planned"], 30);
    assert_eq!(
        (&said[1]["failed"], &said[1]["replayed"]),
        (&json!(5), &json!(0))
    );
    assert_eq!(fleet.delivered_of(1, 5).await, 0);
    assert_eq!(fleet.ends_of(1).len(), 5, "the others were left alone");

    // Whether more are left, or the last ones are on their way.
    for limit in ["30", "8"] {
        let stops = [
            "replay",
            "--yes",
            "--json",
            "--limit",
            limit,
            "--stop-after-failures",
            "3",
        ];
        let said = fleet.dlq_fails(&stops).await;
        let failed = said[1]["failed"].as_u64().unwrap();
        assert!((3..=12).contains(&failed), "{said:?}");
    }

    fleet.sandbox.heal().await;
    let open = fleet.letters().await.len();
    let said = fleet.dlq_does(&canary).await;
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

/// Twice: the canary fails, and then it is delivered.
async fn a_replay_that_was_cut_off_still_waits_for_its_canary(on: On) {
    const COUNT: usize = 20;
    let fleet = Fleet::on(on)
        .account("raven.ops", QUICK)
        .faults(refusals())
        .start()
        .await;
    let mut worker = fleet.worker().await;
    let ids = fleet.send(&messages("raven.ops", "m", COUNT)).await;
    fleet.ended(&ids).await;
    fleet.open_letters(COUNT).await;
    let said = follow(&fleet).await;
    for (canaries, succeeds) in [(5, false), (10, true)] {
        // Nobody is there who could tell what becomes of the canary.
        assert!(worker.terminate().await.success());
        let replay = start(&fleet, "ann", &["replay", "--yes", "--canary", "5"]);
        eventually("the canary is out", async || {
            let resolved = said.lock().unwrap().resolved;
            (resolved == canaries).then_some(()).ok_or(resolved)
        })
        .await;
        replay.kill9().await;
        let operation = said.lock().unwrap().operations["ann"].clone();
        if succeeds {
            fleet.sandbox.heal().await;
        }
        worker = fleet.worker().await;
        let resume = ["replay", "--resume", &operation];
        let resumed = fleet.command("tidings-dlq", &resume).env("USER", "ann");
        let resumed = resumed.run("").await;
        assert_eq!(resumed.status.success(), succeeds, "{resumed:?}");
        if !succeeds {
            let words = String::from_utf8_lossy(&resumed.stderr);
            assert!(words.contains("of the canary 5 failed"), "{words}");
            assert_eq!(fleet.delivered_of(1, 5).await, 0);
            assert_eq!(fleet.ends_of(1).len(), 5, "the others were left alone");
            fleet.open_letters(COUNT).await;
        }
    }
    eventually("each message is recorded once", async || {
        let times = fleet.sandbox.book().await.times();
        let once = times.values().all(|times| *times == 1);
        (once && times.len() == COUNT).then_some(()).ok_or(times)
    })
    .await;
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
    for letter in fleet.open_letters(10).await {
        assert_eq!(
            (letter.reason, letter.maybe_delivered),
            (Reason::UnknownOutcome, true)
        );
    }
    let unknown = worker.metric("tidings_maybe_delivered_total", "").await;
    assert_eq!(unknown, 10.0);
    fleet.sandbox.heal().await;

    let said = fleet.dlq_does(&["replay", "--yes", "--json"]).await;
    assert_eq!(
        (&said[0]["planned"], &said[1]["skipped"]),
        (&json!(0), &json!(10))
    );
    let said = fleet
        .dlq_does(&["replay", "--yes", "--json", "--including-unknown"])
        .await;
    assert_eq!(said[1]["replayed"], 10);
    assert_eq!(fleet.delivered_of(1, 10).await, 10);
    let book = fleet.sandbox.book().await;
    assert_eq!(
        book.summary.refused_by_status.get(&409),
        None,
        "GroupMe's were looked up, and not sent"
    );
    // GroupMe's were found, and Raven's were sent again since somebody agreed to that.
    for (id, times) in book.times() {
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
        fleet.delivered_of(generation, 1).await;
        let open = fleet.open_letters(1).await;
        assert_eq!(open[0].generation, generation);
        if generation == 2 {
            fleet.sandbox.heal().await;
        }
        let said = fleet.dlq_does(&["replay", id, "--yes", "--json"]).await;
        assert_eq!(said[1]["replayed"], 1, "{said:?}");
    }
    assert_eq!(fleet.delivered_of(3, 1).await, 1);
    assert_eq!(fleet.sandbox.book().await.times_of(id), 1);
    fleet.dlq_fails(&["replay", id, "--yes"]).await;
    assert!(worker.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_replay_says_how_it_goes_on() {
    const COUNT: usize = 40;
    let fleet = Fleet::on(On::Embedded)
        .account("raven.ops", QUICK)
        .start()
        .await;
    let worker = fleet.worker().await;
    fleet.bury("raven.ops", COUNT).await;
    let said = follow(&fleet).await;
    let resolved = || said.lock().unwrap().resolved;
    let replay = start(&fleet, "ann", &["replay", "--yes", "--rate", "5/s"]);
    eventually("it has begun to send", async || {
        (resolved() > 0).then_some(()).ok_or("nothing is resolved")
    })
    .await;
    replay.signal(Signal::INT);
    assert_eq!(replay.exit().await.code(), Some(1));
    let line = replay.line("replay --resume").await;
    let (_, rest) = line.split_once("--resume ").unwrap();
    let (operation, _) = rest.split_once('`').unwrap();
    assert!(resolved() < COUNT as u64);

    // As it was begun: at its slow rate.
    let resumed = start(&fleet, "ann", &["replay", "--resume", operation]);
    let so_far = resolved();
    eventually("it goes on", async || {
        (resolved() > so_far).then_some(()).ok_or(so_far)
    })
    .await;
    resumed.kill9().await;
    // What it still holds somebody may take from it.
    let open = fleet.letters().await;
    let late: Vec<_> = open[open.len() - 5..]
        .iter()
        .map(|letter| letter.message.id().unwrap().as_str())
        .collect();
    let why = ["--yes", "--take-over", "--why", "it is too late"];
    fleet
        .dlq_does(&[&["discard"], &late[..], &why].concat())
        .await;
    let resumed = start(&fleet, "ann", &["replay", "--resume", operation]);
    assert!(resumed.exit().await.success(), "{}", resumed.log());
    assert_eq!(fleet.delivered_of(1, COUNT - 5).await, COUNT - 5);
    let times = fleet.sandbox.book().await.times();
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    assert!(late.iter().all(|id| !times.contains_key(*id)), "{times:?}");
    assert!(fleet.letters().await.is_empty());
    assert!(worker.terminate().await.success());
}
