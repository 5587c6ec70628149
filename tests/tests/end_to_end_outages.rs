//! A RabbitMQ that goes away under load: every worker comes back by itself, and nothing is lost.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

/// Each of these scenarios on a node of RabbitMQ of its own, which it stops as it likes.
macro_rules! on_a_node_of_its_own {
    ($version:ident, $flavour:ident: $($scenario:ident),* $(,)?) => {
        mod $version {
            // The name tells the test runner that each has a node.
            mod outages {
                use tidings_tests::{Flavour, fleet::On};
                $(#[tokio::test(flavor = "multi_thread")]
                async fn $scenario() {
                    crate::$scenario(On::OwnRabbitMq(Flavour::$flavour)).await;
                })*
            }
        }
    };
}

on_a_node_of_its_own! { rabbitmq_3_10, Debian:
    an_orderly_restart_of_the_broker_makes_nothing_unknown,
    a_killed_broker_loses_nothing,
    a_call_that_outlasts_the_brokers_patience_is_made_once,
    a_replay_that_lost_its_broker_says_how_it_goes_on,
    what_is_delayed_while_the_broker_restarts_is_called_once,
}

on_a_node_of_its_own! { rabbitmq_4_3, V43:
    what_is_delayed_while_the_broker_restarts_is_called_once,
}

use std::time::Duration;

use serde_json::Value;
use tidings_model::Reason;
use tidings_sandbox::{Faults, Latency, Limit, Provider, Rate};
use tidings_tests::{
    eventually,
    fleet::{Fleet, On, Worker, messages},
};

const ACCOUNTS: [&str; 4] = [
    "groupme.ops",
    "whatspie.retries",
    "raven.parks",
    "pingup.parks",
];
const PARKS: [&str; 2] = ["raven.parks", "pingup.parks"];

/// A node that starts takes the machine for itself: calls that it held up arrive together.
const LAG: Duration = Duration::from_secs(1);

async fn loaded(on: On, each: usize) -> (Fleet, Vec<Value>) {
    let fleet = ACCOUNTS
        .iter()
        .fold(Fleet::on(on), |draft, account| {
            let policy = if PARKS.contains(account) { "park" } else { "retry" };
            draft.account(
                account,
                &format!(
                    "rate = \"50/s\"\ndestination_rate = \"unlimited\"\nconcurrency = 4\non_unknown = \"{policy}\"\n\
                     retry = {{ max_attempts = 50, base = \"1s\", cap = \"1s\" }}"
                ),
            )
        })
        .faults(
            Faults::none()
                .latency(Latency::uniform(Duration::from_millis(20), Duration::from_millis(100)))
                .limit(Limit::of(Rate::new(50, Duration::from_secs(1))).tolerance(LAG)),
        )
        .start()
        .await;
    let all = ACCOUNTS
        .iter()
        .flat_map(|account| messages(account, "m", each))
        .collect();
    (fleet, all)
}

async fn deliveries(fleet: &Fleet, more: u64) {
    let before = fleet.sandbox.summary().await.tally.received;
    eventually("messages are delivered", async || {
        let received = fleet.sandbox.summary().await.tally.received;
        if received >= before + more {
            Ok(())
        } else {
            Err(received - before)
        }
    })
    .await;
}

async fn not_ready(worker: &Worker) {
    eventually(
        "the worker says that the broker is away",
        async || match worker.page("/readyz").await {
            (503, why) if why.contains("broker") => Ok(()),
            other => Err(other),
        },
    )
    .await;
}

async fn an_orderly_restart_of_the_broker_makes_nothing_unknown(on: On) {
    let (mut fleet, all) = loaded(on, 400).await;
    let workers = [fleet.worker().await, fleet.worker().await];
    let ids = fleet.send(&all).await;
    for _ in 0..2 {
        deliveries(&fleet, 100).await;
        fleet.node().stop().await;
        for worker in &workers {
            not_ready(worker).await;
            assert_eq!(worker.page("/livez").await.0, 200);
        }
        fleet.node().start().await;
        for worker in &workers {
            worker.ready().await;
        }
    }
    assert!(
        fleet.ledger.outcomes().len() < ids.len(),
        "all of this was under load"
    );

    let reckoning = fleet.reckon(&ids).await;
    reckoning.adds_up(&PARKS);
    assert_eq!(
        reckoning.dead(Reason::UnknownOutcome),
        0,
        "{:#?}",
        fleet.ledger.tenures()
    );
    assert_eq!(reckoning.delivered(), ids.len());
    assert_eq!(reckoning.book.summary.tally.repeats, 0);
    assert_eq!(reckoning.book.summary.tally.violations, 0);
    for worker in workers {
        assert_eq!(
            worker.metric("tidings_maybe_delivered_total", "").await,
            0.0
        );
        assert!(worker.terminate().await.success());
    }
}

async fn a_killed_broker_loses_nothing(on: On) {
    // The node is told to write its tables before it is killed, which takes a busy machine seconds.
    let (mut fleet, all) = loaded(on, 800).await;
    let worker = fleet.worker().await;
    let ids = fleet.send(&all).await;
    for _ in 0..2 {
        deliveries(&fleet, 60).await;
        fleet.node().kill9().await;
        assert!(
            fleet.ledger.outcomes().len() < ids.len(),
            "all of this was under load"
        );
        not_ready(&worker).await;
        fleet.node().start().await;
        worker.ready().await;
    }
    let reckoning = fleet.reckon(&ids).await;
    reckoning.adds_up(&PARKS);
    for provider in [Provider::GroupMe, Provider::Raven, Provider::Pingup] {
        assert_eq!(
            reckoning.book.summary.provider(provider).repeats,
            0,
            "{provider}"
        );
    }
    assert!(worker.terminate().await.success());
}

/// RabbitMQ ends the channel of who holds a message for too long, whatever is being done with it.
async fn a_call_that_outlasts_the_brokers_patience_is_made_once(on: On) {
    let account = "raven.parks";
    let settings = "rate = \"10/s\"\nconcurrency = 1\non_unknown = \"park\"";
    let slow = Latency::fixed(Duration::from_millis(2_500));
    let mut fleet = Fleet::on(on)
        .account(account, settings)
        .faults(Faults::none().latency(slow))
        .start()
        .await;
    fleet.node().lose_patience_with_holders().await;
    let worker = fleet.worker().await;
    let ids = fleet.send(&messages(account, "m", 2)).await;

    let reckoning = fleet.reckon(&ids).await;
    reckoning.adds_up(&[account]);
    assert_eq!(reckoning.delivered(), ids.len());
    worker.line("the lane is lost").await;
    let unknown = worker.metric("tidings_maybe_delivered_total", "").await;
    assert_eq!(unknown, 0.0, "{:#?}", fleet.ledger.tenures());
    assert!(worker.terminate().await.success());
}

async fn a_replay_that_lost_its_broker_says_how_it_goes_on(on: On) {
    const COUNT: usize = 300;
    let settings = "rate = \"unlimited\"\ndestination_rate = \"unlimited\"";
    let mut fleet = Fleet::on(on).account("raven.ops", settings).start().await;
    let worker = fleet.worker().await;
    fleet.bury("raven.ops", COUNT).await;

    let replay = fleet
        .command("tidings-dlq", &["replay", "--yes", "--rate", "50/s"])
        .start();
    eventually("messages are sent again", async || {
        let ended = fleet.ends_of(1).len();
        (ended > 0).then_some(()).ok_or("none has ended")
    })
    .await;
    fleet.node().kill9().await;
    assert_eq!(replay.exit().await.code(), Some(1), "{}", replay.log());
    let line = replay.line("replay --resume").await;
    let (_, rest) = line.split_once("--resume ").unwrap();
    let (operation, _) = rest.split_once('`').unwrap();

    fleet.node().start().await;
    worker.ready().await;
    assert!(
        fleet.ends_of(1).len() < COUNT,
        "all of this was in the middle of it"
    );
    // A broker that takes connections may not know its streams yet, and says so.
    eventually("the dead letters can be read again", async || {
        let listed = fleet.dlq(&["list", "--limit", "1"]).await;
        listed.status.success().then_some(()).ok_or(listed)
    })
    .await;
    let resumed = ["replay", "--resume", operation, "--json"];
    assert_eq!(fleet.dlq_does(&resumed).await[1]["replayed"], COUNT);
    assert_eq!(fleet.delivered_of(1, COUNT).await, COUNT);
    let times = fleet.sandbox.book().await.times();
    assert!(times.len() == COUNT && times.values().all(|times| *times == 1));
    assert!(worker.terminate().await.success());
}

/// A broker that restarts makes copies of what is on its way from one level of the delays to the next, and marks none: some
/// dozens of these.
async fn what_is_delayed_while_the_broker_restarts_is_called_once(on: On) {
    const COUNT: usize = 20_000;
    let account = "raven.crm";
    let mut fleet = Fleet::on(on)
        .account(account, "rate = \"unlimited\"\nconcurrency = 64")
        .start()
        .await;
    let worker = fleet.worker().await;
    worker.ready().await;
    let mut all = messages(account, "m", COUNT);
    for (number, message) in all.iter_mut().enumerate() {
        message["delay"] = format!("{}s", 25 + number % 30).into();
    }
    let ids = fleet.send(&all).await;
    assert_eq!(
        fleet.sandbox.summary().await.tally.calls,
        0,
        "all are delayed"
    );
    fleet.node().stop().await;
    fleet.node().start().await;
    worker.ready().await;

    deliveries(&fleet, 100).await;
    fleet.node().kill9().await;
    let called = fleet.sandbox.summary().await.tally.calls;
    assert!(
        called < COUNT as u64 / 2,
        "most are delayed, and {called} are not"
    );
    fleet.node().start().await;
    worker.ready().await;

    let reckoning = fleet.reckon(&ids).await;
    reckoning.adds_up(&[]);
    assert_eq!(reckoning.delivered(), COUNT);
    assert_eq!(
        reckoning.book.summary.tally.calls, COUNT as u64,
        "each was called once"
    );
    tell_of_copies(&worker);
    assert!(worker.terminate().await.success());
}

#[expect(clippy::print_stdout, reason = "how many there were is worth knowing")]
fn tell_of_copies(worker: &Worker) {
    let log = worker.log();
    let again = log.matches("decided before: its effect is made again");
    println!("{} came again and were not called again", again.count());
}
