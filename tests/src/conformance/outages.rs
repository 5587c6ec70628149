//! The broker goes away, stands still, or takes nothing; and comes back.

use std::{collections::BTreeSet, time::Duration};

use futures::StreamExt;
use jiff::Timestamp;
use tidings_broker::{
    Broker, BrokerError, Effect, FENCE, LaneName, PublishError, ReadFrom, ReadUntil,
};
use tidings_model::{Record, Tenure};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    announcing::announcement,
    delaying::assert_on_time,
    fixture::{Fixture, OPS, OwnNode, Version, account},
    in_time,
    load::Load,
    owner::Owner,
    reading::{following, try_decided},
    sending::{Differently, from_now, id, message, number, queue, seconds, send},
};
use crate::{Lag, eventually};

async fn becomes(broker: &dyn Broker, connected: bool) {
    let what = if connected {
        "the connection to come back"
    } else {
        "the connection to break"
    };
    let mut state = broker.connected();
    in_time(what, state.wait_for(|state| *state == connected))
        .await
        .expect("the broker lives");
}

/// Waits until the broker is back with all that a lane needs: for a moment after its start it knows neither the ledger (what is
/// settled then loses its lane) nor what leads to the lane. A worker waits too: it writes that its tenure begins.
async fn is_back(broker: &dyn Broker) {
    becomes(broker, true).await;
    in_time("the ledger", broker.append(vec![opened(100)]))
        .await
        .expect("the ledger takes a record");
    eventually("the lane", async || {
        let sent = send(broker, message(BACK)).await;
        match sent {
            Err(PublishError::Away(why)) => Err(why),
            sent => {
                sent.expect("it is confirmed");
                Ok(())
            }
        }
    })
    .await;
}

/// The message that [`is_back`] left in the lane.
const BACK: usize = 1_000;

pub async fn what_is_asked_while_the_broker_is_away_fails_by_name<V: Version>(
    fixture: &mut OwnNode<V>,
) {
    let broker = fixture.connect("worker").await;
    let owner = Owner::of_ops(&*broker, 1).await;
    fixture.node.stop().await;
    becomes(&*broker, false).await;
    owner.lost().await;
    let published = send(&*broker, message(0)).await;
    assert!(
        matches!(published, Err(PublishError::Away(_))),
        "{published:?}"
    );
    let place = Owner::try_of(&*broker, LaneName::Account(account(OPS)), 1).await;
    assert!(matches!(place.err(), Some(BrokerError::Away { .. })));
    let appended = in_time("an answer", broker.append(vec![opened(1)])).await;
    assert!(
        matches!(appended, Err(BrokerError::Away { .. })),
        "{appended:?}"
    );
    let depth = in_time("an answer", broker.depth(&account(OPS))).await;
    assert!(matches!(depth, Err(BrokerError::Away { .. })), "{depth:?}");
    let ledger = in_time("an answer", broker.ledger(ReadFrom::First, ReadUntil::Now)).await;
    assert!(matches!(ledger.err(), Some(BrokerError::Away { .. })));

    fixture.node.start().await;
    is_back(&*broker).await;
    let mut owner = Owner::of_ops(&*broker, 1).await;
    assert_eq!(
        owner.finish(1).await,
        [BACK],
        "what failed as not published was not published"
    );
}

fn opened(number: u64) -> Record {
    Record::Opened {
        tenure: Tenure {
            account: account(OPS),
            worker: "worker".into(),
            number,
        },
        at: Timestamp::now(),
    }
}

pub async fn nothing_is_lost_when_the_broker_is_killed_under_load<V: Version>(
    fixture: &mut OwnNode<V>,
) {
    let onlooker = fixture.connect("onlooker").await;
    let load = Load::on(fixture).await;
    some_have_passed(&*onlooker, 500).await;
    fixture.node.kill9().await;
    sleep(seconds(1)).await;
    fixture.node.start().await;
    becomes(&*onlooker, true).await;
    some_have_passed(&*onlooker, 500).await;
    fixture.node.stop().await;
    fixture.node.start().await;
    becomes(&*onlooker, true).await;
    load.assert_nothing_is_lost().await;
}

pub async fn nothing_is_lost_when_the_broker_is_away_for_a_minute<V: Version>(
    fixture: &mut OwnNode<V>,
) {
    let onlooker = fixture.connect("onlooker").await;
    let load = Load::on(fixture).await;
    some_have_passed(&*onlooker, 500).await;
    fixture.node.stop().await;
    sleep(seconds(60)).await;
    fixture.node.start().await;
    becomes(&*onlooker, true).await;
    load.assert_nothing_is_lost().await;
}

/// Follows the ledger until it has told of so many more.
async fn some_have_passed(onlooker: &dyn Broker, count: usize) {
    // Right after its start a broker may not have the ledger yet.
    let mut entries = eventually("the ledger", async || {
        onlooker.ledger(ReadFrom::Next, ReadUntil::Forever).await
    })
    .await;
    let mut passed = 0;
    while passed < count {
        passed += following(&mut entries, 1).await[0].records().count();
    }
}

/// What had to go from level to level while the broker was away is late by as long as that, since the next level holds it for
/// its whole time; the others are as punctual as ever.
pub async fn delays_go_on_over_a_restart<V: Version>(fixture: &mut OwnNode<V>) {
    const SECONDS: usize = 40;
    const EACH: usize = 20;
    let lag = Lag::measure();
    let worker = fixture.connect("worker").await;
    let wait = |n: usize| seconds(1 + (n / EACH) as u64);
    let all = (0..SECONDS * EACH).map(|n| message(n).due(from_now(wait(n))));
    queue(&*worker, all).await;
    let left = Timestamp::now();
    fixture.node.stop().await;
    fixture.node.start().await;
    is_back(&*worker).await;
    let back = Timestamp::now();
    let away = Duration::try_from(back.duration_since(left)).expect("a while");
    let mut owner = Owner::of_ops(&*worker, 50).await;
    let mut seen = BTreeSet::new();
    while seen.len() < SECONDS * EACH {
        let delivery = owner.next().await;
        let n = number(&delivery);
        if n != BACK {
            // Its longest level comes first.
            let due = delivery.headers.due.expect("it went through the delays");
            let first_step = due - wait(n) + seconds(1 << wait(n).as_secs().ilog2());
            let is_punctual = first_step > back + seconds(1);
            let behind = if is_punctual { seconds(0) } else { away };
            assert_on_time(&delivery, &lag, behind + seconds(1));
            seen.insert(n);
        }
        owner.repeat(delivery, Effect::Done);
    }
    owner.settled().await;
}

pub async fn the_ledger_is_followed_over_an_outage<V: Version>(fixture: &mut OwnNode<V>) {
    let worker = fixture.connect("worker").await;
    let reader = fixture.connect("reader").await;
    let entries = reader.ledger(ReadFrom::First, ReadUntil::Forever).await;
    let mut entries = entries.expect("the ledger is there");
    let mut read = Vec::new();
    for round in 0..3 {
        for n in 0..10 {
            let record = vec![opened(10 * round + n)];
            in_time("the ledger", worker.append(record))
                .await
                .expect("appended");
        }
        read.extend(following(&mut entries, 10).await);
        match round {
            0 => fixture.node.kill9().await,
            1 => fixture.node.stop().await,
            _ => break,
        }
        fixture.node.start().await;
        becomes(&*worker, true).await;
    }
    let expected: Vec<_> = (0..30).collect();
    let records = read.iter().flat_map(|entry| entry.records());
    let numbers: Vec<_> = records
        .map(|record| match record {
            Record::Opened { tenure, .. } => tenure.number,
            other => panic!("not an opening: {other:?}"),
        })
        .collect();
    assert_eq!(numbers, expected, "each once, in order");
    assert!(read.is_sorted_by(|a, b| a.position < b.position));
}

pub async fn announcements_are_heard_again<V: Version>(fixture: &mut OwnNode<V>) {
    let speaker = fixture.connect("speaker").await;
    let listener = fixture.connect("listener").await;
    let mut own = speaker.observe().await.expect("the fleet is there");
    let mut others = listener.observe().await.expect("the fleet is there");
    fixture.node.stop().await;
    becomes(&*speaker, false).await;
    fixture.node.start().await;
    becomes(&*speaker, true).await;
    for heard in [&mut own, &mut others] {
        let speaking = async {
            for sequence in 1.. {
                // Nothing is kept for who is not back yet: a worker speaks again every second or two.
                let _ = speaker.announce(&announcement("speaker", sequence)).await;
                sleep(seconds(1)).await;
            }
        };
        let heard = async {
            tokio::select! {
                () = speaking => None,
                heard = heard.next() => heard,
            }
        };
        let heard = in_time("an announcement", heard)
            .await
            .expect("the hearing goes on");
        assert_eq!(heard.worker, "speaker".into());
    }
}

pub async fn a_decision_cut_off_is_recorded_afterwards<V: Version>(fixture: &mut OwnNode<V>) {
    let worker = fixture.connect("worker").await;
    queue(&*worker, (0..200).map(message)).await;
    let mut owner = Owner::of_ops(&*worker, 200).await;
    let mut held = owner.take(200).await;
    let behind = held.split_off(100);
    for delivery in held {
        owner.done(delivery);
    }
    fixture.node.kill9().await;
    for delivery in behind {
        owner.done(delivery);
    }
    owner.lost().await;
    fixture.node.start().await;
    eventually("a record of each decision", async || {
        let ids = try_decided(&*worker)
            .await
            .map_err(|error| error.to_string())?;
        let ids: BTreeSet<_> = ids.into_iter().collect();
        let missing: Vec<_> = (0..200).filter(|n| !ids.contains(&id(*n))).collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("{missing:?} are missing"))
        }
    })
    .await;
    // What was not acknowledged is not lost either: whoever gets it finds it in the ledger.
    is_back(&*worker).await;
    let mut owner = Owner::of_ops(&*worker, 200).await;
    let mut again = BTreeSet::new();
    while !again.contains(&BACK) {
        let delivery = owner.next().await;
        again.insert(number(&delivery));
        owner.done(delivery);
    }
    owner.settled().await;
    assert!(
        (100..200).all(|n| again.contains(&n)),
        "nobody acknowledged them: {again:?}"
    );
}

pub async fn what_is_held_too_long_costs_the_lane_and_nothing_else<V: Version>(
    fixture: &mut OwnNode<V>,
) {
    fixture.node.lose_patience_with_holders().await;
    let worker = fixture.connect("worker").await;
    queue(&*worker, (0..3).map(message)).await;
    let mut owner = Owner::of_ops(&*worker, 2).await;
    let held = owner.next().await;
    let settled = owner.next().await;
    owner.done(settled);
    owner.settled().await;
    owner.lost().await;
    held.leave();
    let mut owner = Owner::of_ops(&*worker, 2).await;
    assert_eq!(owner.finish(2).await, [0, 2]);
    assert!(owner.has_nothing());
}

pub async fn the_fence_falls_while_the_broker_is_frozen<V: Version>(fixture: &mut OwnNode<V>) {
    let worker = fixture.connect("worker").await;
    let owner = Owner::of_ops(&*worker, 1).await;
    let fence = owner.lane.fence.clone();
    in_time("the fence to hold", fence.held()).await;
    fixture.node.freeze().await;
    let frozen = Instant::now();
    let in_flight = worker.publish(message(0)).await;
    sleep_until(frozen + FENCE + FENCE / 10).await;
    assert!(
        !fence.holds(Instant::now()),
        "{:?}",
        fence.age(Instant::now())
    );
    fixture.node.thaw().await;
    in_time("the fence to hold again", fence.held()).await;
    let confirmation = in_flight.expect("nobody had noticed yet");
    in_time("the confirmation", confirmation)
        .await
        .expect("confirmed after all");
}

pub async fn a_memory_alarm_blocks_and_passes<V: Version>(fixture: &mut OwnNode<V>) {
    let producer = fixture.connect("producer").await;
    let worker = fixture.connect("worker").await;
    queue(&*producer, (0..3).map(message)).await;
    let mut owner = Owner::of_ops(&*worker, 2).await;
    let fence = owner.lane.fence.clone();
    in_time("the fence to hold", fence.held()).await;
    let (held, acknowledged) = (owner.next().await, owner.next().await);

    fixture.node.raise_memory_alarm().await;
    // RabbitMQ says nothing until somebody publishes, and keeps what that one sent.
    let mut between = Vec::new();
    eventually("a publish to be blocked", async || {
        match producer.publish(message(3 + between.len())).await {
            Err(PublishError::Blocked(_)) => Ok(()),
            Ok(confirmation) => {
                between.push(confirmation);
                Err("it went out".to_owned())
            }
            Err(error) => panic!("{error}"),
        }
    })
    .await;
    eventually("the fence to fall", async || {
        match fence.holds(Instant::now()) {
            false => Ok(()),
            true => Err(fence.age(Instant::now())),
        }
    })
    .await;

    // Whoever only acknowledges is not held up.
    owner.repeat(acknowledged, Effect::Done);
    owner.settled().await;

    fixture.node.clear_memory_alarm().await;
    in_time("the fence to hold again", fence.held()).await;
    let sent_before = between.len();
    for confirmation in between {
        in_time("a confirmation", confirmation)
            .await
            .expect("confirmed after all");
    }
    eventually("a publish to be confirmed", async || {
        send(&*producer, message(1_000)).await
    })
    .await;
    owner.done(held);
    let numbers = owner.finish(2 + sent_before).await;
    assert!(
        numbers.into_iter().eq((2..3 + sent_before).chain([1_000])),
        "each once, in order"
    );
}
