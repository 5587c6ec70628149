//! A change of configuration goes from worker to worker, and every lane is served all the while.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use tidings_model::LaneState;
use tidings_sandbox::Provider;
use tidings_tests::{
    Lag, Signal, eventually,
    fleet::{Fleet, Limited, On, Worker, messages},
    on_each_broker,
};

on_each_broker! {
    a_rolling_change_of_configuration_leaves_no_lane_unserved,
}

async fn a_rolling_change_of_configuration_leaves_no_lane_unserved(on: On) {
    let mut fleet = Fleet::on(on)
        .account("raven.stays", "rate = \"100/s\"")
        .account("raven.changes", "rate = \"100/s\"")
        .account("raven.goes", "rate = \"100/s\"")
        .account(
            BUSY.account,
            "rate = \"50/s\"\ndestination_rate = \"unlimited\"",
        )
        .start()
        .await;
    fleet.send(&messages(BUSY.account, "m", BACKLOG)).await;
    let mut workers = Vec::new();
    for _ in 0..3 {
        let worker = fleet.worker().await;
        worker.ready().await;
        workers.push(worker);
    }
    let before = ["raven.stays", "raven.changes", "raven.goes"];
    are_served(&fleet, &before, "before").await;

    let lag = Lag::measure();
    let began = Timestamp::now().as_millisecond();
    fleet
        .reconfigure(|configuration| {
            configuration.account(
                BUSY.account,
                "rate = \"40/s\"\ndestination_rate = \"unlimited\"",
            );
            configuration.account("raven.changes", "rate = \"50/s\"");
            configuration.account("raven.comes", "rate = \"100/s\"");
            configuration.accounts.remove("raven.goes");
        })
        .await;
    for (step, worker) in workers.iter().enumerate() {
        worker.signal(Signal::HUP);
        worker.line("the configuration was reloaded").await;
        // What comes is served by the first that knows it, what goes by the last that does.
        are_served(
            &fleet,
            &["raven.stays", "raven.changes", "raven.comes"],
            &format!("step-{step}"),
        )
        .await;
        if step + 1 < workers.len() {
            are_served(&fleet, &["raven.goes"], &format!("step-{step}")).await;
        }
    }
    is_never_left_alone(&fleet, &lag, began).await;
    for account in ["raven.stays", "raven.changes", "raven.comes", BUSY.account] {
        is_owned_once(&workers, account).await;
    }
    for worker in workers {
        assert_eq!(worker.lane("raven.goes").await, None);
        let figures = worker.metric("tidings_lane_state", "raven.goes").await;
        assert_eq!(figures, 0.0, "nothing that is told of it stands");
        let changed = worker.lane("raven.changes").await.unwrap();
        assert_eq!(changed.rate.to_string(), "50/s");
        let busy = worker.lane(BUSY.account).await.unwrap();
        assert_eq!(busy.rate.to_string(), "40/s");
        assert!(worker.terminate().await.success());
    }
}

/// A lane with more to do than it can while all this goes on.
const BUSY: Limited = Limited {
    account: "whatspie.busy",
    provider: Provider::WhatsPie,
    destination: None,
    per_second: 50,
    burst: 1,
};
const BACKLOG: usize = 5_000;

/// What a busy machine may add to a second in which a lane moves in order.
const LEFT_ALONE: Duration = Duration::from_secs(3);

/// However the change went through the fleet, the busy lane never stood still.
async fn is_never_left_alone(fleet: &Fleet, lag: &Lag, began: i64) {
    let ended = Timestamp::now().as_millisecond();
    let arrivals = BUSY.arrivals(&fleet.sandbox.book().await);
    assert!(arrivals.len() < BACKLOG, "it was busy all the while");
    let mut moments = vec![began];
    moments.extend(
        arrivals
            .into_iter()
            .filter(|at| (began..ended).contains(at)),
    );
    moments.push(ended);
    assert!(moments.len() > 20, "{moments:?}");
    for gap in moments.windows(2) {
        let length = Duration::from_millis((gap[1] - gap[0]).unsigned_abs());
        let explained = LEFT_ALONE + lag.lost((gap[0], gap[1]));
        assert!(
            length <= explained,
            "{length:?}, of which {explained:?} are explained"
        );
    }
}

/// What is sent to these accounts now comes to its end.
async fn are_served(fleet: &Fleet, accounts: &[&str], when: &str) {
    let all: Vec<_> = accounts
        .iter()
        .flat_map(|account| messages(account, when, 20))
        .collect();
    let ids = fleet.send(&all).await;
    let outcomes = fleet.ended(&ids).await;
    assert!(outcomes.values().all(|outcome| outcome.reason().is_none()));
}

async fn is_owned_once(workers: &[Worker], account: &str) {
    eventually("one worker owns the lane", async || {
        let mut owners = BTreeSet::new();
        let mut serving = 0;
        for worker in workers {
            let lane = worker.lane(account).await.unwrap();
            serving += usize::from(lane.state != LaneState::Standby);
            // Those who stand by know it too.
            owners.insert(lane.owner);
        }
        match (serving, owners.len(), owners.contains(&None)) {
            (1, 1, false) => Ok(()),
            _ => Err((serving, owners)),
        }
    })
    .await;
}
