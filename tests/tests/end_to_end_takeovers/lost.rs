//! Workers that are there and out of reach: frozen, cut off from the broker, or with a loop that hangs.

use std::time::Duration;

use jiff::Timestamp;
use tidings_broker::FENCE;
use tidings_model::LaneState;
use tidings_sandbox::{Faults, Latency, On as Calls, Operation, Provider};
use tidings_tests::{
    Lag, Relay, Signal, eventually,
    fleet::{Fleet, On, Reckoning, Role, Worker, after_a_freeze, messages},
};
use tokio::time::{Instant, sleep, sleep_until};

use super::Serving;

/// One account, whose provider can tell what it has: nothing of it is sent twice, and nothing is given up.
const ACCOUNT: &str = "groupme.ops";

fn all_were_sent_once(reckoning: &Reckoning, ids: &[String]) {
    reckoning.adds_up(&[]);
    assert_eq!(reckoning.delivered(), ids.len());
    let summary = &reckoning.book.summary;
    assert_eq!(summary.refused_by_status.get(&409), None, "sent again");
}

/// Waits until messages are in hand whose calls have not begun: neither in the queue, nor called, nor decided.
async fn some_are_in_hand(fleet: &Fleet, ids: &[String], least: u64) {
    let account = ACCOUNT.parse().unwrap();
    eventually("messages are in hand", async || {
        let ready = fleet.broker.depth(&account).await.unwrap().ready;
        let called = fleet.sandbox.summary().await.tally.calls;
        let in_hand = (ids.len() as u64).saturating_sub(ready + called);
        if in_hand >= least {
            Ok(())
        } else {
            Err((ready, called))
        }
    })
    .await;
}

pub(crate) async fn a_frozen_worker_starts_nothing_when_it_goes_on(on: On) {
    const RATE: u64 = 5;
    /// In seconds: long enough for the broker to have given up on it.
    const FROZEN: u64 = 90;
    let fleet = Fleet::on(on)
        .account(ACCOUNT, &format!("rate = \"{RATE}/s\""))
        .start()
        .await;
    let mut workers = vec![fleet.worker().await, fleet.worker().await];
    // Enough for those that serve meanwhile, and for a while after.
    let count = usize::try_from(RATE * (FROZEN + 10)).unwrap();
    let ids = fleet.send(&messages(ACCOUNT, "m", count)).await;
    let frozen = Serving::one_of(&mut workers).await;
    some_are_in_hand(&fleet, &ids, RATE).await;

    let lag = Lag::measure();
    let frozen_at = fleet.freeze(&frozen.worker).await;
    let went_on = Instant::now() + Duration::from_secs(FROZEN);
    for (_, took) in frozen.moved(&fleet, frozen_at).await {
        let from = frozen_at.as_millisecond();
        let to = from + i64::try_from(took.as_millis()).unwrap();
        let stood_still = lag.stood_still((from, to));
        assert!(
            took < after_a_freeze(on) + stood_still,
            "it moved in {took:?}, and this machine stood still for {stood_still:?}"
        );
    }
    sleep_until(went_on).await;
    assert!(!fleet.ledger.open(&ids).is_empty(), "there is a backlog");
    frozen.worker.signal(Signal::CONT);
    frozen.worker.ready().await;

    all_were_sent_once(&fleet.reckon(&ids).await, &ids);
    let late = fleet
        .ledger
        .attempts_of_old_tenures(&frozen.name, frozen_at);
    assert_eq!(late.await, []);
    for worker in [frozen.worker, workers.remove(0)] {
        assert!(worker.terminate().await.success());
    }
}

/// Nobody else can write to the embedded broker's file then, nor take a lane: the host's other workers wait.
pub(crate) async fn a_worker_frozen_in_a_write_stops_all_and_loses_nothing() {
    let fleet = Fleet::on(On::Embedded)
        .account(ACCOUNT, "rate = \"100/s\"")
        .start()
        .await;
    let mut workers = vec![fleet.worker().await, fleet.worker().await];
    let ids = fleet.send(&messages(ACCOUNT, "m", 1_500)).await;
    let frozen = Serving::one_of(&mut workers).await;
    fleet.freeze_writing(&frozen.worker).await;
    eventually("the other one says that it waits", async || {
        match workers[0].page("/readyz").await {
            (503, why) if why.contains("broker") => Ok(()),
            other => Err(other),
        }
    })
    .await;
    // Past the lease: whoever is first may have the lane then.
    sleep(Duration::from_secs(10)).await;
    assert!(!fleet.ledger.open(&ids).is_empty(), "there is a backlog");
    frozen.worker.signal(Signal::CONT);

    all_were_sent_once(&fleet.reckon(&ids).await, &ids);
    for worker in [frozen.worker, workers.remove(0)] {
        assert!(worker.terminate().await.success());
    }
}

pub(crate) async fn a_worker_that_is_cut_off_from_the_broker_starts_nothing(on: On) {
    const CONCURRENCY: u64 = 4;
    let sends = Calls::from(Provider::GroupMe).operation(Operation::Send);
    let slow = Latency::fixed(Duration::from_secs(5)).on(sends);
    let settings = format!("rate = \"unlimited\"\nconcurrency = {CONCURRENCY}\ntimeout = \"30s\"");
    let fleet = Fleet::on(on)
        .account(ACCOUNT, &settings)
        .faults(Faults::none().latency(slow))
        .start()
        .await;
    let url = fleet.url(Role::Worker);
    let ways = [Relay::to(&url).await, Relay::to(&url).await];
    let mut workers = Vec::new();
    for way in &ways {
        workers.push(fleet.worker_in(&[("TIDINGS_BROKER", way.url())]).await);
    }
    let processes: Vec<_> = workers.iter().map(|worker| worker.id()).collect();
    let ids = fleet.send(&messages(ACCOUNT, "m", 60)).await;
    let lost = Serving::one_of(&mut workers).await;
    let way = &ways[processes
        .iter()
        .position(|id| *id == lost.worker.id())
        .unwrap()];
    calls_under_way(&lost.worker, CONCURRENCY).await;
    some_are_in_hand(&fleet, &ids, CONCURRENCY).await;

    way.cut();
    let cut_at = Timestamp::now();
    // It still reaches the provider, and could go on with what it has in hand.
    calls_under_way(&lost.worker, 0).await;
    let lane = lost.worker.lane(ACCOUNT).await.unwrap();
    assert_eq!(lane.state, LaneState::Running, "it knows nothing yet");
    for (_, took) in lost.moved(&fleet, cut_at).await {
        assert!(took < after_a_freeze(on), "it moved in {took:?}");
    }

    fleet.sandbox.heal().await;
    way.heal();
    lost.worker.ready().await;
    assert!(workers.remove(0).terminate().await.success());
    let more = fleet.send(&messages(ACCOUNT, "more", 20)).await;
    let all: Vec<_> = ids.into_iter().chain(more).collect();
    all_were_sent_once(&fleet.reckon(&all).await, &all);
    let late = fleet
        .ledger
        .attempts_of_old_tenures(&lost.name, cut_at + FENCE);
    assert_eq!(late.await, []);
    assert!(lost.worker.terminate().await.success());
}

async fn calls_under_way(worker: &Worker, calls: u64) {
    eventually("so many calls are under way", async || {
        let lane = worker.lane(ACCOUNT).await;
        match lane {
            Some(lane) if lane.in_flight as u64 == calls => Ok(()),
            other => Err(other),
        }
    })
    .await;
}

/// What one lane does is no sign of life of another, nor the process's.
pub(crate) async fn a_lane_that_hangs_is_served_by_another_worker(on: On) {
    let fleet = Fleet::on(on)
        .account(ACCOUNT, "rate = \"20/s\"")
        .account("raven.idle", "")
        .settings("drain = \"1s\"")
        .start()
        .await;
    let hanging = fleet.worker_with(&["--hang-at", "attempted:5"]).await;
    let ids = fleet.send(&messages(ACCOUNT, "m", 40)).await;
    eventually("it says which lane stands still", async || {
        match hanging.page("/readyz").await {
            (503, why) if why.contains("groupme.ops stands still") => Ok(()),
            other => Err(other),
        }
    })
    .await;
    assert_eq!(hanging.page("/livez").await.0, 200);
    let other = fleet.worker().await;

    all_were_sent_once(&fleet.reckon(&ids).await, &ids);
    assert!(other.terminate().await.success());
    assert_eq!(hanging.terminate().await.code(), Some(1));
    assert!(
        hanging
            .log()
            .contains("lanes hung, and were left without a note: groupme.ops")
    );
}
