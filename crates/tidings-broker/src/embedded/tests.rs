//! Several brokers on one file stand for several processes: they share nothing but the file.

mod damage;
mod delays;
mod ownership;
mod streams;

use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use tidings_model::{
    Account, Decision, Headers, LetterHead, MessageId, Metadata, Outcome, Reason, Record, Verdicted,
};

use super::*;
use crate::{Delivery, Effect, LaneEvent, Settlement, Ticket};

/// Short leases, so that tests need not wait for long ones.
const PACE: Pace = Pace {
    lease: Duration::from_millis(1200),
    renew: Duration::from_millis(200),
    look: Duration::from_millis(10),
};

/// Longer than anything here takes, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A broker's file in a folder of its own.
struct Kit(TempDir);

impl Kit {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> String {
        self.0.path().join("broker.db").to_str().unwrap().to_owned()
    }

    /// A process that joins.
    async fn join(&self, name: &str) -> Embedded {
        let broker = Embedded::open_at(&self.path(), Options::new(name.into()), PACE)
            .await
            .unwrap();
        broker.apply(&Topology::of([ops()])).await.unwrap();
        broker
    }
}

fn ops() -> Account {
    "groupme.ops".parse().unwrap()
}

fn ops_lane() -> LaneName {
    LaneName::Account(ops())
}

fn envelope(body: &str) -> Envelope {
    Envelope {
        account: ops(),
        id: MessageId::from(uuid::Uuid::now_v7()),
        body: body.to_owned().into(),
        headers: Headers::default(),
    }
}

fn due_in(body: &str, millis: u64) -> Envelope {
    let mut envelope = envelope(body);
    envelope.headers.due = Some(Timestamp::now() + Duration::from_millis(millis));
    envelope
}

async fn publish(broker: &Embedded, envelope: Envelope) {
    broker.publish(envelope).await.unwrap().await.unwrap();
}

async fn publish_all<'b>(broker: &Embedded, bodies: impl IntoIterator<Item = &'b str>) {
    let mut confirmations = Vec::new();
    for body in bodies {
        confirmations.push(broker.publish(envelope(body)).await.unwrap());
    }
    for confirmation in confirmations {
        confirmation.await.unwrap();
    }
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, future).await;
    done.unwrap_or_else(|_| panic!("{what} did not happen"))
}

async fn event(lane: &mut Lane) -> LaneEvent {
    soon("an event", lane.events.recv()).await.unwrap()
}

async fn delivery(lane: &mut Lane) -> Delivery {
    match event(lane).await {
        LaneEvent::Delivered(delivery) => delivery,
        other => panic!("{other:?} is no delivery"),
    }
}

async fn settled(lane: &mut Lane, ticket: Ticket) {
    match event(lane).await {
        LaneEvent::Settled(settled) => assert_eq!(settled, ticket),
        other => panic!("{other:?} is not that {ticket:?} was settled"),
    }
}

async fn lost(lane: &mut Lane) {
    assert!(matches!(event(lane).await, LaneEvent::Lost(_)));
    assert!(soon("the end", lane.events.recv()).await.is_none());
}

/// Settles a delivery, with a record that carries its body as the id.
async fn settle(lane: &mut Lane, delivery: Delivery, effect: Effect) {
    let ticket = delivery.ticket;
    let settlement = settlement(&text(&delivery), effect);
    lane.settle.settle(delivery, settlement);
    settled(lane, ticket).await;
}

fn settlement(id: &str, effect: Effect) -> Settlement {
    Settlement {
        record: Some(record(id)),
        effect,
        event: None,
    }
}

fn record(id: &str) -> Record {
    let outcome = Outcome::Delivered {
        id: id.parse().unwrap(),
        generation: 0,
        account: ops(),
        attempts: 1,
        at: Timestamp::now(),
        provider_message_id: None,
        deduplicated: false,
        metadata: Metadata::new(),
    };
    Record::Decided(Box::new(Decision {
        turn: 0,
        attempt: None,
        verdicted: Verdicted::Ended {
            outcome,
            maybe_delivered: false,
        },
    }))
}

fn letter() -> Effect {
    Effect::Bury(Box::new(LetterHead {
        id: None,
        account: Some(ops()),
        reason: Reason::Rejected,
        attempts: Vec::new(),
        dead_at: Timestamp::now(),
        generation: 0,
        maybe_delivered: false,
        stood_at: None,
    }))
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.body.to_vec()).unwrap()
}

/// The ids of all decisions in the ledger, in order.
async fn decided(broker: &Embedded) -> Vec<String> {
    let entries = broker
        .ledger(ReadFrom::First, ReadUntil::Now)
        .await
        .unwrap();
    let entries: Vec<_> = entries.collect().await;
    let records = entries
        .iter()
        .flat_map(|entry| entry.as_ref().unwrap().records());
    let decisions = records.filter_map(|record| match record {
        Record::Decided(decision) => Some(decision.id().to_string()),
        _ => None,
    });
    decisions.collect()
}

async fn ready(broker: &Embedded) -> u64 {
    broker.depth(&ops()).await.unwrap().ready
}

#[tokio::test]
async fn a_message_is_handed_out_settled_and_gone() {
    let kit = Kit::new();
    let broker = kit.join("one").await;
    publish(&broker, envelope("hello")).await;
    assert_eq!(ready(&broker).await, 1);
    let mut lane = broker.subscribe(ops_lane(), 4).await.unwrap();
    let delivery = delivery(&mut lane).await;
    assert_eq!(
        (
            text(&delivery).as_str(),
            delivery.redelivered,
            delivery.returns
        ),
        ("hello", false, 0)
    );
    assert!(lane.fence.holds(Instant::now()));
    assert_eq!(ready(&broker).await, 0);
    settle(&mut lane, delivery, Effect::Done).await;
    assert_eq!(decided(&broker).await, ["hello"]);
    lane.settle.close().await;
    assert_eq!(ready(&broker).await, 0);
    assert!(lane.events.recv().await.is_none());
}

#[tokio::test]
async fn messages_come_in_order_and_no_more_than_the_window_at_once() {
    let kit = Kit::new();
    let (producer, worker) = (kit.join("producer").await, kit.join("worker").await);
    let mut lane = worker.subscribe(ops_lane(), 3).await.unwrap();
    let bodies: Vec<String> = (0..20).map(|n| format!("m{n:02}")).collect();
    publish_all(&producer, bodies.iter().map(String::as_str)).await;
    let mut held = Vec::new();
    let mut seen = Vec::new();
    while seen.len() < bodies.len() {
        match event(&mut lane).await {
            LaneEvent::Delivered(delivery) => {
                seen.push(text(&delivery));
                held.push(delivery);
                assert!(held.len() <= 3);
            }
            LaneEvent::Settled(_) => {}
            LaneEvent::Lost(why) => panic!("{why}"),
        }
        if held.len() == 3 {
            // The newest first: room is made wherever one is settled.
            let delivery = held.pop().unwrap();
            lane.settle.settle(delivery, settlement("x", Effect::Done));
        }
    }
    assert_eq!(seen, bodies);
    held.into_iter().for_each(Delivery::leave);
}

#[tokio::test]
async fn an_account_without_a_lane_is_told_at_once() {
    let kit = Kit::new();
    let broker = kit.join("one").await;
    let mut envelope = envelope("x");
    envelope.account = "raven.nobody".parse().unwrap();
    let account = envelope.account.clone();
    let confirmation = broker.publish(envelope).await.unwrap().await;
    assert!(
        matches!(confirmation, Err(PublishError::UnknownAccount(unknown)) if unknown == account)
    );
    let lane = LaneName::Account(account.clone());
    assert!(matches!(
        broker.subscribe(lane, 1).await,
        Err(BrokerError::Missing { .. })
    ));
    assert!(matches!(
        broker.depth(&account).await,
        Err(BrokerError::Missing { .. })
    ));
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let kit = Kit::new();
    let broker = kit.join("one").await;
    let mut large = envelope("");
    large.body = vec![0; MAX_BODY_BYTES + 1].into();
    assert!(matches!(
        broker.publish(large.clone()).await,
        Err(PublishError::TooLarge(_))
    ));
    large.body = large.body.slice(1..);
    publish(&broker, large.clone()).await;
    let mut lane = broker.subscribe(ops_lane(), 1).await.unwrap();
    let delivery = delivery(&mut lane).await;
    assert_eq!(delivery.body, large.body);
    delivery.leave();
}

#[tokio::test]
async fn what_was_published_before_closing_is_confirmed() {
    let kit = Kit::new();
    let broker = kit.join("one").await;
    let mut confirmations = Vec::new();
    for _ in 0..500 {
        confirmations.push(broker.publish(envelope("x")).await.unwrap());
    }
    broker.close().await;
    for confirmation in confirmations {
        confirmation.await.unwrap();
    }
    assert!(matches!(
        broker.publish(envelope("x")).await,
        Err(PublishError::Away(_))
    ));
    assert!(matches!(
        broker.append(vec![record("x")]).await,
        Err(BrokerError::Away { .. })
    ));
    assert_eq!(ready(&kit.join("two").await).await, 500);
}

#[tokio::test]
async fn a_topology_is_verified_and_applied_twice() {
    let kit = Kit::new();
    let broker = kit.join("one").await;
    let mut topology = Topology::of([ops(), "raven.new".parse().unwrap()]);
    topology.dead_max_age = Duration::from_secs(60);
    let differences = broker.verify(&topology).await.unwrap();
    let differences: Vec<_> = differences.iter().map(Difference::to_string).collect();
    assert_eq!(
        differences,
        [
            "lane raven.new: is missing",
            "dead letters: kept for 15552000 s, not for 60 s"
        ]
    );
    publish(&broker, envelope("kept")).await;
    for _ in 0..2 {
        broker.apply(&topology).await.unwrap();
        assert_eq!(broker.verify(&topology).await.unwrap(), []);
    }
    broker.apply(&Topology::of([])).await.unwrap();
    assert_eq!(ready(&broker).await, 1, "no lane is removed");
}

#[tokio::test]
async fn fleets_with_other_prefixes_share_a_file_and_nothing_else() {
    let kit = Kit::new();
    let ours = kit.join("ours").await;
    let mut options = Options::new("theirs".into());
    options.prefix = "other".parse().unwrap();
    let theirs = Embedded::open_at(&kit.path(), options, PACE).await.unwrap();
    let unknown = theirs.publish(envelope("x")).await.unwrap().await;
    assert!(matches!(unknown, Err(PublishError::UnknownAccount(_))));
    theirs.apply(&Topology::of([ops()])).await.unwrap();
    publish(&ours, envelope("ours")).await;
    ours.append(vec![record("ours")]).await.unwrap();
    assert_eq!((ready(&ours).await, ready(&theirs).await), (1, 0));
    assert_eq!(decided(&theirs).await, [""; 0]);
    let mut lane = ours.subscribe(ops_lane(), 1).await.unwrap();
    let delivery = delivery(&mut lane).await;
    settle(&mut lane, delivery, letter()).await;
    let dead = theirs.dead(ReadFrom::First, ReadUntil::Now).await.unwrap();
    assert_eq!(dead.count().await, 0);
}
