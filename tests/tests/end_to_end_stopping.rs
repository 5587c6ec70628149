//! Workers that are stopped in order: nothing becomes unknown, whatever the load.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use std::time::Duration;

use tidings_model::{LaneState, Left, Reason, Record};
use tidings_sandbox::{Fault, Faults, Latency, On as Calls, Provider};
use tidings_tests::{
    Signal, eventually,
    fleet::{Fleet, On, Worker, message, messages},
    on_each_broker, on_rabbitmq_4_3,
};

on_each_broker! {
    a_worker_stopped_twenty_times_leaves_nothing_unknown,
    a_second_signal_stops_at_once,
    a_stop_does_not_wait_for_a_reload,
    a_stop_without_a_broker_or_work_is_a_stop,
}

on_rabbitmq_4_3! {
    a_worker_stopped_twenty_times_leaves_nothing_unknown,
}

const STOPS: usize = 20;

const SETTINGS: &str = r#"
    rate = "100/s"
    destination_rate = "unlimited"
    concurrency = 6
    retry = { max_attempts = 50, base = "1s", cap = "1s" }
"#;

async fn a_worker_stopped_twenty_times_leaves_nothing_unknown(on: On) {
    let accounts = [
        "groupme.ops",
        "whatspie.retries",
        "raven.parks",
        "pingup.parks",
    ];
    let parks = ["raven.parks", "pingup.parks"];
    let fleet = accounts
        .iter()
        .fold(Fleet::on(on), |draft, account| {
            let policy = if parks.contains(account) {
                "park"
            } else {
                "retry"
            };
            draft.account(account, &format!("{SETTINGS}\non_unknown = \"{policy}\""))
        })
        .faults(Faults::none().latency(Latency::uniform(
            Duration::from_millis(20),
            Duration::from_millis(150),
        )))
        .start()
        .await;
    let all: Vec<_> = accounts
        .iter()
        .flat_map(|account| messages(account, "m", 500))
        .collect();
    let ids = fleet.send(&all).await;

    // In one half of the stops another worker stands by, and takes the lanes in the middle of it all.
    let mut standing_by = None;
    for stop in 0..STOPS {
        let worker = match standing_by.take() {
            Some(worker) => worker,
            None => fleet.worker().await,
        };
        let before = fleet.sandbox.summary().await.tally.received;
        eventually("messages are delivered", async || {
            let received = fleet.sandbox.summary().await.tally.received;
            if received >= before + 20 {
                Ok(())
            } else {
                Err(received - before)
            }
        })
        .await;
        if stop % 2 == 0 {
            standing_by = Some(fleet.worker().await);
        }
        assert_eq!(
            worker.metric("tidings_maybe_delivered_total", "").await,
            0.0
        );
        let status = worker.terminate().await;
        assert_eq!(
            status.code(),
            Some(0),
            "stop {stop}: {}",
            last_line(&worker)
        );
    }
    assert!(
        fleet.ledger.outcomes().len() < ids.len(),
        "all of this was under load"
    );
    let last = match standing_by {
        Some(worker) => worker,
        None => fleet.worker().await,
    };

    let reckoning = fleet.reckon(&ids).await;
    reckoning.adds_up(&accounts);
    assert_eq!(reckoning.delivered(), ids.len());
    assert_eq!(
        reckoning.dead(Reason::UnknownOutcome),
        0,
        "{:#?}",
        fleet.ledger.tenures()
    );
    assert_eq!(reckoning.book.summary.tally.repeats, 0);
    assert_eq!(last.metric("tidings_maybe_delivered_total", "").await, 0.0);
    assert!(last.terminate().await.success());
    every_tenure_left_a_note_and_nothing_else(&fleet).await;
}

async fn every_tenure_left_a_note_and_nothing_else(fleet: &Fleet) {
    let records = fleet.ledger.records().await;
    let opened = |record: &&Record| matches!(record, Record::Opened { .. });
    let opened = records.iter().filter(opened).count();
    let notes: Vec<Left> = records.into_iter().filter_map(note).collect();
    assert_eq!(notes.len(), opened, "every tenure left a note");
    for left in notes {
        assert!(
            matches!(left, Left::Untouched) || left == Left::Only(vec![]),
            "{left:?}"
        );
    }
}

fn note(record: Record) -> Option<Left> {
    match record {
        Record::Note { left, .. } => Some(left),
        _ => None,
    }
}

fn last_line(worker: &Worker) -> String {
    worker.log().lines().last().unwrap_or_default().to_owned()
}

async fn a_second_signal_stops_at_once(on: On) {
    let fleet = Fleet::on(on)
        .account(
            "whatspie.shop",
            "timeout = \"10m\"\nrate = \"unlimited\"\ndestination_rate = \"unlimited\"",
        )
        .settings("drain = \"10m\"")
        .faults(Faults::none().fault(Fault::timeout()))
        .start()
        .await;
    let worker = fleet.worker().await;
    fleet.send(&messages("whatspie.shop", "m", 3)).await;
    eventually("calls hang", async || {
        let calls = fleet.sandbox.summary().await.tally.calls;
        if calls == 3 { Ok(()) } else { Err(calls) }
    })
    .await;

    worker.signal(Signal::TERM);
    worker.line("the worker drains").await;
    assert_eq!(
        worker.ended(),
        None,
        "calls are under way, and it waits for them"
    );
    worker.signal(Signal::TERM);
    let status = worker.exit().await;
    assert_eq!(status.code(), Some(1));
}

async fn a_stop_does_not_wait_for_a_reload(on: On) {
    let (changes, stays) = ("raven.changes", "whatspie.stays");
    let mut fleet = Fleet::on(on)
        .account(changes, "timeout = \"10m\"")
        .account(stays, SETTINGS)
        .settings("drain = \"20s\"")
        .faults(Faults::none().fault(Fault::timeout().on(Calls::from(Provider::Raven))))
        .start()
        .await;
    let worker = fleet.worker().await;
    fleet.send(&messages(changes, "hangs", 1)).await;
    eventually("a call hangs, and another lane has a place", async || {
        let summary = fleet.sandbox.summary().await;
        let calls = summary.provider(Provider::Raven).calls;
        let state = worker.lane(stays).await.map(|lane| lane.state);
        match (calls, state) {
            (1, Some(LaneState::Idle)) => Ok(()),
            other => Err(other),
        }
    })
    .await;

    fleet
        .reconfigure(|configuration| {
            configuration.account(changes, "timeout = \"9m\"");
        })
        .await;
    worker.signal(Signal::HUP);
    eventually("the reload waits for the call", async || {
        worker.lane(changes).await.map_or(Ok(()), Err)
    })
    .await;
    // One that serves the other lane alone.
    let text = std::fs::read_to_string(fleet.configuration().file()).unwrap();
    let (common, accounts) = text.split_once("[accounts.").unwrap();
    let (_, of_it) = accounts
        .split_once(&format!("[accounts.{stays:?}]"))
        .unwrap();
    let file = fleet.folder().join("other.toml");
    std::fs::write(&file, format!("{common}[accounts.{stays:?}]{of_it}")).unwrap();
    let other = fleet.worker_of(&file, &[]).await;
    other.ready().await;
    worker.signal(Signal::TERM);
    eventually("the other lane is served elsewhere", async || {
        match other.lane(stays).await.map(|lane| lane.state) {
            Some(LaneState::Idle) => Ok(()),
            state => Err(state),
        }
    })
    .await;
    let log = worker.log();
    assert!(!log.contains("the configuration was reloaded"), "{log}");
    assert_eq!(worker.exit().await.code(), Some(0), "{}", worker.log());
    assert!(other.terminate().await.success());
}

async fn a_stop_without_a_broker_or_work_is_a_stop(on: On) {
    let fleet = Fleet::on(on)
        .account("whatspie.shop", SETTINGS)
        .start()
        .await;
    let idle = fleet.worker_in(&[("TIDINGS_LOG", "info,lapin=info")]).await;
    idle.ready().await;
    idle.signal(Signal::INT);
    assert!(idle.exit().await.success());
    let complaints = ["WARN", "ERROR"];
    let log = idle.log();
    // Before that, lapin complains of what the broker did not let it compare.
    let (_, log) = log.split_once("the worker runs").unwrap();
    assert!(!complaints.iter().any(|level| log.contains(level)), "{log}");
    let send = fleet.command("tidings", &["send"]).env("RUST_LOG", "info");
    let sent = send.run(message("whatspie.shop", "m").to_string()).await;
    assert!(sent.status.success() && sent.stderr.is_empty(), "{sent:?}");

    // Nothing listens on this port of this host.
    std::fs::write(
        fleet.folder().join("away.toml"),
        "broker = \"amqp://guest:guest@127.0.0.1:1/%2f\"\nadmin = \"127.0.0.1:0\"",
    )
    .unwrap();
    let waiting = fleet
        .worker_of(&fleet.folder().join("away.toml"), &[])
        .await;
    waiting.line("waiting for the broker").await;
    assert_eq!(waiting.page("/livez").await.0, 200);
    let (status, why) = waiting.page("/readyz").await;
    assert_eq!(
        (status, why.as_str()),
        (503, "the broker is not connected\n")
    );
    assert!(waiting.terminate().await.success());
}
