//! Several people look at once, in every way there is: nothing is written, sent or called, and nothing that waits moves.

use futures::{StreamExt as _, future::join_all};
use tidings_broker::{ReadFrom, ReadUntil};
use tidings_tests::{
    fleet::{Fleet, On, messages},
    on_each_broker, on_rabbitmq_4_3,
};

use crate::scene::{console, raw};

on_each_broker! {
    several_people_look_at_once_and_change_nothing,
}

on_rabbitmq_4_3! {
    several_people_look_at_once_and_change_nothing,
}

async fn several_people_look_at_once_and_change_nothing(on: On) {
    let account = "raven.crm";
    let fleet = Fleet::on(on)
        .account(account, "rate = \"unlimited\"")
        .start()
        .await;
    let worker = fleet.worker().await;
    fleet.bury(account, 30).await;
    assert!(worker.terminate().await.success());
    fleet.send(&messages(account, "waiting", 5)).await;
    let lane = account.parse().expect("an account");
    let stands = async || {
        let entries = fleet.broker.dead(ReadFrom::First, ReadUntil::Now);
        let entries = entries.await.expect("the dead letters");
        let written: Vec<_> = entries
            .map(|entry| entry.expect("an entry").position)
            .collect()
            .await;
        let depth = fleet.broker.depth(&lane);
        let calls = fleet.sandbox.summary().await.tally.calls;
        (written, depth.await.expect("a lane").ready, calls)
    };
    let before = stands().await;
    assert_eq!((before.0.len(), before.1), (30, 5));

    let id = "raven.crm-m-7";
    let looks = [
        &["list"][..],
        &["list", "--json", "--state", "all"],
        &["show", id],
        &["groups"],
        &["watch", "--since", "1h", "--limit", "30"],
        &["export"],
        &["audit"],
        &["replay", "--dry-run"],
    ];
    for said in join_all(looks.repeat(2).iter().map(|look| fleet.dlq(look))).await {
        assert!(said.status.success(), "{said:?}");
    }
    let (_console, at) = console(&fleet).await;
    let pages = [
        "",
        "letters?state=open",
        "letter?id=raven.crm-m-7",
        "plan?verb=replay",
        "audit",
    ];
    let urls = pages.map(|page| format!("{at}{page}"));
    join_all(urls.iter().map(|url| raw(url))).await;
    assert_eq!(stands().await, before);
}
