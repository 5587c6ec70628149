//! What operators see and do: pages, metrics, signals, configuration; and what nobody may see.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

mod configuration;

use std::{fs, time::Duration};

use serde_json::json;
use tidings_model::{LaneState, Reason};
use tidings_sandbox::{Fault, Faults, On as Calls, Operation};
use tidings_tests::{
    Program, Signal, eventually,
    fleet::{Configuration, Fleet, ONE_OF_EACH, On, message, messages, to},
    on_each_broker,
};

on_each_broker! {
    the_pages_tell_how_each_lane_does,
    the_configuration_is_reloaded_on_a_signal,
    no_secret_is_ever_shown,
}

const QUICK: &str = "rate = \"100/s\"\ndestination_rate = \"unlimited\"\ntimeout = \"1s\"\n\
                     retry = { max_attempts = 3, base = \"1s\", cap = \"1s\" }";

/// The contract's metrics; each has an account.
const METRICS: [&str; 10] = [
    "tidings_attempts_total",
    "tidings_outcomes_total",
    "tidings_attempt_seconds",
    "tidings_delivery_seconds",
    "tidings_in_flight",
    "tidings_lane_state",
    "tidings_rate_wait_seconds",
    "tidings_lane_ready_messages",
    "tidings_drain_seconds",
    "tidings_maybe_delivered_total",
];

async fn the_pages_tell_how_each_lane_does(on: On) {
    let fleet = Fleet::on(on)
        .account("raven.crm", QUICK)
        .account("pingup.acme", "rate = \"1/m\"")
        .start()
        .await;
    let worker = fleet.worker().await;
    worker.ready().await;
    assert_eq!(worker.page("/livez").await, (200, "alive\n".to_owned()));
    assert_eq!(worker.page("/no-such-page").await.0, 404);
    let ids = fleet.send(&messages("raven.crm", "m", 6)).await;
    fleet.send(&messages("pingup.acme", "waits", 7)).await;
    fleet.ended(&ids).await;

    // One a minute: a window of one, and the others wait in the queue.
    eventually(
        "the lanes tell what they do and what waits in them",
        async || {
            let mut lanes = worker.lanes().await;
            lanes.sort_by_key(|lane| lane.account.to_string());
            let seen: Vec<_> = lanes
                .iter()
                .map(|lane| {
                    (
                        lane.account.to_string(),
                        lane.state,
                        lane.rate.to_string(),
                        lane.ready,
                        lane.in_flight,
                    )
                })
                .collect();
            let wanted = [
                (
                    "pingup.acme".to_owned(),
                    LaneState::Running,
                    "1/m".to_owned(),
                    Some(6),
                    0,
                ),
                (
                    "raven.crm".to_owned(),
                    LaneState::Running,
                    "100/s".to_owned(),
                    Some(0),
                    0,
                ),
            ];
            if seen == wanted { Ok(()) } else { Err(lanes) }
        },
    )
    .await;

    let (status, metrics) = worker.page("/metrics").await;
    assert_eq!(status, 200);
    for name in METRICS {
        for account in ["raven.crm", "pingup.acme"] {
            let label = format!("account=\"{account}\"");
            let of = metrics
                .lines()
                .filter(|line| line.starts_with(name) && line.contains(&label));
            assert!(of.count() > 0, "{name} of {account}:\n{metrics}");
        }
    }
    assert_eq!(
        worker
            .metric(
                "tidings_attempts_total",
                "account=\"raven.crm\",verdict=\"delivered\""
            )
            .await,
        6.0
    );
    assert_eq!(
        worker
            .metric(
                "tidings_outcomes_total",
                "account=\"raven.crm\",outcome=\"delivered\""
            )
            .await,
        6.0
    );
    assert_eq!(
        worker
            .metric("tidings_delivery_seconds_count", "raven.crm")
            .await,
        6.0
    );
    assert_eq!(
        worker
            .metric("tidings_lane_ready_messages", "pingup.acme")
            .await,
        6.0
    );
    assert_eq!(
        worker.metric("tidings_drain_seconds", "pingup.acme").await,
        360.0
    );
    let running = worker
        .metric(
            "tidings_lane_state",
            "account=\"pingup.acme\",state=\"running\"",
        )
        .await;
    assert_eq!(running, 1.0);
    assert!(worker.terminate().await.success());
}

async fn the_configuration_is_reloaded_on_a_signal(on: On) {
    let mut fleet = Fleet::on(on)
        .account("raven.stays", QUICK)
        .account("raven.changes", QUICK)
        .account("raven.goes", QUICK)
        .start()
        .await;
    let worker = fleet.worker().await;
    worker.ready().await;

    fleet
        .reconfigure(|configuration| {
            configuration.account("raven.changes", &QUICK.replace("100/s", "50/s"));
            configuration.account("raven.comes", QUICK);
            configuration.accounts.remove("raven.goes");
        })
        .await;
    worker.signal(Signal::HUP);
    worker.line("the configuration was reloaded").await;
    let lanes = worker.lanes().await;
    let lanes: Vec<_> = lanes
        .iter()
        .map(|lane| (lane.account.to_string(), lane.rate.to_string()))
        .collect();
    let wanted = [
        ("raven.changes", "50/s"),
        ("raven.comes", "100/s"),
        ("raven.stays", "100/s"),
    ];
    assert_eq!(
        lanes,
        wanted.map(|(account, rate)| (account.to_owned(), rate.to_owned()))
    );

    let kept: Vec<_> = ["raven.stays", "raven.changes", "raven.comes"]
        .map(|account| message(account, account))
        .into();
    let ids = fleet.send(&kept).await;
    // Its lane is still there, and what is sent to it waits for a worker that serves it.
    let waiting = fleet.send(&[message("raven.goes", "waits")]).await;
    let outcomes = fleet.ended(&ids).await;
    assert!(outcomes.values().all(|outcome| outcome.reason().is_none()));
    assert!(!fleet.ledger.outcomes().contains_key("waits"));

    fs::write(fleet.configuration().file(), "no = \"sense\"").expect("the file can be written");
    worker.signal(Signal::HUP);
    worker.line("was not reloaded").await;
    assert_eq!(worker.lanes().await.len(), 3, "it stays as it was");

    fleet
        .reconfigure(|configuration| configuration.account("raven.goes", QUICK))
        .await;
    worker.signal(Signal::HUP);
    fleet.ended(&waiting).await;
    assert!(worker.terminate().await.success());
}

async fn no_secret_is_ever_shown(on: On) {
    let accounts = ONE_OF_EACH;
    // A provider that repeats the secret in its words, in every way that they end up somewhere.
    let mut faults = Faults::none();
    for (account, provider) in accounts {
        let words = format!("no such token: {}", Configuration::secret(account));
        let says = |code: u16, destination: &str| {
            let body = json!({"success": false, "error_key": &words, "message": &words, "meta": {"code": code, "errors": [&words]}, "error": &words});
            let calls = Calls::from(provider)
                .destination(destination)
                .operation(Operation::Send);
            Fault::status(code).body(body).on(calls)
        };
        faults = faults
            .fault(says(400, "refused"))
            .fault(says(500, "down"))
            .fault(says(429, "limited").times(1))
            .fault(
                Fault::redirect(format!(
                    "http://127.0.0.1:1/?token={}",
                    Configuration::secret(account)
                ))
                .on(Calls::from(provider)
                    .destination("redirected")
                    .operation(Operation::Send)),
            );
    }
    let fleet = accounts
        .iter()
        .fold(Fleet::on(on), |draft, (account, _)| {
            draft.account(account, QUICK)
        })
        .faults(faults)
        .start()
        .await;
    let worker = fleet.worker().await;
    let mut sent = Vec::new();
    for (account, _) in accounts {
        for destination in ["well", "refused", "down", "limited", "redirected"] {
            sent.push(to(
                account,
                destination,
                &format!("{account}-{destination}"),
            ));
        }
    }
    let ids = fleet.send(&sent).await;
    let reckoning = fleet.reckon(&ids).await;
    assert!(
        reckoning.dead(Reason::Rejected) >= 4 && reckoning.dead(Reason::AttemptsExhausted) >= 5
    );
    let words = reckoning
        .letters
        .iter()
        .flat_map(|letter| &letter.attempts)
        .filter_map(|attempt| attempt.error.as_deref());
    assert!(
        words
            .filter(|words| words.contains("no such token: ***"))
            .count()
            >= 5,
        "the provider's words are kept"
    );

    let mut shown = vec![
        worker.page("/metrics").await.1,
        worker.page("/lanes").await.1,
        format!("{:?}", fleet.ledger.records().await),
        format!("{:?}", reckoning.letters),
    ];
    assert!(worker.terminate().await.success());
    shown.push(worker.log());
    let check = fleet.check_config(&["--online"]).await;
    shown.push(format!(
        "{}{}",
        String::from_utf8_lossy(&check.stdout),
        String::from_utf8_lossy(&check.stderr)
    ));
    for (account, _) in accounts {
        let secret = Configuration::secret(account);
        for text in &shown {
            let line = text.lines().find(|line| line.contains(&secret));
            assert_eq!(line, None, "the secret of {account}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_line_has_the_account_the_id_and_the_turn() {
    let fleet = Fleet::on(On::Embedded)
        .account("raven.crm", QUICK)
        .start()
        .await;
    // As JSON, and for people: the first call fails, and the second is the message's next turn.
    let file = fleet.configuration().file();
    for format in ["json", "text"] {
        fleet
            .sandbox
            .set_faults(&Faults::none().fault(Fault::status(500).times(1)))
            .await;
        let worker = Program::new("tidings-worker")
            .arg("--config")
            .arg(&file)
            .args(["--log", format])
            .env("TIDINGS_LOG", "info,tidings_worker=debug")
            .start();
        let ids = fleet.send(&messages("raven.crm", format, 1)).await;
        fleet.ended(&ids).await;
        assert!(worker.terminate().await.success());
        let log = worker.log();
        let mut lines = log.lines().filter(|line| line.contains("took_ms"));
        for turn in 0..2 {
            let line = lines
                .next()
                .unwrap_or_else(|| panic!("two attempts in {log}"));
            match serde_json::from_str::<serde_json::Value>(line) {
                Ok(line) => {
                    assert_eq!(format, "json");
                    assert_eq!(line["account"], "raven.crm", "{line}");
                    assert_eq!(line["id"], ids[0], "{line}");
                    assert_eq!(line["turn"], turn, "{line}");
                }
                Err(_) => {
                    assert_eq!(format, "text", "{line}");
                    let fields = [
                        "account=raven.crm".to_owned(),
                        format!("id={}", ids[0]),
                        format!("turn={turn}"),
                    ];
                    assert!(fields.iter().all(|field| line.contains(field)), "{line}");
                }
            }
        }
        assert_eq!(lines.next(), None, "each call is told once");
    }
}

#[tokio::test]
async fn a_worker_whose_broker_says_nothing_is_not_ready() {
    // A broker that takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidings.toml");
    let broker = format!("amqp://guest:guest@{}/%2f", silent.local_addr().unwrap());
    fs::write(
        &file,
        format!("broker = {broker:?}\nadmin = \"127.0.0.1:0\""),
    )
    .unwrap();
    let fleet = Fleet::on(On::Embedded).start().await;
    let worker = fleet.worker_of(&file, &[]).await;
    let (_held, _) = tokio::time::timeout(Duration::from_secs(60), silent.accept())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(worker.page("/livez").await.0, 200);
    assert_eq!(worker.page("/readyz").await.0, 503);
    assert!(worker.terminate().await.success());
}
