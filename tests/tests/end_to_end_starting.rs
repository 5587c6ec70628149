//! Workers that start on a broker that is not as they need it.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use std::time::Duration;

use tidings_model::LaneState;
use tidings_tests::{
    Flavour, Program, Relay, eventually,
    fleet::{Fleet, On, Role, messages},
};

mod rabbitmq_3_10 {
    #[tokio::test(flavor = "multi_thread")]
    async fn a_missing_lane_is_named_unless_nobody_looks() {
        super::a_missing_lane_is_named_unless_nobody_looks().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_worker_starts_however_its_connections_break() {
        super::a_worker_starts_however_its_connections_break().await;
    }
}

async fn a_missing_lane_is_named_unless_nobody_looks() {
    let fleet = Fleet::on(On::RabbitMq(Flavour::Debian))
        .account("raven.crm", "")
        .start()
        .await;
    let file = fleet.folder().join("larger.toml");
    let mut text = std::fs::read_to_string(fleet.configuration().file()).unwrap();
    text.push_str("[accounts.\"raven.new\"]\nsecret = { env = \"PATH\" }\n");
    std::fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap();

    let strict = Program::new("tidings-worker").args(["--config", path]);
    let output = strict.run("").await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let words = String::from_utf8_lossy(&output.stderr);
    for word in [
        "tidings.lane.raven-new",
        "missing",
        "tidings topology apply",
    ] {
        assert!(words.contains(word), "{words}");
    }
    assert!(!words.contains("raven.crm"), "{words}");

    // The other lane is served, and the missing one as soon as somebody declares it.
    let lenient = fleet.worker_of(&file, &["--no-verify"]).await;
    let ids = fleet.send(&messages("raven.crm", "m", 3)).await;
    fleet.ended(&ids).await;
    let apply = Program::new("tidings")
        .args(["topology", "apply", "--config", path])
        .env("TIDINGS_BROKER", fleet.url(Role::Operator));
    assert!(apply.run("").await.status.success());
    eventually("the new lane is served", async || {
        match lenient.lane("raven.new").await.map(|lane| lane.state) {
            Some(LaneState::Idle | LaneState::Running) => Ok(()),
            other => Err(other),
        }
    })
    .await;
    assert!(lenient.terminate().await.success());
}

/// Wherever in its start that is.
async fn a_worker_starts_however_its_connections_break() {
    let fleet = Fleet::on(On::RabbitMq(Flavour::Debian))
        .account("raven.crm", "")
        .start()
        .await;
    let relay = Relay::to(&fleet.url(Role::Worker)).await;
    let worker = fleet.worker_in(&[("TIDINGS_BROKER", relay.url())]).await;
    for pause in (5..60).chain(5..60) {
        relay.break_connections();
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    worker.ready().await;
    assert!(worker.terminate().await.success());
}
