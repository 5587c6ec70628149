//! Replays that are killed or interrupted, and go on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use futures::StreamExt;
use rand::Rng;
use serde_json::Value;
use tidings_broker::{DeadRecord, ReadFrom, ReadUntil};
use tidings_model::Audit;
use tidings_tests::{
    Process, Signal, eventually,
    fleet::{Fleet, On, messages, refusals},
    on_each_broker, on_rabbitmq_4_3,
};

use crate::QUICK;

on_each_broker! {
    a_replay_killed_twenty_times_sends_each_message_once,
    a_replay_that_was_cut_off_still_waits_for_its_canary,
}

on_rabbitmq_4_3! {
    a_replay_killed_twenty_times_sends_each_message_once,
}

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
