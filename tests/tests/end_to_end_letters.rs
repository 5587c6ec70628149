//! Dead letters are mended, discarded, restored and renewed, and the audit knows of it.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use std::time::Duration;

use futures::TryStreamExt;
use serde_json::{Value, json};
use tidings_broker::{DeadRecord, Options, ReadFrom, ReadUntil, Topology};
use tidings_model::{Account, LetterState};
use tidings_tests::{
    Broker, Flavour, Program, Relay,
    fleet::{Fleet, On, Role, Users, message, refusals},
    on_each_broker, on_rabbitmq_4_3,
};

on_each_broker! {
    letters_are_mended_discarded_restored_and_renewed,
}

on_rabbitmq_4_3! {
    letters_are_mended_discarded_restored_and_renewed,
}

async fn letters_are_mended_discarded_restored_and_renewed(on: On) {
    let fleet = Fleet::on(on)
        .account("raven.ops", r#"destination_rate = "unlimited""#)
        .faults(refusals())
        .start()
        .await;
    let worker = fleet.worker().await;
    let sent: Vec<Value> = ["a", "b", "c"].map(|id| message("raven.ops", id)).into();
    let ids = fleet.send(&sent).await;
    fleet.ended(&ids).await;
    fleet.open_letters(3).await;
    fleet.sandbox.heal().await;
    let state = async |id: &str| {
        let letters = fleet.dlq_does(&["list", "--json", "--state", "all"]).await;
        let letter = letters.iter().find(|letter| letter["message"]["id"] == id);
        serde_json::from_value::<LetterState>(letter.unwrap()["state"].clone()).unwrap()
    };

    let edited = fleet
        .dlq_does(&["edit", "a", "--set", "/payload/message=mended"])
        .await;
    let new_id = edited[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(state("a").await, LetterState::Edited);
    let outcome = fleet.ended(std::slice::from_ref(&new_id)).await;
    assert!(outcome[&new_id].reason().is_none(), "{outcome:?}");
    assert_eq!(fleet.sandbox.book().await.times_of("mended"), 1);
    let wrong = ["edit", "b", "--set", "/payload/message="];
    fleet.dlq_fails(&wrong).await;

    fleet
        .dlq_does(&["discard", "b", "--why", "the customer has left"])
        .await;
    assert_eq!(state("b").await, LetterState::Discarded);
    fleet.dlq_fails(&["replay", "b", "--yes"]).await;
    fleet.dlq_does(&["restore", "b"]).await;
    assert_eq!(state("b").await, LetterState::Open);

    fleet.dlq_does(&["renew", "--yes"]).await;
    fleet.open_letters(2).await;
    let said = fleet.dlq_does(&["replay", "--yes", "--json"]).await;
    assert_eq!(said[1]["replayed"], 2, "{said:?}");
    assert_eq!(fleet.delivered_of(1, 2).await, 2);
    let times = fleet.sandbox.book().await.times();
    assert_eq!((times.get("b"), times.get("c")), (Some(&1), Some(&1)));
    let audit = fleet.dlq_does(&["audit", "--json"]).await;
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
        letter(id, body.to_string())
    });
    operator.record(letters.into()).await.unwrap();

    let users = Users::of(&vhost);
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
            .args(["--broker", users.url(Role::Inspector)])
            .run("")
            .await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    assert_eq!(operator.depth(&account).await.unwrap().ready, 2);
}

/// A plan was made for fifty letters of sixty, on a machine that was busy while the broker sent them.
#[tokio::test(flavor = "multi_thread")]
async fn all_letters_are_read_however_the_broker_stutters() {
    const COUNT: usize = 150;
    let vhost = Broker::shared(Flavour::Debian).await.vhost();
    let relay = Relay::to(vhost.url()).await;
    let url = relay.url().parse().unwrap();
    let broker = tidings_broker::connect(&url, Options::new("reader".into()));
    let broker = broker.await.unwrap();
    broker.apply(&Topology::of([])).await.unwrap();
    let letters = (0..COUNT).map(|number| letter(&number.to_string(), "x".repeat(20_000)));
    broker.record(letters.collect()).await.unwrap();

    let stutter = tokio::spawn(async move {
        loop {
            relay.cut();
            tokio::time::sleep(Duration::from_millis(150)).await;
            relay.heal();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    for _ in 0..2 {
        let entries = broker.dead(ReadFrom::First, ReadUntil::Now).await.unwrap();
        let read: Vec<_> = entries.try_collect().await.unwrap();
        assert_eq!(read.len(), COUNT);
    }
    stutter.abort();
}

fn letter(id: &str, body: String) -> DeadRecord {
    let head = json!({
        "id": id, "account": "raven.ops", "reason": "rejected", "attempts": [],
        "dead_at": "2026-01-01T00:00:00Z", "generation": 0, "maybe_delivered": false,
    });
    DeadRecord::Letter {
        head: serde_json::from_value(head).unwrap(),
        body: body.into(),
    }
}
