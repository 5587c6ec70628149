//! What operators ask of lanes while they run: it holds for whoever owns the lane, now and later.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

mod limits;

use std::{process::Output, time::Duration};

use jiff::Timestamp;
use tidings_model::{LaneReport, LaneState, Record};
use tidings_sandbox::{Faults, Limit, Rate};
use tidings_tests::{
    CTRL_C, Signal, eventually,
    fleet::{Fleet, On, Worker, messages},
    on_each_broker, on_rabbitmq_4_3,
};

on_each_broker! {
    a_pause_holds_for_every_owner_until_it_is_resumed,
    a_pause_outlives_what_a_worker_reads_of_the_ledger,
    what_is_set_is_what_the_provider_sees_and_stands_until_it_is_reset,
    an_order_that_nobody_can_follow_says_so,
}

on_rabbitmq_4_3! {
    a_pause_holds_for_every_owner_until_it_is_resumed,
    what_is_set_is_what_the_provider_sees_and_stands_until_it_is_reset,
}

const ACCOUNT: &str = "raven.crm";

/// The machine's scheduling lag, and the sandbox's own.
const LAG: Duration = Duration::from_millis(250);

async fn order(fleet: &Fleet, arguments: &[&str]) -> Output {
    fleet
        .command("tidings", &[&["lanes"], arguments].concat())
        .run("")
        .await
}

/// Gives an order that the fleet takes up, and returns what was said.
async fn ordered(fleet: &Fleet, arguments: &[&str]) -> String {
    let output = order(fleet, arguments).await;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{words}");
    words
}

/// Waits until a worker tells of the lane what is looked for.
async fn shows(worker: &Worker, expected: &str, look: impl Fn(&LaneReport) -> bool) {
    eventually(expected, async || match worker.lane(ACCOUNT).await {
        Some(lane) if look(&lane) => Ok(()),
        other => Err(other),
    })
    .await;
}

fn is_paused(lane: &LaneReport) -> bool {
    lane.state == LaneState::Paused
        && lane.why.as_deref() == Some("an operator paused it: moving house")
}

async fn a_pause_holds_for_every_owner_until_it_is_resumed(on: On) {
    let fleet = Fleet::on(on)
        .account(ACCOUNT, "rate = \"50/s\"")
        .start()
        .await;
    let first = fleet.worker().await;
    let before = fleet.send(&messages(ACCOUNT, "before", 20)).await;
    fleet.ended(&before[..10]).await;

    let said = ordered(&fleet, &["pause", ACCOUNT, "--why", "moving house"]).await;
    assert!(said.contains("moving house"), "{said}");
    assert!(
        first
            .lane(ACCOUNT)
            .await
            .is_some_and(|lane| is_paused(&lane))
    );
    let sent = fleet.sandbox.summary().await.tally.received;
    let ids = fleet.send(&messages(ACCOUNT, "m", 20)).await;

    let second = fleet.worker().await;
    second.ready().await;
    assert!(first.terminate().await.success());
    shows(&second, "the next owner keeps the pause", is_paused).await;
    second.kill9().await;
    let third = fleet.worker().await;
    shows(&third, "a fleet that was started anew keeps it", is_paused).await;
    assert_eq!(fleet.sandbox.summary().await.tally.received, sent);

    let resumed = Timestamp::now();
    ordered(&fleet, &["resume", ACCOUNT]).await;
    let all: Vec<String> = before.into_iter().chain(ids).collect();
    let reckoning = fleet.reckon(&all).await;
    reckoning.adds_up(&[]);
    assert_eq!(reckoning.delivered(), all.len());
    let early = reckoning
        .book
        .received
        .iter()
        .skip(usize::try_from(sent).unwrap());
    for received in early {
        assert!(i64::try_from(received.at_ms).unwrap() >= resumed.as_millisecond());
    }
    assert!(third.terminate().await.success());
}

async fn a_pause_outlives_what_a_worker_reads_of_the_ledger(on: On) {
    let fleet = Fleet::on(on)
        .account(ACCOUNT, "rate = \"50/s\"")
        .settings("remember = { time = \"8s\", messages = 1000 }")
        .start()
        .await;
    let worker = fleet.worker().await;
    worker.ready().await;
    ordered(&fleet, &["pause", ACCOUNT, "--why", "moving house"]).await;
    let given = Timestamp::now();
    eventually("what stands is written again and again", async || {
        let stood = |record| match record {
            Record::Standing { at, orders, .. } => orders.paused(at).is_some().then_some(at),
            _ => None,
        };
        let last = fleet
            .ledger
            .records()
            .await
            .into_iter()
            .filter_map(stood)
            .max();
        match last.map(|last| last.duration_since(given).as_secs()) {
            Some(9..) => Ok(()),
            other => Err(other),
        }
    })
    .await;
    let ids = fleet.send(&messages(ACCOUNT, "m", 3)).await;
    assert!(worker.terminate().await.success());
    let worker = fleet.worker().await;
    shows(&worker, "it is found where it was written again", is_paused).await;
    worker.kill9().await;

    // Nobody is there to write it again, until it is older than what a worker reads first.
    let gone = Timestamp::now();
    eventually("time passes", async || {
        match Timestamp::now().duration_since(gone).as_secs() {
            10.. => Ok(()),
            other => Err(other),
        }
    })
    .await;
    let worker = fleet.worker().await;
    shows(&worker, "it is found in the whole ledger", is_paused).await;
    assert_eq!(fleet.sandbox.summary().await.tally.received, 0);
    ordered(&fleet, &["resume", ACCOUNT]).await;
    fleet.ended(&ids).await;
    assert!(worker.terminate().await.success());
}

async fn what_is_set_is_what_the_provider_sees_and_stands_until_it_is_reset(on: On) {
    let mut fleet = Fleet::on(on)
        .account(ACCOUNT, "rate = \"100/s\"\nconcurrency = 8")
        .start()
        .await;
    let worker = fleet.worker().await;
    let all = messages(ACCOUNT, "m", 300);
    let mut ids = fleet.send(&all[..200]).await;
    fleet.ended(&ids[..20]).await;

    ordered(&fleet, &["set", ACCOUNT, "--rate", "10/s"]).await;
    let limit = Limit::of(Rate::new(10, Duration::from_secs(1))).tolerance(LAG);
    fleet.sandbox.set_faults(&Faults::none().limit(limit)).await;
    ten_more(&fleet).await;
    ordered(&fleet, &["set", ACCOUNT, "--concurrency", "2"]).await;
    // The next owner keeps both.
    let next = fleet.worker().await;
    next.ready().await;
    assert!(worker.terminate().await.success());
    ten_more(&fleet).await;
    assert!(fleet.sandbox.book().await.refused.is_empty());
    let lane = next.lane(ACCOUNT).await.unwrap();
    assert_eq!(lane.rate.to_string(), "10/s");
    assert_eq!(
        lane.orders.concurrency.and_then(|order| order.wish),
        std::num::NonZeroU32::new(2)
    );

    // A reload changes what is configured, and not what is set over it.
    fleet
        .reconfigure(|configuration| configuration.account(ACCOUNT, "rate = \"200/s\""))
        .await;
    next.signal(Signal::HUP);
    next.line("the configuration was reloaded").await;
    shows(&next, "what was set stands", |lane| {
        lane.state == LaneState::Running && lane.rate.to_string() == "10/s"
    })
    .await;
    fleet.sandbox.heal().await;
    ids.extend(fleet.send(&all[200..]).await);
    ordered(&fleet, &["set", ACCOUNT, "--reset"]).await;
    let lane = next.lane(ACCOUNT).await.unwrap();
    assert_eq!(lane.rate.to_string(), "200/s");
    let reckoning = fleet.reckon(&ids).await;
    reckoning.adds_up(&[]);
    assert_eq!(reckoning.delivered(), ids.len());
    assert!(next.terminate().await.success());
}

async fn ten_more(fleet: &Fleet) {
    let before = fleet.sandbox.summary().await.tally.received;
    eventually("ten more are sent", async || {
        match fleet.sandbox.summary().await.tally.received {
            received if received >= before + 10 => Ok(()),
            received => Err(received),
        }
    })
    .await;
}

async fn an_order_that_nobody_can_follow_says_so(on: On) {
    let fleet = Fleet::on(on).account(ACCOUNT, "").start().await;
    let said = ordered(&fleet, &["pause", ACCOUNT, "--for", "1h"]).await;
    assert!(said.contains("no worker serves raven.crm"), "{said}");
    let worker = fleet.worker().await;
    shows(&worker, "the first owner keeps to it", |lane| {
        lane.state == LaneState::Paused && lane.paused_until.is_some()
    })
    .await;

    let output = order(&fleet, &["pause", "raven.typo"]).await;
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(
        words.contains("raven.typo") && words.contains("nothing is changed"),
        "{words}"
    );
    for misused in [
        &["set", ACCOUNT][..],
        &["set", ACCOUNT, "--rate", "fast"],
        &["pause"],
    ] {
        assert_eq!(
            order(&fleet, misused).await.status.code(),
            Some(2),
            "{misused:?}"
        );
    }
    assert!(worker.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_the_lanes_live() {
    let fleet = Fleet::on(On::Embedded)
        .account(ACCOUNT, "rate = \"50/s\"")
        .start()
        .await;
    let worker = fleet.worker().await;
    worker.ready().await;
    let shown = fleet.command("tidings", &["lanes"]).at_a_terminal().start();
    eventually("the lane is shown as it does", async || {
        let log = shown.log();
        match log.contains("1 lanes, 1 workers") && log.contains(" idle ") {
            true => Ok(()),
            false => Err(log),
        }
    })
    .await;
    ordered(&fleet, &["pause", ACCOUNT, "--why", "moving house"]).await;
    shown.line("moving house").await;

    shown.answer(CTRL_C);
    assert_eq!(shown.exit().await.code(), Some(0));
    let once = order(&fleet, &["--once"]).await;
    let once = String::from_utf8_lossy(&once.stdout).into_owned();
    assert!(
        once.contains("moving house") && !once.contains('\u{1b}'),
        "{once}"
    );
    assert!(worker.terminate().await.success());
}
