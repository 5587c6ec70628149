//! A lane that goes from one worker to another: how soon the next one serves it, and that the last one, whatever kept
//! it away, starts nothing any more.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tidings_broker::FENCE;
use tidings_model::{LaneState, WorkerId};
use tidings_sandbox::{Faults, Latency, On as Calls, Operation, Provider};
use tidings_tests::{
    Flavour, Relay, Signal, eventually,
    fleet::{Draft, Fleet, On, Reckoning, Role, Worker, messages},
    on_each_broker, on_rabbitmq_4_3,
};
use tokio::time::{Instant, sleep, sleep_until, timeout};

on_each_broker! {
    lanes_move_in_time,
    lanes_move_in_time_from_one_that_stops_in_no_time,
}

on_rabbitmq_4_3! {
    lanes_move_in_time,
}

/// These wait for long, and take next to no processor time.
mod idle {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_frozen_worker_starts_nothing_when_it_goes_on_embedded() {
        a_frozen_worker_starts_nothing_when_it_goes_on(On::Embedded, 30).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_frozen_worker_starts_nothing_when_it_goes_on_rabbitmq_3_10() {
        let on = On::RabbitMq(Flavour::Debian);
        a_frozen_worker_starts_nothing_when_it_goes_on(on, 90).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_frozen_worker_starts_nothing_when_it_goes_on_rabbitmq_4_3() {
        let on = On::RabbitMq(Flavour::V43);
        a_frozen_worker_starts_nothing_when_it_goes_on(on, 30).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_worker_frozen_in_a_write_stops_all_and_loses_nothing_embedded() {
        a_worker_frozen_in_a_write_stops_all_and_loses_nothing().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_lane_that_hangs_is_served_by_another_worker_embedded() {
        a_lane_that_hangs_is_served_by_another_worker(On::Embedded).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_lane_that_hangs_is_served_by_another_worker_rabbitmq_3_10() {
        a_lane_that_hangs_is_served_by_another_worker(On::RabbitMq(Flavour::Debian)).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_lane_with_slow_calls_moves_once_they_end_embedded() {
        a_lane_with_slow_calls_moves_once_they_end(On::Embedded).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_lane_with_slow_calls_moves_once_they_end_rabbitmq_3_10() {
        a_lane_with_slow_calls_moves_once_they_end(On::RabbitMq(Flavour::Debian)).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_worker_that_is_cut_off_from_the_broker_starts_nothing_rabbitmq_3_10() {
        let on = On::RabbitMq(Flavour::Debian);
        a_worker_that_is_cut_off_from_the_broker_starts_nothing(on).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_worker_that_is_cut_off_from_the_broker_starts_nothing_rabbitmq_4_3() {
        let on = On::RabbitMq(Flavour::V43);
        a_worker_that_is_cut_off_from_the_broker_starts_nothing(on).await;
    }
}

// What is promised, from what happens to one worker until another's first attempt.
const IN_ORDER: SignedDuration = SignedDuration::from_secs(1);

/// The embedded broker cannot tell why an owner renews its lease no more.
const LEASE: SignedDuration = SignedDuration::from_secs(10);

fn killed(on: On) -> SignedDuration {
    match on {
        On::Embedded => LEASE,
        On::RabbitMq(_) | On::OwnRabbitMq(_) => SignedDuration::from_secs(5),
    }
}

fn silently_lost(on: On) -> SignedDuration {
    match on {
        On::Embedded => LEASE,
        On::RabbitMq(_) | On::OwnRabbitMq(_) => SignedDuration::from_secs(25),
    }
}

const LANES: [&str; 4] = ["groupme.one", "groupme.two", "raven.three", "pingup.four"];

async fn with_a_backlog(on: On, faults: Faults) -> Fleet {
    let lane = |draft: Draft, lane: &&str| draft.account(lane, "rate = \"20/s\"");
    let draft = LANES.iter().fold(Fleet::on(on), lane);
    let fleet = draft.faults(faults).start().await;
    let backlog = LANES.iter().flat_map(|lane| messages(lane, "m", 1_000));
    fleet.send(&backlog.collect::<Vec<_>>()).await;
    fleet
}

/// It is gone before it would be due to announce anything.
async fn lanes_move_in_time_from_one_that_stops_in_no_time(on: On) {
    let fleet = with_a_backlog(on, Faults::none()).await;
    let mut workers = Vec::new();
    for _ in 0..3 {
        let worker = fleet.worker().await;
        worker.ready().await;
        workers.push(worker);
    }
    for _ in 0..2 {
        // Each has its share by then.
        sleep(Duration::from_secs(3)).await;
        let stopping = Serving::one_of(&mut workers).await;
        let stopped_at = Timestamp::now();
        stopping.worker.signal(Signal::TERM);
        for (lane, took) in stopping.moved(&fleet, stopped_at).await {
            assert!(took < IN_ORDER, "{lane} moved in {took:?} from SIGTERM");
        }
    }
}

async fn lanes_move_in_time(on: On) {
    let slow = Faults::none().latency(Latency::fixed(Duration::from_millis(100)));
    let fleet = with_a_backlog(on, slow).await;

    // Who comes takes its share. By chance that is nothing: then one more comes.
    let mut workers = vec![fleet.worker().await];
    while moves(&fleet).is_empty() {
        workers.push(fleet.worker().await);
        let _ = timeout(Duration::from_secs(3), some_lane_moves(&fleet)).await;
    }
    let stopping = Serving::one_of(&mut workers).await;
    let stopped_at = Timestamp::now();
    stopping.worker.signal(Signal::TERM);
    for (lane, took) in stopping.moved(&fleet, stopped_at).await {
        assert!(took < IN_ORDER, "{lane} moved in {took:?} from SIGTERM");
    }
    assert!(stopping.worker.exit().await.success());
    for (lane, gap) in moves(&fleet) {
        assert!(gap < IN_ORDER, "nobody served {lane} for {gap:?}");
    }

    let standing_by = fleet.worker().await;
    standing_by.ready().await;
    workers.push(standing_by);
    let killing = Serving::one_of(&mut workers).await;
    let killed_at = Timestamp::now();
    killing.worker.kill9().await;
    for (lane, took) in killing.moved(&fleet, killed_at).await {
        assert!(took < killed(on), "{lane} moved in {took:?} from kill -9");
    }
}

/// Longer than a lane whose loop hangs would be let be, and its successor would wait for a note.
async fn a_lane_with_slow_calls_moves_once_they_end(on: On) {
    let fleet = LANES
        .iter()
        .fold(Fleet::on(on), |draft, lane| {
            draft.account(lane, "timeout = \"45s\"")
        })
        .settings("drain = \"45s\"")
        .faults(Faults::none().latency(Latency::fixed(Duration::from_secs(30))))
        .start()
        .await;
    let first = fleet.worker().await;
    let one_each = LANES.iter().flat_map(|lane| messages(lane, "m", 1));
    let ids = fleet.send(&one_each.collect::<Vec<_>>()).await;
    eventually("each lane has its call under way", async || {
        let lanes = first.lanes().await;
        match lanes.iter().map(|lane| lane.in_flight).sum() {
            4 => Ok(()),
            calls => Err(calls),
        }
    })
    .await;
    // Who comes takes its share. By chance that is nothing: then one more comes.
    let mut others = Vec::new();
    let letting_go = async || {
        let lanes = first.lanes().await;
        lanes.iter().any(|lane| lane.state == LaneState::Draining)
    };
    while !letting_go().await {
        others.push(fleet.worker().await);
        sleep(Duration::from_secs(2)).await;
    }
    fleet.ended(&ids).await;
    assert_eq!(fleet.sandbox.summary().await.tally.calls, 4);
    assert!(!first.log().contains("hangs"), "{}", first.log());
}

async fn some_lane_moves(fleet: &Fleet) {
    while moves(fleet).is_empty() {
        sleep(Duration::from_millis(50)).await;
    }
}

/// Each time that a lane went from one worker to another, and for how long nobody started anything then.
fn moves(fleet: &Fleet) -> Vec<(&'static str, SignedDuration)> {
    let of_lane = |lane| {
        let mut attempts = fleet.ledger.attempts(lane);
        attempts.sort_by_key(|attempt| attempt.at);
        let pairs = attempts.windows(2);
        let moves = pairs.filter(|pair| pair[0].worker != pair[1].worker);
        let gaps = moves.map(|pair| (lane, pair[1].at.duration_since(pair[0].at)));
        gaps.collect::<Vec<_>>()
    };
    LANES.into_iter().flat_map(of_lane).collect()
}

/// A worker with the lanes that it serves.
struct Serving {
    worker: Worker,
    name: WorkerId,
    lanes: Vec<String>,
}

impl Serving {
    /// Takes out of these workers one that serves lanes.
    async fn one_of(workers: &mut Vec<Worker>) -> Self {
        let (index, name, lanes) = eventually("a worker serves lanes", async || {
            for (index, worker) in workers.iter().enumerate() {
                let mut lanes = worker.lanes().await;
                lanes.retain(|lane| lane.state == LaneState::Running);
                if let Some(lane) = lanes.first() {
                    let names = lanes.iter().map(|lane| lane.account.to_string());
                    return Ok((index, lane.owner.clone(), names.collect()));
                }
            }
            Err(())
        })
        .await;
        let worker = workers.swap_remove(index);
        Self {
            worker,
            name,
            lanes,
        }
    }

    /// How long after a moment another worker started something in each of its lanes.
    async fn moved(&self, fleet: &Fleet, since: Timestamp) -> Vec<(&str, SignedDuration)> {
        let mut moved = Vec::new();
        for lane in &self.lanes {
            let taken = eventually("another worker takes the lane", async || {
                let attempts = fleet.ledger.attempts(lane);
                let others = attempts
                    .iter()
                    .filter(|attempt| attempt.worker != self.name && attempt.at > since);
                others.map(|attempt| attempt.at).min().ok_or(attempts.len())
            });
            moved.push((lane.as_str(), taken.await.duration_since(since)));
        }
        moved
    }
}

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

async fn a_frozen_worker_starts_nothing_when_it_goes_on(on: On, seconds: u64) {
    const RATE: u64 = 5;
    let fleet = Fleet::on(on)
        .account(ACCOUNT, &format!("rate = \"{RATE}/s\""))
        .start()
        .await;
    let mut workers = vec![fleet.worker().await, fleet.worker().await];
    // Enough for those that serve meanwhile, and for a while after.
    let count = usize::try_from(RATE * (seconds + 10)).unwrap();
    let ids = fleet.send(&messages(ACCOUNT, "m", count)).await;
    let frozen = Serving::one_of(&mut workers).await;
    some_are_in_hand(&fleet, &ids, RATE).await;

    let frozen_at = fleet.freeze(&frozen.worker).await;
    let went_on = Instant::now() + Duration::from_secs(seconds);
    for (_, took) in frozen.moved(&fleet, frozen_at).await {
        assert!(took < silently_lost(on), "it moved in {took:?}");
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
async fn a_worker_frozen_in_a_write_stops_all_and_loses_nothing() {
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

async fn a_worker_that_is_cut_off_from_the_broker_starts_nothing(on: On) {
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
        assert!(took < silently_lost(on), "it moved in {took:?}");
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
async fn a_lane_that_hangs_is_served_by_another_worker(on: On) {
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
