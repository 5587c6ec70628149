//! What is exported is sent again, and what dies is seen as it does.

use tidings_tests::{eventually, fleet::On, on_each_broker, on_rabbitmq_4_3};

use crate::scene::{dying, fleet, open};

on_each_broker! {
    what_is_exported_is_sent_as_new_messages,
    what_dies_is_seen_by_who_watches,
}

on_rabbitmq_4_3! {
    what_is_exported_is_sent_as_new_messages,
    what_dies_is_seen_by_who_watches,
}

async fn what_dies_is_seen_by_who_watches(on: On) {
    let fleet = fleet(on).await;
    let all = ["watch", "--since", "1h", "--limit", "51"];
    let watch = fleet.command("tidings-dlq", &all).start();
    let ids = fleet.send(&dying()).await;
    let worker = fleet.worker().await;
    fleet.reckon(&ids).await;
    assert!(watch.exit().await.success());
    let log = watch.log();
    for id in ids {
        let lines = log.lines().filter(|line| line.contains(&format!(" {id} ")));
        assert_eq!(lines.count(), 1, "{id} in {log}");
    }
    assert!(worker.terminate().await.success());
}

async fn what_is_exported_is_sent_as_new_messages(on: On) {
    let fleet = fleet(on).await;
    let _worker = fleet.worker().await;
    let ids = fleet.send(&dying()).await;
    fleet.reckon(&ids).await;
    let export = ["export", "--account", "pingup.shop", "grupo.forum"];
    let exported = fleet.command("tidings-dlq", &export).run("").await;
    assert!(exported.status.success(), "{exported:?}");
    let checked = fleet
        .command("tidings", &["send", "--dry-run"])
        .run(&exported.stdout)
        .await;
    assert!(checked.status.success(), "{checked:?}");
    fleet.sandbox.heal().await;
    let sent = fleet
        .command("tidings", &["send"])
        .run(&exported.stdout)
        .await;
    assert!(sent.status.success(), "{sent:?}");
    eventually(
        "each is recorded once, as a message of its own",
        async || {
            let times = fleet.sandbox.book().await.times();
            match times.len() == 41 && times.values().all(|count| *count == 1) {
                true => Ok(()),
                false => Err(times),
            }
        },
    )
    .await;
    assert_eq!(open(&fleet).await.len(), 51, "exporting changes nothing");
}
