//! What is exported is sent again.

use tidings_tests::{eventually, fleet::On, on_each_broker};

use crate::scene::{dying, fleet, open};

on_each_broker! {
    what_is_exported_is_sent_as_new_messages,
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
