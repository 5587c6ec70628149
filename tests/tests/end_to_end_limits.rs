//! The limits hold for the fleet, and are used: at any moment, while workers come, stop, are killed and freeze.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tidings_model::{LaneState, Outcome, Record, Verdicted};
use tidings_sandbox::{Faults, Limit, On as Calls, Per, Provider, Rate};
use tidings_tests::{
    Flavour, Signal, eventually, eventually_within,
    fleet::{Book, Fleet, On, Worker, messages, to},
    on_each_broker,
};

/// A lane under a limit.
struct Limited {
    account: &'static str,
    provider: Provider,
    per_second: u32,
    burst: u32,
    backlog: usize,
}

const LANES: [Limited; 3] = [
    Limited {
        account: "raven.five",
        provider: Provider::Raven,
        per_second: 5,
        burst: 1,
        backlog: 800,
    },
    Limited {
        account: "pingup.fifty",
        provider: Provider::Pingup,
        per_second: 50,
        burst: 5,
        backlog: 8_000,
    },
    Limited {
        account: "groupme.fivehundred",
        provider: Provider::GroupMe,
        per_second: 500,
        burst: 10,
        backlog: 80_000,
    },
];

/// What the enforcing limiter lets pass: it counts from arrival to arrival, so that a call which a busy machine delays makes
/// the next ones look early. How much it really delayed is measured, and the windows are counted with that and no more.
const TOLERANCE: Duration = Duration::from_millis(250);

/// How long lanes may take to move: in order, after a kill, and from a worker that is frozen.
const IN_ORDER: Duration = Duration::from_secs(1);
const FROZEN: Duration = Duration::from_secs(25);

/// How long a fleet is watched while nothing happens to it.
const STEADY: Duration = Duration::from_secs(6);

const WINDOWS: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(20),
    Duration::from_secs(60),
];

fn after_a_kill(on: On) -> Duration {
    match on {
        On::Embedded => Duration::from_secs(10),
        _ => Duration::from_secs(5),
    }
}

/// How late this machine wakes who sleeps, measured all the while: in milliseconds since 1970, and for how long.
struct Lag {
    stalls: Arc<Mutex<Vec<(i64, Duration)>>>,
    stop: Arc<AtomicBool>,
}

impl Lag {
    fn measure() -> Self {
        const NAP: Duration = Duration::from_millis(1);
        let (stalls, stop) = (
            Arc::new(Mutex::new(Vec::new())),
            Arc::new(AtomicBool::new(false)),
        );
        let (stalled, stopped) = (stalls.clone(), stop.clone());
        thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                thread::sleep(NAP);
                let late = began.elapsed().saturating_sub(NAP);
                if late > NAP {
                    stalled
                        .lock()
                        .unwrap()
                        .push((Timestamp::now().as_millisecond(), late));
                }
            }
        });
        Self { stalls, stop }
    }

    fn worst(&self) -> Duration {
        let stalls = self.stalls.lock().unwrap();
        stalls
            .iter()
            .map(|(_, late)| *late)
            .max()
            .unwrap_or_default()
    }

    /// What was lost to stalls between two moments.
    fn lost(&self, (from, to): (i64, i64)) -> Duration {
        let stalls = self.stalls.lock().unwrap();
        let within = stalls.iter().filter(|(at, _)| (from..=to).contains(at));
        within.map(|(_, late)| *late).sum()
    }
}

impl Drop for Lag {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Watches for as long as nothing happens, and returns from when to when that was.
async fn steady() -> (i64, i64) {
    let from = Timestamp::now().as_millisecond();
    tokio::time::sleep(STEADY).await;
    (from, Timestamp::now().as_millisecond())
}

/// Which worker serves a lane.
async fn owner_of(workers: &[Worker], account: &str) -> usize {
    eventually("a worker serves the lane", async || {
        for (index, worker) in workers.iter().enumerate() {
            if let Some(lane) = worker.lane(account).await
                && lane.state == LaneState::Running
            {
                return Ok(index);
            }
        }
        Err(())
    })
    .await
}

mod replicas {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn limits_hold_and_are_used_embedded() {
        limits_hold_and_are_used(On::Embedded).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn limits_hold_and_are_used_rabbitmq_3_10() {
        limits_hold_and_are_used(On::RabbitMq(Flavour::Debian)).await;
    }
}

/// One worker, then four, of which one is killed and one freezes; then two.
async fn limits_hold_and_are_used(on: On) {
    let second = Duration::from_secs(1);
    let limits = LANES.iter().fold(Faults::none(), |faults, lane| {
        let limit = Limit::of(Rate::new(lane.per_second, second)).burst(lane.burst);
        faults.limit(limit.on(lane.provider).tolerance(TOLERANCE))
    });
    let fleet = LANES
        .iter()
        .fold(Fleet::on(on), |draft, lane| {
            draft.account(
                lane.account,
                &format!(
                    "rate = \"{}/s\"\nburst = {}\nconcurrency = 64",
                    lane.per_second, lane.burst
                ),
            )
        })
        .faults(limits)
        .start()
        .await;
    for lane in &LANES {
        fleet.send(&messages(lane.account, "m", lane.backlog)).await;
    }
    let fastest = LANES[2].account;
    let lag = Lag::measure();
    let mut watched = Vec::new();

    let mut workers = vec![fleet.worker().await];
    owner_of(&workers, fastest).await;
    tokio::time::sleep(IN_ORDER).await;
    watched.push(("one worker", steady().await));
    for _ in 0..3 {
        let worker = fleet.worker().await;
        worker.ready().await;
        workers.push(worker);
    }
    // Each is welcomed by the others, and takes its share.
    tokio::time::sleep(IN_ORDER * 3).await;
    watched.push(("four workers", steady().await));

    let killed = owner_of(&workers, fastest).await;
    workers.remove(killed).kill9().await;
    tokio::time::sleep(after_a_kill(on)).await;
    watched.push(("after a kill", steady().await));

    // A process that is stopped inside a transaction keeps the embedded broker's file locked.
    if on != On::Embedded {
        let frozen = owner_of(&workers, fastest).await;
        let lane = workers[frozen].lane(fastest).await.unwrap();
        let frozen_at = Timestamp::now();
        workers[frozen].signal(Signal::STOP);
        tokio::time::sleep(FROZEN).await;
        watched.push(("while one is frozen", steady().await));
        let thawed_at = Timestamp::now();
        workers[frozen].signal(Signal::CONT);
        workers[frozen].ready().await;
        tokio::time::sleep(FROZEN / 4).await;
        watched.push(("after it came back", steady().await));
        starts_nothing(&fleet, lane.owner.as_str(), frozen_at, thawed_at).await;
    }

    while workers.len() > 2 {
        let gone = owner_of(&workers, fastest).await;
        assert!(workers.remove(gone).terminate().await.success());
    }
    // One second for the lanes of each that stops.
    tokio::time::sleep(IN_ORDER * 2).await;
    watched.push(("two workers", steady().await));
    judge(&fleet, &lag, &watched).await;
}

/// A worker that was stopped for long starts no call of the tenures that it had.
async fn starts_nothing(fleet: &Fleet, worker: &str, frozen_at: Timestamp, thawed_at: Timestamp) {
    let mut opened: BTreeMap<String, Timestamp> = BTreeMap::new();
    let records = fleet.ledger.records().await;
    for record in &records {
        if let Record::Opened { tenure, at } = record
            && tenure.worker.as_str() == worker
            && *at >= thawed_at
        {
            opened.entry(tenure.account.to_string()).or_insert(*at);
        }
    }
    for record in &records {
        let Record::Decided(decision) = record else {
            continue;
        };
        let Some(attempt) = decision
            .attempt
            .as_ref()
            .filter(|attempt| attempt.worker.as_str() == worker)
        else {
            continue;
        };
        let again = opened.get(decision.account().as_str());
        // The signal takes a moment to be obeyed.
        let frozen = attempt.at > frozen_at + Duration::from_millis(200)
            && again.is_none_or(|at| attempt.at < *at);
        assert!(
            !frozen,
            "{attempt:?} of {} after {frozen_at}",
            decision.account()
        );
    }
}

async fn judge(fleet: &Fleet, lag: &Lag, watched: &[(&str, (i64, i64))]) {
    let book = fleet.sandbox.book().await;
    // A call can be held up before it is made, and on its way; the book counts in milliseconds.
    let slack = lag.worst() + slowest_way(fleet, &book) + Duration::from_millis(1);
    assert_eq!(
        book.summary.tally.violations, 0,
        "with a lag of {slack:?}: {:?}",
        book.summary
    );
    for lane in &LANES {
        let received = book
            .received
            .iter()
            .filter(|call| call.provider == lane.provider);
        let mut at: Vec<i64> = received
            .map(|call| i64::try_from(call.at_ms).unwrap())
            .collect();
        at.sort_unstable();
        assert!(
            at.len() < lane.backlog,
            "{}: there was a backlog all the while",
            lane.account
        );
        let rate = f64::from(lane.per_second);
        for window in WINDOWS {
            let most = most_within(&at, window);
            let allowed = rate * (window + slack).as_secs_f64() + f64::from(lane.burst);
            assert!(
                most as f64 <= allowed,
                "{}: {most} in {window:?}, with a lag of {slack:?}",
                lane.account
            );
        }
        for (when, span) in watched {
            let used = at
                .iter()
                .filter(|at| (span.0..span.1).contains(*at))
                .count();
            let length = Duration::from_millis((span.1 - span.0).unsigned_abs())
                .saturating_sub(lag.lost(*span));
            // At either end one call can fall outside.
            let due = 0.97 * rate * length.as_secs_f64() - 1.0;
            assert!(
                used as f64 >= due,
                "{}, {when}: {used} of {due:.0} calls in {length:?}",
                lane.account
            );
        }
    }
}

/// The longest time from the start of an attempt to its arrival, of those that were delivered.
fn slowest_way(fleet: &Fleet, book: &Book) -> Duration {
    let arrived: BTreeMap<&str, i64> = book
        .received
        .iter()
        .map(|call| (call.id.as_str(), i64::try_from(call.at_ms).unwrap()))
        .collect();
    let ways = fleet.ledger.decisions().into_iter().filter_map(|decision| {
        let Verdicted::Ended {
            outcome:
                Outcome::Delivered {
                    provider_message_id: Some(id),
                    ..
                },
            ..
        } = decision.verdicted
        else {
            return None;
        };
        let arrived = arrived.get(id.as_str())?;
        let started = decision.attempt?.at.as_millisecond();
        u64::try_from(arrived - started).ok()
    });
    Duration::from_millis(ways.max().expect("some were delivered"))
}

/// The most calls in any window of this length.
fn most_within(at: &[i64], window: Duration) -> usize {
    let window = i64::try_from(window.as_millis()).unwrap();
    let mut first = 0;
    let mut most = 0;
    for (last, now) in at.iter().enumerate() {
        while at[first] <= now - window {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

on_each_broker! {
    a_flooded_destination_delays_no_other_and_its_limit_holds,
}

/// A thousand destinations with a limit each; one of them has more than it can take in minutes.
async fn a_flooded_destination_delays_no_other_and_its_limit_holds(on: On) {
    let account = "whatspie.shop";
    let second = Duration::from_secs(1);
    let each = Limit::of(Rate::new(1, second))
        .per(Per::Destination)
        .tolerance(TOLERANCE);
    let all = Limit::of(Rate::new(100, second)).tolerance(TOLERANCE);
    let fleet = Fleet::on(on)
        .account(
            account,
            "rate = \"100/s\"\ndestination_rate = \"1/s\"\nconcurrency = 32",
        )
        .faults(
            Faults::none()
                .limit(each.on(Calls::from(Provider::WhatsPie)))
                .limit(all),
        )
        .start()
        .await;
    let flood: Vec<_> = (0..500)
        .map(|n| to(account, "flooded", &format!("f-{n}")))
        .collect();
    fleet.send(&flood).await;
    let rest: Vec<_> = (0..2_000)
        .map(|n| to(account, &format!("d-{}", n % 1_000), &format!("m-{n}")))
        .collect();
    let ids = fleet.send(&rest).await;
    let worker = fleet.worker().await;

    let outcomes = eventually_within(
        Duration::from_secs(180),
        "all others have ended",
        async || match fleet.ledger.open(&ids).len() {
            0 => Ok(fleet.ledger.outcomes()),
            open => Err(open),
        },
    )
    .await;
    let delivered = outcomes
        .values()
        .filter(|outcome| outcome.reason().is_none())
        .count();
    assert_eq!(delivered, outcomes.len(), "none is dead");
    let flooded = outcomes.len() - ids.len();
    assert!(
        flooded < flood.len() / 2,
        "{flooded} of the flood went by: the others waited for it"
    );
    let summary = fleet.sandbox.summary().await;
    assert_eq!(summary.tally.violations, 0, "{summary:?}");
    assert!(worker.terminate().await.success());
}
