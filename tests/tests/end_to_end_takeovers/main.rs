//! A lane that goes from one worker to another: how soon the next one serves it, and that the last one, whatever kept
//! it away, starts nothing any more.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

mod lost;

use std::time::Duration;

use jiff::Timestamp;
use tidings_model::{LaneState, WorkerId};
use tidings_sandbox::{Faults, Latency};
use tidings_tests::{
    Flavour, Signal, eventually,
    fleet::{AFTER_A_KILL, Draft, Fleet, IN_ORDER, On, Worker, messages},
    on_each_broker, on_rabbitmq_4_3,
};
use tokio::time::{sleep, timeout};

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
        lost::a_frozen_worker_starts_nothing_when_it_goes_on(On::Embedded).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_frozen_worker_starts_nothing_when_it_goes_on_rabbitmq_3_10() {
        let on = On::RabbitMq(Flavour::Debian);
        lost::a_frozen_worker_starts_nothing_when_it_goes_on(on).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_frozen_worker_starts_nothing_when_it_goes_on_rabbitmq_4_3() {
        let on = On::RabbitMq(Flavour::V43);
        lost::a_frozen_worker_starts_nothing_when_it_goes_on(on).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_worker_frozen_in_a_write_stops_all_and_loses_nothing_embedded() {
        lost::a_worker_frozen_in_a_write_stops_all_and_loses_nothing().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_lane_that_hangs_is_served_by_another_worker_embedded() {
        lost::a_lane_that_hangs_is_served_by_another_worker(On::Embedded).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_lane_that_hangs_is_served_by_another_worker_rabbitmq_3_10() {
        lost::a_lane_that_hangs_is_served_by_another_worker(On::RabbitMq(Flavour::Debian)).await;
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
        lost::a_worker_that_is_cut_off_from_the_broker_starts_nothing(on).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_worker_that_is_cut_off_from_the_broker_starts_nothing_rabbitmq_4_3() {
        let on = On::RabbitMq(Flavour::V43);
        lost::a_worker_that_is_cut_off_from_the_broker_starts_nothing(on).await;
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
        assert!(took < AFTER_A_KILL, "{lane} moved in {took:?} from kill -9");
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

fn between(from: Timestamp, to: Timestamp) -> Duration {
    to.duration_since(from).unsigned_abs()
}

/// Each time that a lane went from one worker to another, and for how long nobody started anything then.
fn moves(fleet: &Fleet) -> Vec<(&'static str, Duration)> {
    let of_lane = |lane| {
        let mut attempts = fleet.ledger.attempts(lane);
        attempts.sort_by_key(|attempt| attempt.at);
        let pairs = attempts.windows(2);
        let moves = pairs.filter(|pair| pair[0].worker != pair[1].worker);
        let gaps = moves.map(|pair| (lane, between(pair[0].at, pair[1].at)));
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
                    let Some(name) = lane.owner.clone() else {
                        continue;
                    };
                    return Ok((index, name, names.collect()));
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
    async fn moved(&self, fleet: &Fleet, since: Timestamp) -> Vec<(&str, Duration)> {
        let mut moved = Vec::new();
        for lane in &self.lanes {
            let taken = eventually("another worker takes the lane", async || {
                let attempts = fleet.ledger.attempts(lane);
                let others = attempts
                    .iter()
                    .filter(|attempt| attempt.worker != self.name && attempt.at > since);
                others.map(|attempt| attempt.at).min().ok_or(attempts.len())
            });
            moved.push((lane.as_str(), between(since, taken.await)));
        }
        moved
    }
}
