//! Limits that change while they are in use, as the provider sees them.

use std::time::Duration;

use jiff::Timestamp;
use tidings_sandbox::{Faults, Latency, Limit, Per, Rate};
use tidings_tests::{
    Lag, Signal, eventually,
    fleet::{Book, Fleet, On, Worker, messages, to},
    on_each_broker,
};

use super::{ACCOUNT, LAG, ordered, shows, ten_more};

on_each_broker! {
    limits_that_are_set_or_reloaded_are_what_the_provider_sees,
    bursts_and_destinations_limits_are_what_the_provider_sees_after_a_kill_and_a_reload,
}

/// How many calls were under way at once at the most, of those that arrived between two moments.
fn most_at_once(book: &Book, call: Duration, (from, to): (Timestamp, Timestamp)) -> usize {
    let call = i64::try_from(call.as_millis()).unwrap();
    let span = from.as_millisecond()..to.as_millisecond();
    let arrived = book
        .received
        .iter()
        .map(|one| i64::try_from(one.at_ms).unwrap());
    let arrived: Vec<i64> = arrived.filter(|at| span.contains(at)).collect();
    let under_way = |now: &i64| {
        arrived
            .iter()
            .filter(|at| (now - call + 1..=*now).contains(at))
            .count()
    };
    arrived.iter().map(under_way).max().unwrap_or_default()
}

async fn limits_that_are_set_or_reloaded_are_what_the_provider_sees(on: On) {
    const CALL: Duration = Duration::from_millis(400);
    let unlimited = |concurrency| format!("rate = \"unlimited\"\nconcurrency = {concurrency}");
    let mut fleet = Fleet::on(on)
        .account(ACCOUNT, &unlimited(8))
        .faults(Faults::none().latency(Latency::fixed(CALL)))
        .start()
        .await;
    let ids = fleet.send(&messages(ACCOUNT, "m", 400)).await;
    let under_way = async |worker: &Worker, count: usize| {
        shows(worker, "so many calls are under way", |lane| {
            lane.in_flight == count
        })
        .await;
        Timestamp::now()
    };
    let worker = fleet.worker().await;
    under_way(&worker, 8).await;
    ordered(&fleet, &["set", ACCOUNT, "--concurrency", "2"]).await;
    let from = under_way(&worker, 2).await;
    ten_more(&fleet).await;
    let next = fleet.worker().await;
    next.ready().await;
    assert!(worker.terminate().await.success());
    ten_more(&fleet).await;
    let set = (from, Timestamp::now());
    ordered(&fleet, &["set", ACCOUNT, "--reset"]).await;
    under_way(&next, 8).await;

    let reload = async |fleet: &mut Fleet, settings: &str| {
        fleet
            .reconfigure(|configuration| configuration.account(ACCOUNT, settings))
            .await;
        next.signal(Signal::HUP);
    };
    reload(&mut fleet, &unlimited(3)).await;
    let from = under_way(&next, 3).await;
    ten_more(&fleet).await;
    let reloaded = (from, Timestamp::now());

    reload(&mut fleet, "rate = \"10/s\"").await;
    shows(&next, "the rate is reloaded", |lane| {
        lane.rate.to_string() == "10/s"
    })
    .await;
    let limit = Limit::of(Rate::new(10, Duration::from_secs(1))).tolerance(LAG);
    fleet.sandbox.set_faults(&Faults::none().limit(limit)).await;
    ten_more(&fleet).await;
    assert_eq!(fleet.sandbox.summary().await.tally.violations, 0);
    // The rest need not be waited for.
    fleet.sandbox.heal().await;
    ordered(&fleet, &["set", ACCOUNT, "--rate", "unlimited"]).await;

    let reckoning = fleet.reckon(&ids).await;
    reckoning.adds_up(&[]);
    assert_eq!(reckoning.delivered(), ids.len());
    assert_eq!(most_at_once(&reckoning.book, CALL, set), 2);
    assert_eq!(most_at_once(&reckoning.book, CALL, reloaded), 3);
    assert!(next.terminate().await.success());
}

/// One a second, but so many at once after a while without any, and what this machine takes for them.
const BURST: usize = 6;
const AT_ONCE: Duration = Duration::from_secs(3);

async fn bursts_and_destinations_limits_are_what_the_provider_sees_after_a_kill_and_a_reload(
    on: On,
) {
    let second = Duration::from_secs(1);
    let plain = "rate = \"1/s\"\ndestination_rate = \"unlimited\"\nconcurrency = 16";
    let bursting =
        format!("rate = \"1/s\"\nburst = {BURST}\ndestination_rate = \"1/2s\"\nconcurrency = 16");
    let slow = Limit::of(Rate::new(1, 2 * second))
        .per(Per::Destination)
        .tolerance(LAG);
    let burst = Limit::of(Rate::new(1, second))
        .burst(u32::try_from(BURST).unwrap())
        .tolerance(LAG);
    let mut fleet = Fleet::on(on)
        .account(ACCOUNT, plain)
        .faults(Faults::none().limit(slow).limit(burst))
        .start()
        .await;
    let lag = Lag::measure();
    let worker = fleet.worker().await;
    let ids = fleet.send(&messages(ACCOUNT, "first", 1)).await;
    fleet.ended(&ids).await;
    let asked = ["set", ACCOUNT, "--burst", "6", "--destination-rate", "1/2s"];
    ordered(&fleet, &asked).await;
    worker.kill9().await;
    let worker = fleet.worker().await;
    come_at_once_and_to_one_destination_bit_by_bit(&fleet, "set", &lag).await;

    ordered(&fleet, &["set", ACCOUNT, "--reset"]).await;
    fleet
        .reconfigure(|configuration| configuration.account(ACCOUNT, &bursting))
        .await;
    worker.signal(Signal::HUP);
    worker.line("the configuration was reloaded").await;
    come_at_once_and_to_one_destination_bit_by_bit(&fleet, "reloaded", &lag).await;
    assert_eq!(fleet.sandbox.summary().await.tally.violations, 0);
    assert!(worker.terminate().await.success());
}

async fn come_at_once_and_to_one_destination_bit_by_bit(fleet: &Fleet, when: &str, lag: &Lag) {
    // The lane is opened by the first, and has done nothing for longer than its burst takes to come back.
    let ids = fleet
        .send(&[to(ACCOUNT, "opens", &format!("{when}-opens"))])
        .await;
    fleet.ended(&ids).await;
    let ended = Timestamp::now();
    eventually("the burst is back", async || {
        match Timestamp::now().duration_since(ended).as_secs() {
            7.. => Ok(()),
            other => Err(other),
        }
    })
    .await;
    let one_each: Vec<_> = (0..BURST)
        .map(|n| to(ACCOUNT, &format!("{when}-{n}"), &format!("{when}-{n}")))
        .collect();
    fleet.ended(&fleet.send(&one_each).await).await;
    let all_to_one: Vec<_> = (0..3)
        .map(|n| to(ACCOUNT, &format!("{when}-one"), &format!("{when}-one-{n}")))
        .collect();
    fleet.ended(&fleet.send(&all_to_one).await).await;
    let book = fleet.sandbox.book().await;
    let arrived = |id: String| i64::try_from(book.entry(&id).at_ms).unwrap();
    let mut at: Vec<i64> = (0..BURST).map(|n| arrived(format!("{when}-{n}"))).collect();
    at.sort_unstable();
    let (first, last) = (at[0], at[BURST - 1]);
    let took = Duration::from_millis((last - first).unsigned_abs());
    assert!(
        took < AT_ONCE + lag.stood_still((first, last)),
        "{when}: {at:?}"
    );
    let mut at: Vec<i64> = (0..3).map(|n| arrived(format!("{when}-one-{n}"))).collect();
    at.sort_unstable();
    assert!(at[2] - at[0] >= 4_000 - 250, "{when}: {at:?}");
}
