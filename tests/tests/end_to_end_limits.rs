//! The limits hold for the fleet, and are used: at any moment, while workers come, stop, are killed and freeze.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use std::time::Duration;

use jiff::Timestamp;
use tidings_model::LaneState;
use tidings_sandbox::{Fault, Faults, Limit, Provider, Rate, Received};
use tidings_tests::{
    Lag, Signal, eventually, eventually_within,
    fleet::{
        AFTER_A_KILL, Book, Fleet, IN_ORDER, Limited, On, TOLERANCE, Worker, after_a_freeze,
        message, messages, to,
    },
    on_each_broker,
};

const LANES: [Limited; 4] = [
    Limited {
        account: "raven.five",
        provider: Provider::Raven,
        destination: None,
        per_second: 5,
        burst: 1,
    },
    Limited {
        account: "pingup.fifty",
        provider: Provider::Pingup,
        destination: None,
        per_second: 50,
        burst: 5,
    },
    Limited {
        account: "groupme.fivehundred",
        provider: Provider::GroupMe,
        destination: None,
        per_second: 500,
        burst: 10,
    },
    Limited {
        account: "grupo.twenty",
        provider: Provider::Grupo,
        destination: None,
        per_second: 20,
        burst: 2,
    },
];

/// A lane whose provider takes calls and never answers: none of the others may notice.
const HANGING: &str = "whatspie.hangs";

/// Longer than any of this takes.
const BACKLOG_SECONDS: u32 = 130;

/// How long a fleet is watched while nothing happens to it.
const STEADY: Duration = Duration::from_secs(4);

/// Watches for as long as nothing happens, and returns from when to when that was.
async fn steady() -> (i64, i64) {
    steady_for(STEADY).await
}

async fn steady_for(span: Duration) -> (i64, i64) {
    let from = Timestamp::now().as_millisecond();
    tokio::time::sleep(span).await;
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

/// How often it is tried to see the limits used to the full: a shared machine that stands still for a second shows nothing.
const TRIES: usize = 3;

/// That they hold must be seen each time.
async fn limits_hold_and_are_used(on: On) {
    let mut seen = Vec::new();
    while seen.len() < TRIES {
        match limits_hold_while_workers_come_and_go(on).await {
            Ok(()) => return,
            Err(unused) => seen.push(unused),
        }
    }
    panic!("the limits were not used: {seen:#?}");
}

/// One worker, then four, of which one is killed and one freezes; then two. Says where a limit was not used to the full.
async fn limits_hold_while_workers_come_and_go(on: On) -> Result<(), String> {
    let hangs = "rate = \"unlimited\"\ndestination_rate = \"unlimited\"\ntimeout = \"10m\"\nconcurrency = 8";
    // Whoever stops does not wait for what hangs.
    let mut draft = Fleet::on(on)
        .settings("drain = \"1s\"")
        .account(HANGING, hangs);
    let mut limits = Faults::none().fault(Fault::timeout().on(Provider::WhatsPie));
    for lane in &LANES {
        draft = draft.account(
            lane.account,
            &format!("{}concurrency = 64", lane.settings()),
        );
        limits = limits.limit(lane.enforced());
    }
    let fleet = draft.faults(limits).start().await;
    for lane in &LANES {
        fleet
            .send(&messages(lane.account, "m", backlog(lane)))
            .await;
    }
    fleet.send(&messages(HANGING, "m", 100)).await;
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
    tokio::time::sleep(AFTER_A_KILL).await;
    watched.push(("after a kill", steady().await));

    let (slowest, middle) = (LANES[0].account, LANES[1].account);
    let frozen = owner_of(&workers, middle).await;
    let lane = workers[frozen].lane(middle).await;
    let name = lane.and_then(|lane| lane.owner).unwrap();
    let frozen_at = fleet.freeze(&workers[frozen]).await;
    tokio::time::sleep(after_a_freeze(on)).await;
    watched.push(("while one is frozen", steady().await));
    workers[frozen].signal(Signal::CONT);
    workers[frozen].ready().await;
    tokio::time::sleep(IN_ORDER * 3).await;
    watched.push(("after it came back", steady().await));
    let late = fleet.ledger.attempts_of_old_tenures(&name, frozen_at).await;
    assert!(late.is_empty(), "{late:?}");

    while workers.len() > 2 {
        let gone = owner_of(&workers, slowest).await;
        assert!(workers.remove(gone).terminate().await.success());
    }
    // One second for the lanes of each that stops.
    tokio::time::sleep(IN_ORDER * 2).await;
    watched.push(("two workers", steady().await));
    let book = fleet.sandbox.book().await;
    assert_eq!(book.summary.tally.violations, 0, "{:?}", book.summary);
    let hanging = book.summary.provider(Provider::WhatsPie).calls;
    assert!(hanging >= 8, "{hanging} calls hang");
    let used = LANES.map(|lane| {
        let sent = lane.arrivals(&book).len();
        assert!(sent < backlog(&lane), "there was a backlog all the while");
        lane.is_kept_and_used(&fleet, &book, &lag, &watched)
    });
    used.into_iter().collect()
}

fn backlog(lane: &Limited) -> usize {
    (BACKLOG_SECONDS * lane.per_second) as usize
}

on_each_broker! {
    limits_hold_and_are_used,
    a_flooded_destination_delays_no_other_and_its_limit_holds,
}

/// One of a thousand destinations, which has more than it can take in minutes.
const FLOODED: Limited = Limited {
    account: "whatspie.shop",
    provider: Provider::WhatsPie,
    destination: Some("flooded"),
    per_second: 1,
    burst: 1,
};

/// A destination that may be called once a second is watched for longer.
const LONGER: Duration = Duration::from_secs(6);

/// A lane without limits, which tells how late the broker itself is on a machine that does other things as well.
const CALM: &str = "raven.calm";

/// A thousand destinations with a limit each get their messages bit by bit; one of them is flooded. Their lane goes from worker
/// to worker meanwhile.
async fn a_flooded_destination_delays_no_other_and_its_limit_holds(on: On) {
    let mut seen = Vec::new();
    while seen.len() < TRIES {
        match a_flooded_destination_and_a_thousand_others(on).await {
            Ok(()) => return,
            Err(unused) => seen.push(unused),
        }
    }
    panic!("the limits were not used: {seen:#?}");
}

async fn a_flooded_destination_and_a_thousand_others(on: On) -> Result<(), String> {
    let many = FLOODED.account;
    let settings = format!("{}rate = \"500/s\"\nconcurrency = 32", FLOODED.settings());
    let all = Limit::of(Rate::new(500, Duration::from_secs(1))).tolerance(TOLERANCE);
    let faults = Faults::none().limit(FLOODED.enforced()).limit(all);
    let fleet = Fleet::on(on)
        .account(many, &settings)
        .account(
            CALM,
            "rate = \"unlimited\"\ndestination_rate = \"unlimited\"",
        )
        .faults(faults)
        .start()
        .await;
    let flood: Vec<_> = (0..500)
        .map(|n| to(many, "flooded", &format!("f-{n}")))
        .collect();
    fleet.send(&flood).await;
    let mut rest: Vec<_> = (0..2_000)
        .map(|n| to(many, &format!("d-{}", n % 1_000), &format!("m-{n}")))
        .collect();
    for (number, message) in (0..).zip(&mut rest) {
        message["delay"] = format!("{}s", wait_of(number)).into();
    }
    // Ten of them in each second.
    rest.extend((0..2_000).step_by(5).map(|number| {
        let mut message = message(CALM, &format!("c-{number}"));
        message["delay"] = format!("{}s", wait_of(number)).into();
        message
    }));
    let ids = fleet.send(&rest).await;
    let sent = Timestamp::now().as_millisecond();
    let lag = Lag::measure_in_company();
    let mut watched = Vec::new();

    let mut workers = vec![fleet.worker().await, fleet.worker().await];
    owner_of(&workers, many).await;
    tokio::time::sleep(IN_ORDER * 3).await;
    watched.push(("two workers", steady_for(LONGER * 2).await));
    let killed = owner_of(&workers, many).await;
    workers.remove(killed).kill9().await;
    tokio::time::sleep(AFTER_A_KILL).await;
    watched.push(("after a kill", steady_for(LONGER).await));
    for _ in 0..2 {
        let next = fleet.worker().await;
        next.ready().await;
        workers.push(next);
    }
    tokio::time::sleep(IN_ORDER * 2).await;
    let stopped = owner_of(&workers, many).await;
    assert!(workers.remove(stopped).terminate().await.success());
    tokio::time::sleep(IN_ORDER).await;
    watched.push(("after a stop", steady_for(LONGER).await));
    let frozen = owner_of(&workers, many).await;
    fleet.freeze(&workers[frozen]).await;
    tokio::time::sleep(after_a_freeze(on)).await;
    watched.push(("while one is frozen", steady_for(LONGER).await));
    workers[frozen].signal(Signal::CONT);
    workers[frozen].ready().await;
    tokio::time::sleep(IN_ORDER * 3).await;
    watched.push(("after it came back", steady_for(LONGER).await));

    eventually_within(
        Duration::from_secs(180),
        "the others end",
        async || match fleet.ledger.open(&ids).len() {
            0 => Ok(()),
            open => Err(open),
        },
    )
    .await;
    let outcomes = fleet.ledger.outcomes();
    let delivered = outcomes
        .values()
        .filter(|outcome| outcome.reason().is_none());
    assert_eq!(delivered.count(), outcomes.len(), "none is dead");
    let book = fleet.sandbox.book().await;
    let (_, quiet) = watched[0];
    the_others_are_on_time(&book, &lag, sent, quiet)?;
    assert_eq!(book.summary.tally.violations, 0, "{:?}", book.summary);
    for worker in workers {
        assert!(worker.terminate().await.success());
    }
    FLOODED.is_kept_and_used(&fleet, &book, &lag, &watched)
}

/// Of what is due in one second all may go in the next one.
const ON_TIME: Duration = Duration::from_secs(3);

/// Those that fell due in a span in which the lane did not move, and long enough before its end: they are no later than those of a
/// lane that has nothing to do with the flood.
///
/// # Errors
/// Where this machine stood still for most of it.
fn the_others_are_on_time(
    book: &Book,
    lag: &Lag,
    sent: i64,
    span: (i64, i64),
) -> Result<(), String> {
    let calm = lateness(book, "c-", sent);
    let others = lateness(book, "m-", sent);
    let mut looked_at = 0;
    for (number, late) in others {
        let due = sent + 1_000 * wait_of(number);
        let in_that_second = calm
            .iter()
            .filter(|(calm, _)| wait_of(*calm) == wait_of(number));
        let calm = in_that_second.map(|(_, late)| *late).max().unwrap();
        let allowed = ON_TIME + calm.max(lag.stood_still((due, span.1)));
        if due < span.0 || due + i64::try_from(allowed.as_millis()).unwrap() > span.1 {
            continue;
        }
        looked_at += 1;
        assert!(
            late <= allowed,
            "m-{number} was {late:?} late of {allowed:?}; those without a flood {calm:?}"
        );
    }
    match looked_at > 100 {
        true => Ok(()),
        false => Err(format!("{looked_at} fell due while nothing happened")),
    }
}

/// How late each of these arrived, by its number.
fn lateness(book: &Book, name: &str, sent: i64) -> Vec<(i64, Duration)> {
    let late = |received: &Received| {
        let text = received.body.as_ref()?["message"].as_str()?;
        let number: i64 = text.strip_prefix(name)?.parse().ok()?;
        let at = i64::try_from(received.at_ms).ok()?;
        let late = at - (sent + 1_000 * wait_of(number));
        Some((
            number,
            Duration::from_millis(u64::try_from(late).unwrap_or_default()),
        ))
    };
    book.received.iter().filter_map(late).collect()
}

/// In so many seconds each of the others is due: fifty a second.
fn wait_of(number: i64) -> i64 {
    1 + number / 50
}
