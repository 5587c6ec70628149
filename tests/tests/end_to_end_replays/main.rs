//! Dead letters are sent again: each message once, whatever happens to who sends it.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

mod cut_off;

use serde_json::json;
use tidings_model::Reason;
use tidings_sandbox::{Fault, Faults, On as Calls, Operation, Provider};
use tidings_tests::{
    eventually,
    fleet::{Fleet, On, messages, refusals},
    on_each_broker, on_rabbitmq_4_3,
};

on_each_broker! {
    a_replay_goes_only_as_far_as_its_canary,
    what_may_have_been_delivered_is_sent_again_with_consent_alone,
    a_message_that_dies_again_is_replayed_again,
}

on_rabbitmq_4_3! {
    a_replay_goes_only_as_far_as_its_canary,
    what_may_have_been_delivered_is_sent_again_with_consent_alone,
    a_message_that_dies_again_is_replayed_again,
}

pub(crate) const QUICK: &str = r#"
    rate = "unlimited"
    destination_rate = "unlimited"
    concurrency = 32
    timeout = "2s"
    retry = { max_attempts = 1, base = "1s", cap = "1s" }
"#;

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
