//! A change of configuration goes from worker to worker, and every lane is served all the while.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use serde_json::Value;
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
        .account(STAYS.account, &at(50))
        .account(GOES.account, &at(50))
        .start()
        .await;
    for lane in [STAYS, GOES] {
        fleet.send(&backlog(&lane)).await;
    }
    let lag = Lag::measure_in_company();
    let mut workers = Vec::new();
    for _ in 0..3 {
        let worker = fleet.worker().await;
        worker.ready().await;
        workers.push(worker);
    }
    let before = ["raven.stays", "raven.changes", "raven.goes"];
    are_served(&fleet, &before, "before").await;

    let began = Timestamp::now().as_millisecond();
    let (mut came, mut went) = (began, began);
    fleet
        .reconfigure(|configuration| {
            configuration.account(STAYS.account, &at(40));
            configuration.account(COMES.account, &at(50));
            configuration.accounts.remove(GOES.account);
            configuration.account("raven.changes", "rate = \"50/s\"");
            configuration.account("raven.comes", "rate = \"100/s\"");
            configuration.accounts.remove("raven.goes");
        })
        .await;
    for (step, worker) in workers.iter().enumerate() {
        went = Timestamp::now().as_millisecond();
        worker.signal(Signal::HUP);
        worker.line("the configuration was reloaded").await;
        if step == 0 {
            fleet.send(&backlog(&COMES)).await;
            came = Timestamp::now().as_millisecond();
        }
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
    let ended = Timestamp::now().as_millisecond();
    is_never_left_alone(&STAYS, &fleet, &lag, (began, ended)).await;
    is_never_left_alone(&GOES, &fleet, &lag, (began, went)).await;
    is_never_left_alone(&COMES, &fleet, &lag, (came, ended)).await;
    let book = fleet.sandbox.book().await;
    for lane in [STAYS, GOES, COMES] {
        lane.is_kept_and_used(&fleet, &book, &lag, &[]).unwrap();
    }
    for account in [
        "raven.stays",
        "raven.changes",
        "raven.comes",
        STAYS.account,
        COMES.account,
    ] {
        is_owned_once(&workers, account).await;
    }
    for worker in workers {
        for gone in ["raven.goes", GOES.account] {
            assert_eq!(worker.lane(gone).await, None);
            let figures = worker.metric("tidings_lane_state", gone).await;
            assert_eq!(figures, 0.0, "nothing that is told of {gone} stands");
        }
        let changed = worker.lane("raven.changes").await.unwrap();
        assert_eq!(changed.rate.to_string(), "50/s");
        let busy = worker.lane(STAYS.account).await.unwrap();
        assert_eq!(busy.rate.to_string(), "40/s");
        assert!(worker.terminate().await.success());
    }
}

/// Lanes with more to do than they can while all this goes on.
const STAYS: Limited = busy("whatspie.stays", Provider::WhatsPie);
const COMES: Limited = busy("pingup.comes", Provider::Pingup);
const GOES: Limited = busy("grupo.goes", Provider::Grupo);

const fn busy(account: &'static str, provider: Provider) -> Limited {
    Limited {
        account,
        provider,
        destination: None,
        per_second: 50,
        burst: 1,
    }
}

fn at(per_second: u32) -> String {
    format!("rate = \"{per_second}/s\"\ndestination_rate = \"unlimited\"")
}

const BACKLOG: usize = 5_000;

fn backlog(lane: &Limited) -> Vec<Value> {
    messages(lane.account, "m", BACKLOG)
}

/// What a busy machine may add to a second in which a lane moves in order.
const LEFT_ALONE: Duration = Duration::from_secs(3);

/// However the change went through the fleet, the lane never stood still meanwhile.
async fn is_never_left_alone(lane: &Limited, fleet: &Fleet, lag: &Lag, (from, to): (i64, i64)) {
    let arrivals = lane.arrivals(&fleet.sandbox.book().await);
    let account = lane.account;
    assert!(arrivals.len() < BACKLOG, "{account} was busy all the while");
    let mut moments = vec![from];
    moments.extend(arrivals.into_iter().filter(|at| (from..to).contains(at)));
    moments.push(to);
    assert!(moments.len() > 20, "{account}: {moments:?}");
    for gap in moments.windows(2) {
        let length = Duration::from_millis((gap[1] - gap[0]).unsigned_abs());
        let explained = LEFT_ALONE + lag.stood_still((gap[0], gap[1]));
        assert!(
            length <= explained,
            "{account} stood still for {length:?}, of which {explained:?} are explained"
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
