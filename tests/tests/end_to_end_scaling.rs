//! A day of an operator: three workers become eight, then two. Some are killed, one freezes, the broker restarts, and the
//! providers notice nothing.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use std::time::Duration;

use tidings_model::LaneState;
use tidings_sandbox::{Faults, Latency, Limit, Provider, Rate};
use tidings_tests::{
    Flavour, Lag, Signal, eventually, eventually_within,
    fleet::{Fleet, Limited, On, Worker, after_a_freeze, to},
};

#[tokio::test(flavor = "multi_thread")]
async fn embedded() {
    three_become_eight_and_two_and_the_providers_notice_nothing(On::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_3_10() {
    let on = On::OwnRabbitMq(Flavour::Debian);
    three_become_eight_and_two_and_the_providers_notice_nothing(on).await;
}

/// Two of each provider.
const LANES: [&str; 10] = [
    "groupme.dev",
    "groupme.ops",
    "grupo.shop",
    "grupo.site",
    "pingup.acme",
    "pingup.beta",
    "raven.crm",
    "raven.hr",
    "whatspie.desk",
    "whatspie.shop",
];
const SETTINGS: &str = "rate = \"2/s\"\ndestination_rate = \"unlimited\"\nconcurrency = 4\n\
                        retry = { max_attempts = 50, base = \"1s\", cap = \"1s\" }";
/// More than can be sent while this goes on: minutes of it.
const EACH: usize = 400;
/// What eight workers and a broker that starts take from each other on a small machine: two calls' worth for the limiter that
/// enforces. What is counted afterwards goes by how long each call was really held up.
const LAG: Duration = Duration::from_secs(1);

async fn three_become_eight_and_two_and_the_providers_notice_nothing(on: On) {
    let second = Duration::from_secs(1);
    let faults = Faults::none()
        .limit(Limit::of(Rate::new(2, second)).tolerance(LAG))
        .latency(Latency::uniform(second / 100, second / 20));
    let draft = LANES.iter().fold(Fleet::on(on), |draft, account| {
        draft.account(account, SETTINGS)
    });
    let mut fleet = draft.faults(faults).start().await;
    let all: Vec<_> = LANES
        .iter()
        .flat_map(|account| {
            (0..EACH).map(move |n| to(account, account, &format!("{account}-m-{n}")))
        })
        .collect();
    let ids = fleet.send(&all).await;
    let lag = Lag::measure_in_company();

    let mut workers = Vec::new();
    join(&fleet, &mut workers, 3).await;
    each_lane_is_served_by_one(&workers).await;
    join(&fleet, &mut workers, 5).await;
    each_lane_is_served_by_one(&workers).await;
    // The newcomers' shares are on their way.
    eventually("ten lanes are shared among eight", async || {
        let shares = shares(&workers).await;
        let busy = shares.iter().filter(|lanes| !lanes.is_empty());
        if busy.count() >= 3 {
            Ok(())
        } else {
            Err(shares)
        }
    })
    .await;

    for _ in 0..2 {
        let killed = busiest(&workers).await;
        workers.remove(killed).kill9().await;
        each_lane_is_served_by_one(&workers).await;
    }
    let frozen = workers.remove(busiest(&workers).await);
    let lanes = frozen.lanes().await;
    let name = lanes
        .into_iter()
        .find_map(|lane| (lane.state == LaneState::Running).then_some(lane.owner))
        .flatten();
    let frozen_at = fleet.freeze(&frozen).await;
    each_lane_is_served_by_one(&workers).await;
    frozen.signal(Signal::CONT);
    frozen.ready().await;
    let late = fleet
        .ledger
        .attempts_of_old_tenures(&name.unwrap(), frozen_at)
        .await;
    assert!(late.is_empty(), "{late:?}");
    workers.push(frozen);

    if on != On::Embedded {
        fleet.node().stop().await;
        fleet.node().start().await;
        for worker in &workers {
            worker.ready().await;
        }
        each_lane_is_served_by_one(&workers).await;
    }
    while workers.len() > 2 {
        let gone = busiest(&workers).await;
        assert!(workers.remove(gone).terminate().await.success());
        each_lane_is_served_by_one(&workers).await;
    }
    assert!(
        !fleet.ledger.open(&ids).is_empty(),
        "there was a backlog all the while"
    );
    let book = fleet.sandbox.book().await;
    assert_eq!(book.summary.tally.violations, 0, "{:?}", book.summary);
    for account in LANES {
        limit_of(account)
            .is_kept_and_used(&fleet, &book, &lag, &[])
            .unwrap();
    }

    // The rest need not be waited for.
    fleet.sandbox.heal().await;
    for account in LANES {
        let set = ["lanes", "set", account, "--rate", "unlimited"];
        let set = fleet.command("tidings", &set).run("").await;
        assert!(set.status.success(), "{set:?}");
    }
    let reckoning = fleet.reckon(&ids).await;
    reckoning.adds_up(&[]);
    assert_eq!(reckoning.delivered(), ids.len());
    for worker in workers {
        assert!(worker.terminate().await.success());
    }
}

/// All messages of an account go to one destination, which has its name.
fn limit_of(account: &'static str) -> Limited {
    let provider = match account.split_once('.') {
        Some(("groupme", _)) => Provider::GroupMe,
        Some(("grupo", _)) => Provider::Grupo,
        Some(("pingup", _)) => Provider::Pingup,
        Some(("raven", _)) => Provider::Raven,
        _ => Provider::WhatsPie,
    };
    Limited {
        account,
        provider,
        destination: Some(account),
        per_second: 2,
        burst: 1,
    }
}

async fn join(fleet: &Fleet, workers: &mut Vec<Worker>, count: usize) {
    for _ in 0..count {
        workers.push(fleet.worker().await);
    }
    for worker in workers {
        worker.ready().await;
    }
}

/// How many lanes each of them works off.
async fn shares(workers: &[Worker]) -> Vec<Vec<String>> {
    let mut shares = Vec::new();
    for worker in workers {
        let mut lanes = worker.lanes().await;
        lanes.retain(|lane| lane.state == LaneState::Running);
        shares.push(
            lanes
                .into_iter()
                .map(|lane| lane.account.to_string())
                .collect(),
        );
    }
    shares
}

async fn busiest(workers: &[Worker]) -> usize {
    let shares = shares(workers).await;
    let most = shares
        .iter()
        .enumerate()
        .max_by_key(|(_, lanes)| lanes.len());
    most.map(|(index, _)| index).unwrap()
}

/// Waits until each lane is worked off by one of these; nothing takes longer to move than the lanes of one that is frozen.
async fn each_lane_is_served_by_one(workers: &[Worker]) {
    let patience = after_a_freeze(On::RabbitMq(Flavour::Debian)) * 2;
    eventually_within(patience, "each lane is served by one", async || {
        let shares = shares(workers).await;
        let mut lanes: Vec<&String> = shares.iter().flatten().collect();
        lanes.sort();
        match lanes.iter().eq(LANES.iter()) {
            true => Ok(()),
            false => Err(shares),
        }
    })
    .await;
}
