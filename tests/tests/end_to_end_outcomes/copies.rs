//! One message, published more than once.

use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use tidings_model::Reason;
use tidings_sandbox::{Faults, Latency};
use tidings_tests::{
    Flavour, Process, Program, Relay, eventually,
    fleet::{Fleet, On, Role, message, messages},
};

use super::QUICK;

pub(super) async fn copies_of_a_message_are_called_once(on: On) {
    let accounts = ["groupme.ops", "whatspie.shop"];
    let fleet = accounts
        .iter()
        .fold(Fleet::on(on), |draft, account| {
            draft.account(account, QUICK)
        })
        // Long enough that copies come while the first is under way.
        .faults(Faults::none().latency(Latency::fixed(Duration::from_millis(100))))
        .start()
        .await;
    let worker = fleet.worker().await;
    let all: Vec<Value> = accounts
        .iter()
        .flat_map(|account| messages(account, "m", 25))
        .collect();
    let twice: Vec<Value> = all.iter().chain(&all).cloned().collect();

    // In one go and from several producers at once, then again when all of them have ended.
    let sent = join_all((0..4).map(|_| fleet.send(&twice))).await;
    let ids = &sent[0][..all.len()];
    fleet.ended(ids).await;
    fleet.send(&twice).await;
    let last: Vec<Value> = accounts
        .iter()
        .map(|account| message(account, &format!("{account}-last")))
        .collect();
    let last = fleet.send(&last).await;
    fleet.ended(&last).await;

    let reckoning = fleet.reckon(ids).await;
    reckoning.adds_up(&[]);
    assert_eq!(reckoning.delivered(), all.len());
    let summary = &reckoning.book.summary;
    assert_eq!(
        summary.tally.calls,
        (all.len() + last.len()) as u64,
        "{summary:?}"
    );
    assert_eq!(summary.tally.repeats, 0);
    assert!(worker.terminate().await.success());
}

mod rabbitmq_3_10 {
    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_published_again_after_a_lost_confirm_is_called_once() {
        super::what_was_published_again_after_a_lost_confirm_is_called_once().await;
    }
}

/// The broker had it, and the producer never heard so.
async fn what_was_published_again_after_a_lost_confirm_is_called_once() {
    let fleet = Fleet::on(On::RabbitMq(Flavour::Debian))
        .settings("remember = { time = \"1s\", messages = 1000 }")
        .account("raven.parks", &format!("{QUICK}\non_unknown = \"park\""))
        .start()
        .await;
    let send = async |id: &'static str| {
        let relay = Relay::that_loses_the_answer_to(id, &fleet.url(Role::Producer)).await;
        let sending = Program::new("tidings").args(["send", "--broker", relay.url(), "--file"]);
        let file = fleet.folder().join(id);
        std::fs::write(&file, message("raven.parks", id).to_string()).unwrap();
        (relay, sending.arg(file).start())
    };
    let published_again = async |(relay, sending): (Relay, Process)| {
        relay.break_connections();
        assert!(sending.exit().await.success());
    };

    // The second is found among the decided.
    let worker = fleet.worker().await;
    let remembered = send("remembered").await;
    fleet.ended(&["remembered".into()]).await;
    published_again(remembered).await;
    worker.line("decided before").await;

    // The second finds a worker that does not remember, and goes by what it was told.
    let forgotten = send("forgotten").await;
    fleet.ended(&["forgotten".into()]).await;
    assert!(worker.terminate().await.success());
    published_again(forgotten).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let worker = fleet.worker().await;
    let letter = eventually("its letter", async || {
        fleet.letters().await.pop().ok_or("none")
    })
    .await;
    assert_eq!(letter.message.id().unwrap().as_str(), "forgotten");
    assert_eq!(letter.reason, Reason::UnknownOutcome);
    assert!(letter.maybe_delivered && letter.attempts.is_empty());

    let book = fleet.sandbox.book().await;
    assert_eq!(
        ["remembered", "forgotten"].map(|id| book.times_of(id)),
        [1, 1]
    );
    assert!(worker.terminate().await.success());
}
