//! Lanes that wait: for a provider that limits them, and for one that is down. Nothing is spent for it, and afterwards
//! they go on as fast as they may.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use tidings_model::{LaneState, Outcome, Record};
use tidings_sandbox::{Fault, Faults, Latency, On as Calls, Provider};
use tidings_tests::{
    Lag, Signal, eventually,
    fleet::{Book, Fleet, Limited, On, Worker, messages},
    on_each_broker,
};

on_each_broker! {
    a_rate_limit_is_waited_out_by_every_owner,
    a_rate_limit_that_does_not_say_for_how_long_is_waited_out_ever_longer,
    a_provider_that_is_down_costs_probes_and_is_caught_up_with_at_the_limit,
    the_next_owner_probes_where_the_last_one_left_off,
    a_provider_that_cannot_be_reached_costs_no_attempt,
    a_rate_limit_outlives_what_a_worker_reads_of_the_ledger,
}

const FAST: &str = "rate = \"unlimited\"\ndestination_rate = \"unlimited\"\n";

/// When a provider refused calls, in order.
fn refusals(book: &Book, provider: Provider) -> Vec<Duration> {
    let refused = book.refused.iter();
    let mine = refused.filter(|call| call.provider == provider);
    mine.map(|call| Duration::from_millis(call.at_ms)).collect()
}

/// When a provider recorded messages, in order.
fn arrivals(book: &Book, provider: Provider) -> Vec<Duration> {
    let received = book.received.iter();
    let mine = received.filter(|call| call.provider == provider);
    mine.map(|call| Duration::from_millis(call.at_ms)).collect()
}

/// The time between two calls, of which the book drops what is less than a millisecond.
fn waited(pair: &[Duration]) -> Duration {
    pair[1] - pair[0] + Duration::from_millis(1)
}

async fn all_are_paused(worker: &Worker) {
    eventually("the lanes are paused", async || {
        let lanes = worker.lanes().await;
        let paused = !lanes.is_empty() && lanes.iter().all(|lane| lane.state == LaneState::Paused);
        if paused { Ok(()) } else { Err(lanes) }
    })
    .await;
}

/// One pause during which the lane is kept, and one for which it is let go.
async fn a_rate_limit_is_waited_out_by_every_owner(on: On) {
    let lanes = [
        (
            "groupme.ops",
            Provider::GroupMe,
            420,
            Duration::from_secs(20),
        ),
        ("raven.crm", Provider::Raven, 429, Duration::from_secs(33)),
    ];
    let settings = format!("{FAST}\nconcurrency = 1");
    let mut draft = Fleet::on(on);
    let mut faults = Faults::none();
    for (account, provider, code, wait) in lanes {
        draft = draft.account(account, &settings);
        let refusal = Fault::status(code).retry_after(wait);
        faults = faults.fault(refusal.on(Calls::from(provider)).times(1));
    }
    let fleet = draft.faults(faults).start().await;
    let first = fleet.worker().await;
    let all: Vec<_> = lanes
        .iter()
        .flat_map(|(account, ..)| messages(account, "m", 10))
        .collect();
    let ids = fleet.send(&all).await;
    all_are_paused(&first).await;
    // One that crashes before it could write is told again by the provider.
    eventually("the ledger tells of the pauses", async || {
        let records = fleet.ledger.records().await;
        let paused = |record: &&Record| matches!(record, Record::Paused { .. });
        match records.iter().filter(paused).count() {
            count if count == lanes.len() => Ok(()),
            count => Err(count),
        }
    })
    .await;

    // Over a crash of the only worker, and over a handover.
    first.kill9().await;
    let second = fleet.worker().await;
    all_are_paused(&second).await;
    let third = fleet.worker().await;
    third.ready().await;
    assert!(second.terminate().await.success());
    all_are_paused(&third).await;

    let reckoning = fleet.reckon(&ids).await;
    reckoning.all_were_delivered_in_one_attempt();
    for (account, provider, _, wait) in lanes {
        let refused = refusals(&reckoning.book, provider);
        assert_eq!(refused.len(), 1, "{account}");
        let arrived = arrivals(&reckoning.book, provider);
        let waited = waited(&[refused[0], arrived[0]]);
        assert!(waited >= wait, "{account}: {waited:?}");
    }
    assert!(third.terminate().await.success());
}

/// The only worker was away for longer than it reads back.
async fn a_rate_limit_outlives_what_a_worker_reads_of_the_ledger(on: On) {
    let (account, provider) = ("raven.crm", Provider::Raven);
    let wait = Duration::from_secs(35);
    let refusal = Fault::status(429).retry_after(wait).times(1);
    let fleet = Fleet::on(on)
        .account(account, &format!("{FAST}\nconcurrency = 1"))
        .settings("remember = { time = \"8s\", messages = 1000 }")
        .faults(Faults::none().fault(refusal))
        .start()
        .await;
    let ids = fleet.send(&messages(account, "m", 5)).await;
    let first = fleet.worker().await;
    pauses_in_a_row(&fleet, 1).await;
    first.kill9().await;
    let gone = Timestamp::now();
    eventually("time passes", async || {
        match Timestamp::now().duration_since(gone).as_secs() {
            10.. => Ok(()),
            other => Err(other),
        }
    })
    .await;
    let second = fleet.worker().await;
    let reckoning = fleet.reckon(&ids).await;
    reckoning.all_were_delivered_in_one_attempt();
    let refused = refusals(&reckoning.book, provider);
    assert_eq!(refused.len(), 1);
    let arrived = arrivals(&reckoning.book, provider);
    let waited = waited(&[refused[0], arrived[0]]);
    assert!(waited >= wait, "{waited:?}");
    assert!(second.terminate().await.success());
}

async fn a_rate_limit_that_does_not_say_for_how_long_is_waited_out_ever_longer(on: On) {
    const CONCURRENCY: usize = 8;
    const PROBES: usize = 2;
    let call = Duration::from_millis(300);
    let (account, provider) = ("raven.crm", Provider::Raven);
    let fleet = Fleet::on(on)
        .account(account, &format!("{FAST}\nconcurrency = {CONCURRENCY}"))
        .faults(
            Faults::none()
                .fault(Fault::status(429).times((CONCURRENCY + PROBES) as u64))
                .latency(Latency::fixed(call)),
        )
        .start()
        .await;
    let ids = fleet.send(&messages(account, "m", 50)).await;
    let worker = fleet.worker().await;

    let reckoning = fleet.reckon(&ids).await;
    reckoning.all_were_delivered_in_one_attempt();
    let refused = refusals(&reckoning.book, provider);
    let arrived = arrivals(&reckoning.book, provider);
    assert_eq!(refused.len(), CONCURRENCY + PROBES);
    let probed: Vec<_> = [&refused[CONCURRENCY - 1..], &arrived[..1]].concat();
    for (pair, wait) in probed.windows(2).zip([1, 2, 4]) {
        let waited = waited(pair);
        assert!(
            waited >= Duration::from_secs(wait),
            "{waited:?} of {wait} s"
        );
    }
    assert!(
        arrived[1] - arrived[0] >= call,
        "the lane opens once one has passed"
    );
    assert!(worker.terminate().await.success());
}

/// An hour's backlog, at a pace that a test can wait for.
async fn a_provider_that_is_down_costs_probes_and_is_caught_up_with_at_the_limit(on: On) {
    const CONCURRENCY: usize = 4;
    const BACKLOG: usize = 2_500;
    /// After ten failures in a row the breaker opens; so many calls may have been under way.
    const TRIPPED: usize = 10 + CONCURRENCY;
    /// `account_probe` is 4 s.
    const WAITS: [Duration; 5] = [
        Duration::from_secs(1),
        Duration::from_secs(2),
        Duration::from_secs(4),
        Duration::from_secs(4),
        Duration::from_secs(4),
    ];
    let lane = Limited {
        account: "raven.crm",
        provider: Provider::Raven,
        destination: None,
        per_second: 100,
        burst: 20,
    };
    let fleet = Fleet::on(on)
        .account(
            lane.account,
            // A message that is called twice in vain is dead.
            &format!(
                "{}concurrency = {CONCURRENCY}\naccount_probe = \"4s\"\nretry = {{ max_attempts = 2, base = \"1s\", cap = \"1s\" }}",
                lane.settings()
            ),
        )
        .faults(Faults::none().fault(Fault::status(503)))
        .start()
        .await;
    let ids = fleet.send(&messages(lane.account, "m", BACKLOG)).await;
    let lag = Lag::measure_in_company();
    let began = Timestamp::now().as_millisecond();
    let worker = fleet.worker().await;
    let probed = eventually("the provider was probed often enough", async || {
        let book = fleet.sandbox.book().await;
        let refused = refusals(&book, lane.provider);
        let first_wait = refused.windows(2).position(|pair| waited(pair) >= WAITS[0]);
        match first_wait.map(|last| &refused[last..]) {
            Some(probed) if probed.len() > WAITS.len() => Ok(probed[..=WAITS.len()].to_vec()),
            _ => Err(refused),
        }
    })
    .await;
    let stood_still = lag.stood_still((began, Timestamp::now().as_millisecond()));
    fleet
        .sandbox
        .set_faults(&Faults::none().limit(lane.enforced()))
        .await;

    let reckoning = fleet.reckon(&ids).await;
    reckoning.adds_up(&[]);
    assert_eq!(reckoning.delivered(), BACKLOG);
    let book = &reckoning.book;
    assert_eq!(book.summary.tally.violations, 0, "{:?}", book.summary);
    let refused = book.refused.len();
    assert!(
        refused <= TRIPPED + WAITS.len() + 1,
        "{refused} calls in vain"
    );
    for (pair, wait) in probed.windows(2).zip(WAITS) {
        let waited = waited(pair);
        let due = wait..wait + Duration::from_secs(1) + stood_still;
        assert!(
            due.contains(&waited),
            "probed after {waited:?}, not {wait:?}, and this machine stood still for {stood_still:?}"
        );
    }
    let spent = |outcome: &Outcome| match outcome {
        Outcome::Delivered { attempts, .. } | Outcome::Dead { attempts, .. } => *attempts as usize,
    };
    let spent: usize = reckoning.outcomes.values().map(spent).sum();
    assert_eq!(
        spent,
        book.received.len() + refused,
        "only calls are attempts"
    );
    // Without its beginning and its end, where there may be no backlog.
    let at = lane.arrivals(book);
    let caught_up = (at[100], at[BACKLOG - 100]);
    let used = lane.is_kept_and_used(&fleet, book, &lag, &[("catching up", caught_up)]);
    assert_eq!(used, Ok(()));
    assert!(worker.terminate().await.success());
}

/// Neither a crash in the middle of a probe, nor another configuration, nor a handover lets more than one call through, or
/// makes the next wait shorter.
async fn the_next_owner_probes_where_the_last_one_left_off(on: On) {
    const COUNT: usize = 100;
    let (account, provider) = ("raven.crm", Provider::Raven);
    let settings = |concurrency| {
        format!(
            "{FAST}\nconcurrency = {concurrency}\naccount_probe = \"4s\"\non_unknown = \"retry\""
        )
    };
    let down = Faults::none().fault(Fault::status(503));
    let mut fleet = Fleet::on(on)
        .account(account, &settings(4))
        .faults(down.clone())
        .start()
        .await;
    let ids = fleet.send(&messages(account, "m", COUNT)).await;
    let first = fleet.worker().await;
    pauses_in_a_row(&fleet, 3).await;
    let hangs = Faults::none().fault(Fault::timeout());
    fleet.sandbox.set_faults(&hangs).await;
    let before = calls(&fleet, provider).await;
    eventually("a probe hangs", async || {
        match calls(&fleet, provider).await - before {
            1 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    first.kill9().await;
    fleet.sandbox.set_faults(&down).await;

    let second = fleet.worker().await;
    pauses_in_a_row(&fleet, 4).await;
    assert_eq!(calls(&fleet, provider).await - before, 2, "after a crash");
    fleet
        .reconfigure(|configuration| configuration.account(account, &settings(8)))
        .await;
    second.signal(Signal::HUP);
    pauses_in_a_row(&fleet, 5).await;
    assert_eq!(calls(&fleet, provider).await - before, 3, "after a reload");
    let third = fleet.worker().await;
    third.ready().await;
    assert!(second.terminate().await.success());
    pauses_in_a_row(&fleet, 6).await;
    assert_eq!(
        calls(&fleet, provider).await - before,
        4,
        "after a handover"
    );

    fleet.sandbox.heal().await;
    let reckoning = fleet.reckon(&ids).await;
    assert_eq!(reckoning.delivered(), COUNT);
    let records = fleet.ledger.records().await;
    assert!(
        records
            .iter()
            .any(|record| matches!(record, Record::Reopened { .. })),
        "who comes next need not probe"
    );
    let mut waits = BTreeMap::new();
    for record in records {
        if let Record::Paused { paused, .. } = record {
            let wait = paused.until.duration_since(paused.at).as_secs();
            waits.insert(paused.streak, wait);
        }
    }
    let waits: Vec<_> = waits.into_iter().collect();
    assert_eq!(waits, [(1, 1), (2, 2), (3, 4), (4, 4), (5, 4), (6, 4)]);
    assert!(third.terminate().await.success());
}

/// Nothing was sent, whatever was tried: a message that may be attempted once outlasts all of it.
async fn a_provider_that_cannot_be_reached_costs_no_attempt(on: On) {
    const COUNT: usize = 100;
    let account = "raven.crm";
    let settings = format!(
        "{FAST}\nconcurrency = 4\naccount_probe = \"2s\"\nretry = {{ max_attempts = 1, base = \"1s\", cap = \"1s\" }}"
    );
    let mut fleet = Fleet::on(on).account(account, &settings).start().await;
    fleet.sandbox.vanish().await;
    let ids = fleet.send(&messages(account, "m", COUNT)).await;
    let worker = fleet.worker().await;
    pauses_in_a_row(&fleet, 4).await;
    let lane = worker.lane(account).await.unwrap();
    assert_eq!(lane.why.as_deref(), Some("the provider is failing"));
    assert!(fleet.ledger.outcomes().is_empty(), "nothing is burned");
    let not_sent = format!("account=\"{account}\",verdict=\"not-sent\"");
    let tried = worker.metric("tidings_attempts_total", &not_sent).await;
    // The breaker opens after ten, with four under way, and then probes.
    assert!((10.0..20.0).contains(&tried), "{tried} calls were tried");

    fleet.sandbox.come_back().await;
    let reckoning = fleet.reckon(&ids).await;
    assert_eq!(reckoning.delivered(), COUNT);
    reckoning.all_were_delivered_in_one_attempt();
    assert!(worker.terminate().await.success());
}

/// Waits until the ledger tells of so many pauses without a successful probe between them.
async fn pauses_in_a_row(fleet: &Fleet, count: u32) {
    eventually("a further pause", async || {
        let records = fleet.ledger.records().await;
        let streaks = records.iter().filter_map(|record| match record {
            Record::Paused { paused, .. } => Some(paused.streak),
            _ => None,
        });
        match streaks.max() {
            Some(streak) if streak >= count => Ok(()),
            other => Err(other),
        }
    })
    .await;
}

async fn calls(fleet: &Fleet, provider: Provider) -> u64 {
    fleet.sandbox.summary().await.provider(provider).calls
}
