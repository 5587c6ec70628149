//! What any client that speaks AMQP can do to a broker that is RabbitMQ.

use std::collections::BTreeSet;

use futures::StreamExt;
use jiff::Timestamp;
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldArray, FieldTable, LongString},
};
use tidings_broker::{BrokerError, ReadFrom, ReadUntil};
use tidings_model::{Headers, Record, Tenure};

use super::{
    announcing::{announce, announcement},
    fixture::{ALERTS, OPS, OverAmqp, account, apply, topology},
    in_time,
    owner::Owner,
    reading::{dead, decided, following, ledger, letter},
    sending::{Differently, from_now, id, message, number, number_of, queue, seconds},
};
use crate::{Program, eventually};

const OPS_LANE: &str = "tidings.lane.groupme-ops";
const DISPATCH: &str = "tidings";

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text))
}

fn bytes(bytes: &[u8]) -> AMQPValue {
    AMQPValue::LongString(LongString::from(bytes))
}

fn with_headers<'h>(headers: impl IntoIterator<Item = (&'h str, AMQPValue)>) -> BasicProperties {
    let mut table = FieldTable::default();
    for (name, value) in headers {
        table.insert(name.into(), value);
    }
    BasicProperties::default().with_headers(table)
}

/// Every header of Tidings with values of every wrong type, and one that fills the frame in which headers travel.
fn garbage() -> Vec<BasicProperties> {
    const NAMES: [&str; 8] = [
        "tidings-generation",
        "tidings-turn",
        "tidings-attempts",
        "tidings-due",
        "tidings-maybe-delivered",
        "tidings-consent",
        "tidings-again",
        "traceparent",
    ];
    let values = [
        text(""),
        text("many"),
        text("9999-99-99T99:99:99Z"),
        text(&"[".repeat(10_000)),
        bytes(b"\xff\xfe\0"),
        AMQPValue::LongLongInt(i64::MIN),
        AMQPValue::LongLongInt(i64::MAX),
        AMQPValue::Double(f64::MAX),
        AMQPValue::Boolean(true),
        AMQPValue::Void,
        AMQPValue::Timestamp(u64::MAX),
        AMQPValue::FieldArray(FieldArray::default()),
        AMQPValue::FieldTable(FieldTable::default()),
    ];
    let longest = with_headers([("traceparent", text(&"0".repeat(120_000)))]);
    let all_of = |value: AMQPValue| with_headers(NAMES.map(|name| (name, value.clone())));
    values.into_iter().map(all_of).chain([longest]).collect()
}

pub async fn garbage_in_headers_loses_no_message<F: OverAmqp>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let stranger = fixture.amqp().await;
    let garbage = garbage();
    let count = garbage.len();
    for (n, properties) in garbage.into_iter().enumerate() {
        let body = n.to_string();
        stranger
            .publish(DISPATCH, OPS, properties, body.as_bytes())
            .await;
    }
    let mut owner = Owner::of_ops(&*worker, 50).await;
    for n in 0..count {
        let delivery = owner.next().await;
        assert_eq!(number(&delivery), n);
        // It goes on with what could be read of its headers.
        let headers = Headers {
            due: Some(from_now(seconds(1))),
            ..delivery.headers.clone()
        };
        owner.put_back(delivery, headers);
    }
    let mut numbers = Vec::new();
    for delivery in owner.take(count).await {
        numbers.push(number(&delivery));
        owner.bury(delivery);
    }
    owner.settled().await;
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..count), "each once");
    assert_eq!(dead(&*worker, ReadFrom::First).await.len(), count);
}

/// RabbitMQ 3 takes a message with another's `x-death` for one that goes round in circles, and drops it without a word.
pub async fn a_death_history_does_not_lose_a_message_in_the_delays<F: OverAmqp>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let stranger = fixture.amqp().await;
    let levels = (0..28).map(|level| {
        let mut death = FieldTable::default();
        let queue = format!("tidings.delay.v1.{level:02}");
        death.insert("count".into(), AMQPValue::LongLongInt(1));
        death.insert("reason".into(), text("expired"));
        death.insert("queue".into(), text(&queue));
        death.insert("exchange".into(), text(&queue));
        death.insert(
            "routing-keys".into(),
            AMQPValue::FieldArray(FieldArray::default()),
        );
        AMQPValue::FieldTable(death)
    });
    let history = AMQPValue::FieldArray(levels.collect::<Vec<_>>().into());
    let well_formed = with_headers([
        ("x-death", history),
        ("x-first-death-queue", text(OPS_LANE)),
        ("x-first-death-reason", text("rejected")),
        ("x-delivery-count", AMQPValue::LongLongInt(1_000_000)),
    ]);
    for (n, properties) in [well_formed].into_iter().enumerate() {
        stranger
            .publish(DISPATCH, OPS, properties, n.to_string().as_bytes())
            .await;
    }
    let mut owner = Owner::of_ops(&*worker, 10).await;
    for turn in 1..=2 {
        let delivery = owner.next().await;
        let headers = Headers {
            turn,
            due: Some(from_now(seconds(1))),
            ..delivery.headers.clone()
        };
        owner.put_back(delivery, headers);
    }
    let delivery = owner.next().await;
    assert_eq!((number(&delivery), delivery.headers.turn), (0, 2));
    owner.done(delivery);
    owner.settled().await;
}

pub async fn a_bare_body_from_any_client_is_delivered<F: OverAmqp>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let stranger = fixture.amqp().await;
    stranger
        .publish(DISPATCH, OPS, BasicProperties::default(), b"0")
        .await;
    let mut owner = Owner::of_ops(&*worker, 10).await;
    let delivery = owner.next().await;
    assert_eq!(
        (number(&delivery), &delivery.headers),
        (0, &Headers::default())
    );
    owner.put_back(
        delivery,
        Headers {
            turn: 1,
            ..Headers::default()
        },
    );
    let copy = owner.next().await;
    assert_eq!((number(&copy), copy.headers.turn), (0, 1));
    owner.done(copy);
    owner.settled().await;
}

pub async fn garbage_in_the_ledger_is_passed_over<F: OverAmqp>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let stranger = fixture.amqp().await;
    let mut all = worker
        .ledger(ReadFrom::First, ReadUntil::Forever)
        .await
        .expect("the ledger is there");
    for properties in garbage() {
        stranger
            .publish("tidings.ledger", "", properties, b"\xff\xfe\n{}\n\n[[")
            .await;
    }
    let record = Record::Opened {
        tenure: Tenure {
            account: account(OPS),
            worker: "worker".into(),
            number: 1,
        },
        at: Timestamp::now(),
    };
    in_time(
        "the ledger's confirmation",
        worker.append(vec![record.clone()]),
    )
    .await
    .expect("appended");
    let entries = ledger(&*worker, ReadFrom::First).await;
    let records: Vec<_> = entries.iter().flat_map(|entry| entry.records()).collect();
    assert_eq!(records, std::slice::from_ref(&record));
    let mut followed = Vec::new();
    while followed.is_empty() {
        followed.extend(following(&mut all, 1).await[0].records());
    }
    assert_eq!(followed, [record]);
}

pub async fn garbage_among_the_dead_is_passed_over<F: OverAmqp>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let stranger = fixture.amqp().await;
    for properties in garbage() {
        stranger
            .publish("tidings.dead", "", properties, b"\xff\xfe")
            .await;
    }
    queue(&*worker, [message(7)]).await;
    let mut owner = Owner::of_ops(&*worker, 1).await;
    let delivery = owner.next().await;
    owner.bury(delivery);
    owner.settled().await;
    let letters = dead(&*worker, ReadFrom::First).await;
    let (_, body) = letter(
        letters
            .into_iter()
            .next_back()
            .expect("the letter behind it"),
    );
    assert_eq!(number_of(&body), 7);
}

pub async fn garbage_in_announcements_is_passed_over<F: OverAmqp>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let stranger = fixture.amqp().await;
    let mut heard = worker.observe().await.expect("the fleet is there");
    for properties in garbage() {
        stranger
            .publish("tidings.fleet", "", properties, b"\xff\xfe")
            .await;
    }
    let said = announcement("worker", 1);
    announce(&*worker, &said).await;
    assert_eq!(in_time("the announcement", heard.next()).await, Some(said));
}

pub async fn a_lane_declared_otherwise_is_named<F: OverAmqp>(fixture: &F) {
    const LATER: &str = "tidings.lane.pingup-later";
    let operator = fixture.connect("operator").await;
    let stranger = fixture.amqp().await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    stranger.declare_queue(LATER, arguments).await;
    let wanted = topology(&[OPS, ALERTS, "pingup.later"]);
    let differences = super::topology::differences(&*operator, &wanted).await;
    assert!(
        !differences.is_empty()
            && differences
                .iter()
                .all(|difference| difference.contains("pingup")),
        "{differences:#?}"
    );
    let applied = in_time("the topology", operator.apply(&wanted)).await;
    let error = applied.expect_err("a queue of single consumers cannot be made of this one");
    assert!(
        matches!(&error, BrokerError::Refused { .. }) && error.to_string().contains(LATER),
        "{error}"
    );
}

pub async fn a_deleted_lane_ends_its_ownership<F: OverAmqp>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let stranger = fixture.amqp().await;
    let owner = Owner::of_ops(&*worker, 1).await;
    stranger.delete_queue(OPS_LANE).await;
    owner.lost().await;
    let operator = fixture.connect("operator").await;
    apply(&*operator, &[OPS, ALERTS]).await;
    queue(&*worker, [message(0)]).await;
    // The broker may need a moment to forget the old one.
    let mut owner = eventually("a place at the new lane", async || {
        let lane = tidings_broker::LaneName::Account(account(OPS));
        Owner::try_of(&*worker, lane, 1).await
    })
    .await;
    assert_eq!(owner.finish(1).await, [0]);
}

pub async fn a_ledger_that_refused_for_a_while_is_written_in_full<F: OverAmqp>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let stranger = fixture.amqp().await;
    queue(&*worker, (0..10).map(message)).await;
    stranger.unbind("tidings.ledger").await;
    // The second is decided while the first decision waits to be written again.
    for _ in 0..2 {
        let mut owner = Owner::of_ops(&*worker, 10).await;
        let first = owner.next().await;
        owner.done(first);
        owner.lost().await;
    }
    stranger
        .bind_queue("tidings.ledger", "tidings.ledger", "")
        .await;
    let mut owner = Owner::of_ops(&*worker, 10).await;
    owner.finish(10).await;
    let decided: BTreeSet<_> = decided(&*worker).await.into_iter().collect();
    assert_eq!(decided, (0..10).map(id).collect());
}

/// A lane with a length limit refuses what is due, and a level keeps at most 32 messages on their way.
pub async fn a_level_that_stands_still_is_named<F: OverAmqp>(fixture: &F) {
    let broker = fixture.connect("operator").await;
    let stranger = fixture.amqp().await;
    let mut limited = FieldTable::default();
    limited.insert("x-queue-type".into(), text("quorum"));
    limited.insert("x-max-length".into(), AMQPValue::LongLongInt(1));
    limited.insert("x-overflow".into(), text("reject-publish"));
    stranger.declare_queue("limited", limited).await;
    stranger
        .bind_queue("limited", "tidings.delay.v1.due", "#.groupme-limited")
        .await;
    let due = (0..100).map(|n| {
        let message = message(n).to("groupme.limited");
        message.due(from_now(seconds(1)))
    });
    queue(&*broker, due).await;
    eventually("the level of a second stands still", async || {
        let delays = in_time("a look", broker.delays(seconds(5)))
            .await
            .expect("a look");
        let still: Vec<_> = delays.standing_still().map(|level| level.holds).collect();
        if still == [seconds(1)] {
            Ok(())
        } else {
            Err(delays)
        }
    })
    .await;
    let verify = ["delays", "verify", "--json", "--wait", "5s", "--broker"];
    let said = Program::new("tidings").args(verify).arg(fixture.url());
    let said = said.run("").await;
    let [lines, words] = [&said.stdout, &said.stderr].map(|text| String::from_utf8_lossy(text));
    assert_eq!(said.status.code(), Some(1), "{words}");
    let first = lines.lines().next().unwrap_or_default();
    assert!(
        first.contains(r#""level":0,"#) && first.contains(r#""moves":"no""#),
        "{lines}"
    );
    assert!(words.contains("the level of 1 s stands still"), "{words}");
}
