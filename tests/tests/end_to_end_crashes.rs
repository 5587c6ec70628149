//! Workers that are killed: nothing is lost, and nobody gets more copies than the account allows.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use std::time::Duration;

use serde_json::Value;
use tidings_model::{LaneState, Reason};
use tidings_sandbox::{Fault, Faults, Latency, On as Calls, Operation, Provider};
use tidings_tests::{
    PATIENCE, eventually, eventually_within,
    fleet::{Fleet, On, Worker, messages, to},
    on_each_broker, on_rabbitmq_4_3,
};

on_each_broker! {
    a_worker_killed_twenty_times_loses_nothing_and_sends_nothing_twice,
    a_crash_before_the_record_loses_nothing,
    a_crash_after_the_record_repeats_no_call,
    a_crash_after_the_effect_repeats_no_call,
    a_crash_after_the_acknowledgement_repeats_no_call,
    a_worker_that_stands_by_takes_over_from_a_killed_one,
}

on_rabbitmq_4_3! {
    a_worker_killed_twenty_times_loses_nothing_and_sends_nothing_twice,
    a_worker_that_stands_by_takes_over_from_a_killed_one,
}

const KILLS: usize = 20;

/// Every so many calls get no answer.
const LOST_ANSWER: u64 = 25;

/// What a lane of the settings below holds: twice its concurrency.
const WINDOW: u64 = 6;

/// Small windows: a crash can make one window of each lane unknown, and most messages should not be.
const SMALL: &str = r#"
    rate = "200/s"
    destination_rate = "unlimited"
    concurrency = 3
    timeout = "1s"
    account_probe = "1s"
    retry = { max_attempts = 50, base = "1s", cap = "1s" }
"#;

async fn a_worker_killed_twenty_times_loses_nothing_and_sends_nothing_twice(on: On) {
    let parks = ["raven.parks", "pingup.parks"];
    let lanes = ["groupme.ops", "whatspie.retries", parks[0], parks[1]];
    let lose_answers = [
        Provider::GroupMe,
        Provider::WhatsPie,
        Provider::Raven,
        Provider::Pingup,
    ]
    .map(|provider| {
        let sends = Calls::from(provider).operation(Operation::Send);
        Fault::timeout()
            .after_recording()
            .on(sends)
            .every(LOST_ANSWER)
    });
    let park = format!("{SMALL}\non_unknown = \"park\"");
    let fleet = Fleet::on(on)
        .account(lanes[0], SMALL)
        .account(lanes[1], SMALL)
        .account(parks[0], &park)
        .account(parks[1], &park)
        .faults(
            lose_answers
                .into_iter()
                .fold(Faults::none(), Faults::fault)
                .latency(Latency::uniform(
                    Duration::from_millis(10),
                    Duration::from_millis(60),
                )),
        )
        .start()
        .await;
    let mut ids = Vec::new();
    load(&fleet, &lanes, "first", 60, &mut ids).await;

    for kill in 0..KILLS {
        load(&fleet, &lanes, &kill.to_string(), 15, &mut ids).await;
        let before = progress(&fleet, &lanes).await;
        let worker = fleet.worker().await;
        eventually("every lane makes calls and decides", async || {
            let now = progress(&fleet, &lanes).await;
            match now
                .iter()
                .zip(&before)
                .all(|(now, before)| *now >= before + 6)
            {
                true => Ok(()),
                false => Err((before.clone(), now)),
            }
        })
        .await;
        worker.kill9().await;
    }
    load(&fleet, &lanes, "last", 40, &mut ids).await;
    assert!(
        fleet.ledger.outcomes().len() < ids.len(),
        "all of this was under load"
    );
    let last = fleet.worker().await;

    let reckoning = fleet.reckon(&ids).await;
    reckoning.adds_up(&parks);
    for outcome in reckoning.outcomes.values() {
        let account = outcome.account().to_string();
        let parked = parks.contains(&account.as_str());
        match outcome.reason() {
            None => {}
            Some(Reason::UnknownOutcome) if parked => {}
            Some(reason) => panic!("{reason}: {outcome:?}"),
        }
    }
    let summary = &reckoning.book.summary;
    for provider in [Provider::GroupMe, Provider::Raven, Provider::Pingup] {
        assert_eq!(summary.provider(provider).repeats, 0, "{provider}");
    }
    let parked = reckoning.dead(Reason::UnknownOutcome);
    assert!(parked > 0, "the kills struck calls that nobody can look up");
    let lost_answers: u64 = [Provider::Raven, Provider::Pingup]
        .map(|provider| summary.provider(provider).calls.div_ceil(LOST_ANSWER))
        .iter()
        .sum();
    assert!(
        parked as u64 <= (KILLS * parks.len()) as u64 * WINDOW + lost_answers,
        "{parked} are parked, {lost_answers} for want of an answer: a kill makes one window of each lane unknown"
    );
    assert!(
        reckoning.delivered() > parked,
        "most are delivered; {parked} are parked"
    );
    assert!(last.terminate().await.success());
}

/// Sends so many more messages to each account, in several groups, and adds their ids.
async fn load(fleet: &Fleet, accounts: &[&str], name: &str, each: usize, ids: &mut Vec<String>) {
    let message = |account: &str, number: usize| {
        to(
            account,
            &format!("d{}", number % 4),
            &format!("{account}-{name}-{number}"),
        )
    };
    let messages: Vec<Value> = (0..each)
        .flat_map(|number| accounts.iter().map(move |account| message(account, number)))
        .collect();
    ids.extend(fleet.send(&messages).await);
}

/// How many calls were made for each account, and then how many decisions.
async fn progress(fleet: &Fleet, accounts: &[&str]) -> Vec<u64> {
    let summary = fleet.sandbox.summary().await;
    let calls = accounts.iter().map(|account| {
        let (provider, _) = account.split_once('.').expect("an account");
        let tally = summary
            .providers
            .iter()
            .find(|(known, _)| known.name() == provider);
        tally.map_or(0, |(_, tally)| tally.calls)
    });
    let decided = fleet.ledger.decided();
    let decisions = accounts
        .iter()
        .map(|account| decided.get(*account).copied().unwrap_or_default());
    calls.chain(decisions).collect()
}

async fn a_crash_before_the_record_loses_nothing(on: On) {
    crash_at("attempted", on).await;
}

async fn a_crash_after_the_record_repeats_no_call(on: On) {
    crash_at("recorded", on).await;
}

async fn a_crash_after_the_effect_repeats_no_call(on: On) {
    crash_at("effected", on).await;
}

async fn a_crash_after_the_acknowledgement_repeats_no_call(on: On) {
    crash_at("acknowledged", on).await;
}

/// Crashes a worker at that point of the first turn of a message: one that is delivered, one that is to be tried again, one
/// that is dead; of a provider that can be asked, and of one that cannot.
async fn crash_at(point: &str, on: On) {
    let accounts = [
        ("groupme.ops", Provider::GroupMe),
        ("whatspie.shop", Provider::WhatsPie),
    ];
    let faults = accounts
        .iter()
        .fold(Faults::none(), |faults, (_, provider)| {
            let sends_to = |to| {
                Calls::from(*provider)
                    .destination(to)
                    .operation(Operation::Send)
            };
            faults
                .fault(Fault::status(503).on(sends_to("again")).times(1))
                .fault(Fault::status(400).on(sends_to("refused")))
        });
    let fleet = Fleet::on(on)
        .account(accounts[0].0, SMALL)
        .account(accounts[1].0, SMALL)
        .faults(faults)
        .start()
        .await;
    let mut ids = Vec::new();
    for (account, provider) in accounts {
        for (destination, calls_needed) in [("well", 1), ("again", 2), ("refused", 1)] {
            let id = format!("{account}-{destination}");
            fleet.send(&[to(account, destination, &id)]).await;
            let crashing = fleet
                .worker_with(&["--crash-at", &format!("{point}:1")])
                .await;
            let status = crashing.exit().await;
            assert!(!status.success(), "{id}: it crashed: {status}");
            let was_decided = was_decided(&fleet, on, point, &id).await;

            // The next one settles it, and what stands behind it.
            let behind = format!("{id}-behind");
            let both = [
                id.clone(),
                fleet
                    .send(&[to(account, "behind", &behind)])
                    .await
                    .remove(0),
            ];
            let next = fleet.worker().await;
            fleet.ended(&both).await;
            assert!(next.terminate().await.success());
            let again = match destination {
                // Its first call failed, and the second is due anyway.
                "again" => 0,
                // Found in the index.
                "well" if provider == Provider::GroupMe => 0,
                _ => usize::from(!was_decided),
            };
            let sends = sends(&fleet, provider, destination).await;
            assert_eq!(
                sends,
                calls_needed + again,
                "{id} crashed {point}, decided: {was_decided}"
            );
            ids.extend(both);
        }
    }
    let reckoning = fleet.reckon(&ids).await;
    reckoning.adds_up(&[]);
    for (id, outcome) in &reckoning.outcomes {
        let wanted = id.ends_with("refused").then_some(Reason::Rejected);
        assert_eq!(outcome.reason(), wanted, "{outcome:?}");
    }
}

/// Whether the ledger has a decision about a message that a worker crashed with.
async fn was_decided(fleet: &Fleet, on: On, point: &str, id: &str) -> bool {
    if on == On::Embedded {
        // Record, effect and acknowledgement are one transaction, and a crash within it undoes them all.
        return point == "acknowledged";
    }
    if point != "attempted" {
        eventually("the decision is in the ledger", async || {
            let decisions = fleet.ledger.decisions_of(id);
            if decisions.is_empty() {
                Err("not yet")
            } else {
                Ok(())
            }
        })
        .await;
    }
    !fleet.ledger.decisions_of(id).is_empty()
}

/// How many calls were made to send to a destination.
async fn sends(fleet: &Fleet, provider: Provider, destination: &str) -> usize {
    let book = fleet.sandbox.book().await;
    let received = book
        .received
        .iter()
        .filter(|received| received.provider == provider && received.destination == destination);
    let refused = book.refused.iter().filter(|refused| {
        refused.provider == provider
            && refused.destination == destination
            && refused.operation == Operation::Send
    });
    received.count() + refused.count()
}

async fn a_worker_that_stands_by_takes_over_from_a_killed_one(on: On) {
    let promised = match on {
        On::Embedded => Duration::from_secs(10),
        On::RabbitMq(_) | On::OwnRabbitMq(_) => Duration::from_secs(5),
    };
    let account = "whatspie.shop";
    let fleet = Fleet::on(on)
        .account(account, &SMALL.replace("200/s", "20/s"))
        .start()
        .await;
    let (first, second) = (fleet.worker().await, fleet.worker().await);
    let ids = fleet.send(&messages(account, "m", 600)).await;
    let mut workers = vec![first, second];
    for round in 0..2 {
        let owner = owner(&workers, account).await;
        let killed = workers.swap_remove(owner);
        let lane = killed.lane(account).await;
        let name = lane.and_then(|lane| lane.owner).expect("its owner");
        killed.kill9().await;
        // A deadline that users are promised, not a measure of this machine.
        eventually_within(promised, "another worker delivers", async || {
            let decisions = fleet.ledger.decisions();
            let last = decisions
                .iter()
                .filter_map(|decision| decision.attempt.as_ref())
                .next_back();
            match last {
                Some(attempt) if attempt.worker != name => Ok(()),
                other => Err(format!("round {round}: {other:?}")),
            }
        })
        .await;
        workers.push(fleet.worker().await);
    }
    assert!(
        ids.len() > fleet.ledger.outcomes().len(),
        "all of this was under load"
    );
    for worker in &workers {
        assert!(worker.terminate().await.success());
    }
}

/// Which worker runs the lane, once one does and has delivered something.
async fn owner(workers: &[Worker], account: &str) -> usize {
    eventually_within(
        2 * PATIENCE,
        "a worker owns the lane and delivers",
        async || {
            let mut seen = Vec::new();
            for (index, worker) in workers.iter().enumerate() {
                let state = worker.lane(account).await.map(|lane| lane.state);
                let delivered = worker.metric("tidings_outcomes_total", "delivered").await;
                if state == Some(LaneState::Running) && delivered > 0.0 {
                    return Ok(index);
                }
                seen.push((state, delivered));
            }
            Err(seen)
        },
    )
    .await
}
