//! Providers and accounts in trouble: the lane waits as it should, spends nothing for it, and no other lane notices.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use std::time::Duration;

use jiff::Timestamp;
use tidings_model::LaneState;
use tidings_sandbox::{Fault, Faults, Latency, On as Calls, Provider};
use tidings_tests::{
    Lag, eventually,
    fleet::{Configuration, Fleet, Limited, ONE_OF_EACH, On, Worker, messages, to},
    on_each_broker,
};

on_each_broker! {
    a_hanging_provider_slows_no_other,
    a_revoked_token_burns_nothing_and_heals_when_it_is_replaced,
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_while_workers_come_and_go_one_after_the_other() {
    limits_hold_while_workers_come_and_go(On::Embedded).await;
}

const FAST: &str = "rate = \"unlimited\"\ndestination_rate = \"unlimited\"\n";

async fn a_hanging_provider_slows_no_other(on: On) {
    let others = ["groupme.ops", "grupo.site", "raven.crm", "pingup.acme"];
    let hanging = "whatspie.shop";
    let fleet = others
        .iter()
        .fold(Fleet::on(on), |draft, account| draft.account(account, FAST))
        .account(
            hanging,
            &format!("{FAST}\ntimeout = \"10m\"\nconcurrency = 4"),
        )
        .settings("drain = \"1s\"")
        .faults(Faults::none().fault(Fault::timeout().on(Provider::WhatsPie)))
        .start()
        .await;
    let worker = fleet.worker().await;
    fleet.send(&messages(hanging, "m", 50)).await;
    eventually("all calls of one lane hang", async || {
        let calls = fleet
            .sandbox
            .summary()
            .await
            .provider(Provider::WhatsPie)
            .calls;
        if calls == 4 { Ok(()) } else { Err(calls) }
    })
    .await;

    let all: Vec<_> = others
        .iter()
        .flat_map(|account| messages(account, "m", 250))
        .collect();
    let ids = fleet.send(&all).await;
    let outcomes = fleet.ended(&ids).await;

    assert!(outcomes.values().all(|outcome| outcome.reason().is_none()));
    let lane = worker.lane(hanging).await.expect("the lane");
    assert_eq!(
        (lane.state, lane.in_flight),
        (LaneState::Running, 4),
        "it hangs all the time"
    );
    assert_eq!(worker.page("/readyz").await.0, 200);
    // What outlasts the drain is left, and the note names it: nothing else becomes unknown.
    assert_eq!(worker.terminate().await.code(), Some(0));
    let left: Vec<usize> = fleet
        .ledger
        .records()
        .await
        .into_iter()
        .filter_map(|record| match record {
            tidings_model::Record::Note {
                left: tidings_model::Left::Only(ids),
                ..
            } => Some(ids.len()),
            _ => None,
        })
        .collect();
    assert_eq!(left.iter().sum::<usize>(), 4, "{left:?}");
}

async fn a_revoked_token_burns_nothing_and_heals_when_it_is_replaced(on: On) {
    let accounts = ONE_OF_EACH;
    let old = |account: &str| Configuration::secret(account);
    let revoked = accounts
        .iter()
        .fold(Faults::none(), |faults, (account, provider)| {
            faults.fault(Fault::bad_token().on(Calls::from(*provider).account(old(account))))
        });
    let settings = format!("{FAST}\nconcurrency = 4\naccount_probe = \"1s\"");
    let fleet = accounts
        .iter()
        .fold(Fleet::on(on), |draft, (account, _)| {
            draft.account(account, &settings)
        })
        .faults(revoked)
        .start()
        .await;
    let worker = fleet.worker().await;
    let all: Vec<_> = accounts
        .iter()
        .flat_map(|(account, _)| messages(account, "m", 20))
        .collect();
    let ids = fleet.send(&all).await;

    for (account, _) in accounts {
        let (mut state, mut why) = (None, None);
        eventually("the lane pauses, says why, and probes", async || {
            // A worker tells of its lanes once it has reached the broker.
            let Some(lane) = worker.lane(account).await else {
                return Err((state, why.clone(), 0.0));
            };
            if lane.why.is_some() {
                (state, why) = (Some(lane.state), lane.why);
            }
            let problems = format!("account=\"{account}\",verdict=\"account-problem\"");
            let attempts = worker.metric("tidings_attempts_total", &problems).await;
            // At most one window of calls was under way when it paused; those beyond are probes.
            match state == Some(LaneState::Paused) && attempts >= 6.0 {
                true => Ok(()),
                false => Err((state, why.clone(), attempts)),
            }
        })
        .await;
        assert!(why.is_some_and(|why| why.contains("account")), "{account}");
    }
    assert!(fleet.ledger.outcomes().is_empty(), "nothing is burned");
    for (account, _) in accounts {
        fleet.configuration().replace_secret(account, "a-new-one");
    }
    let replaced = Timestamp::now().as_millisecond();

    let reckoning = fleet.reckon(&ids).await;
    reckoning.all_were_delivered_in_one_attempt();
    for (account, provider) in accounts {
        let refused = reckoning.book.refused.iter();
        let later = refused.filter(|call| {
            call.provider == provider && i64::try_from(call.at_ms).unwrap() > replaced
        });
        assert!(later.count() <= 1, "the second probe of {account} heals it");
    }
    assert!(worker.terminate().await.success());
    assert!(!worker.log().contains("a-new-one"));
}

async fn limits_hold_while_workers_come_and_go(on: On) {
    let ops = Limited {
        account: "groupme.ops",
        provider: Provider::GroupMe,
        destination: None,
        per_second: 20,
        burst: 1,
    };
    // Three destinations of 2/s each: theirs is the limit that holds.
    let each = ["d0", "d1", "d2"].map(|destination| Limited {
        account: "whatspie.shop",
        provider: Provider::WhatsPie,
        destination: Some(destination),
        per_second: 2,
        burst: 1,
    });
    let shop = each[0].account;
    let fleet = Fleet::on(on)
        .account(ops.account, &ops.settings())
        .account(shop, &format!("rate = \"20/s\"\n{}", each[0].settings()))
        .faults(
            Faults::none()
                .limit(ops.enforced())
                .limit(each[0].enforced())
                .latency(Latency::uniform(
                    Duration::from_millis(1),
                    Duration::from_millis(40),
                )),
        )
        .start()
        .await;
    let mut all = messages(ops.account, "m", 200);
    for number in 0..60 {
        all.push(to(
            shop,
            &format!("d{}", number % 3),
            &format!("w-{number}"),
        ));
    }
    let ids = fleet.send(&all).await;

    let lag = Lag::measure();
    let mut worker = fleet.worker().await;
    for turn in 0..4 {
        let before = fleet
            .sandbox
            .summary()
            .await
            .provider(Provider::GroupMe)
            .received;
        eventually("messages are delivered", async || {
            let received = fleet
                .sandbox
                .summary()
                .await
                .provider(Provider::GroupMe)
                .received;
            if received >= before + 20 {
                Ok(())
            } else {
                Err(received)
            }
        })
        .await;
        worker = replace(&fleet, worker, turn % 2 == 0).await;
    }
    let reckoning = fleet.reckon(&ids).await;
    reckoning.adds_up(&[]);
    assert_eq!(reckoning.delivered(), ids.len());
    let book = &reckoning.book;
    assert_eq!(book.summary.tally.violations, 0, "{:?}", book.summary);
    for limited in [ops].into_iter().chain(each) {
        assert_eq!(limited.is_kept_and_used(&fleet, book, &lag, &[]), Ok(()));
    }
    assert!(worker.terminate().await.success());
}

/// Another worker in the place of one that is stopped in order, while the other stands by, or killed.
async fn replace(fleet: &Fleet, worker: Worker, in_order: bool) -> Worker {
    if in_order {
        let next = fleet.worker().await;
        assert!(worker.terminate().await.success());
        next
    } else {
        worker.kill9().await;
        fleet.worker().await
    }
}
