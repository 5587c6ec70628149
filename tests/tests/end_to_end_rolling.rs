//! A change of configuration goes from worker to worker, and every lane is served all the while.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use std::collections::BTreeSet;

use tidings_model::LaneState;
use tidings_tests::{
    Signal, eventually,
    fleet::{Fleet, On, Worker, messages},
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
        .start()
        .await;
    let mut workers = Vec::new();
    for _ in 0..3 {
        let worker = fleet.worker().await;
        worker.ready().await;
        workers.push(worker);
    }
    let before = ["raven.stays", "raven.changes", "raven.goes"];
    are_served(&fleet, &before, "before").await;

    fleet
        .reconfigure(|configuration| {
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
    for account in ["raven.stays", "raven.changes", "raven.comes"] {
        is_owned_once(&workers, account).await;
    }
    for worker in workers {
        assert_eq!(worker.lane("raven.goes").await, None);
        let figures = worker.metric("tidings_lane_state", "raven.goes").await;
        assert_eq!(figures, 0.0, "nothing that is told of it stands");
        let changed = worker.lane("raven.changes").await.unwrap();
        assert_eq!(changed.rate.to_string(), "50/s");
        assert!(worker.terminate().await.success());
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
