//! Who subscribes to the exchange of events is told each outcome as the ledger has it, of the accounts that say so.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::StreamExt as _;
use lapin::{
    Channel, Connection, ConnectionProperties, Consumer,
    options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions},
    types::{FieldTable, ShortString},
};
use serde_json::Value;
use tidings_broker::Envelope;
use tidings_model::Headers;
use tidings_sandbox::{Fault, Faults, On as Calls, Provider};
use tidings_tests::{
    Flavour, eventually,
    fleet::{Fleet, On, Role, refusal, to},
};

const QUICK: &str = r#"
    rate = "200/s"
    retry = { base = "1s", cap = "1s" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_are_told_each_outcome() {
    let at = |destination: &str| Calls::from(Provider::Raven).destination(destination);
    let faults = Faults::none()
        .fault(refusal(Provider::Raven).on(at("refused")))
        .fault(Fault::status(503).times(1).on(at("hiccup")));
    let fleet = Fleet::on(On::RabbitMq(Flavour::Debian))
        .account("raven.crm", &format!("{QUICK}\nevents = true"))
        .account("groupme.ops", QUICK)
        .faults(faults)
        .start()
        .await;
    let (connection, mut events) = subscribe(&fleet.url(Role::Reader)).await;
    let worker = fleet.worker().await;

    let mut ids = fleet
        .send(&[
            to("groupme.ops", "1", "untold"),
            to("raven.crm", "well", "well"),
            to("raven.crm", "refused", "refused"),
            to("raven.crm", "hiccup", "hiccup"),
        ])
        .await;
    let undecodable = Envelope {
        account: "raven.crm".parse().unwrap(),
        id: "astray".parse().unwrap(),
        body: Bytes::from_static(br#"{"id": "astray", "account": "raven.crm"}"#),
        headers: Headers::default(),
    };
    let published = fleet.broker.publish(undecodable).await.unwrap();
    published.await.unwrap();
    ids.push("astray".into());
    eventually("the outcomes", async || match fleet.ledger.open(&ids)[..] {
        [] => Ok(()),
        ref open => Err(format!("{open:?}")),
    })
    .await;

    let mut told = BTreeMap::<_, Vec<_>>::new();
    while told.values().map(Vec::len).sum::<usize>() < 5 {
        let event = events.next().await.unwrap().unwrap();
        let json: Value = serde_json::from_slice(&event.data).unwrap();
        told.entry(event.routing_key.to_string())
            .or_default()
            .push(json);
    }
    // Whatever else was told has come before this.
    assert!(worker.terminate().await.success());
    assert!(futures::poll!(events.next()).is_pending(), "{told:?}");
    connection.close(200, "done".into()).await.unwrap();

    let count = |key| told.get(key).map_or(0, Vec::len);
    assert_eq!(count("delivered.raven.crm"), 2, "{told:?}");
    assert_eq!(count("dead.raven.crm"), 2, "{told:?}");
    assert_eq!(count("retrying.raven.crm"), 1, "{told:?}");
    let outcomes = fleet.ledger.outcomes();
    for (_, event) in told.iter().filter(|(key, _)| !key.starts_with("retrying")) {
        for outcome in event {
            let recorded = &outcomes[outcome["id"].as_str().unwrap()];
            assert_eq!(*outcome, serde_json::to_value(recorded).unwrap());
        }
    }
}

/// All events, from now on.
async fn subscribe(url: &str) -> (Connection, Consumer) {
    let connecting = Connection::connect(url, ConnectionProperties::default());
    let connection = connecting.await.unwrap();
    let channel: Channel = connection.create_channel().await.unwrap();
    let exclusive = QueueDeclareOptions {
        exclusive: true,
        ..Default::default()
    };
    let none = FieldTable::default;
    let queue: ShortString = "tidings.own.subscriber".into();
    let declaring = channel.queue_declare(queue.clone(), exclusive, none());
    declaring.await.unwrap();
    let options = QueueBindOptions::default();
    let binding = channel.queue_bind(
        queue.clone(),
        "tidings.events".into(),
        "#".into(),
        options,
        none(),
    );
    binding.await.unwrap();
    let options = BasicConsumeOptions {
        no_ack: true,
        ..Default::default()
    };
    let consuming = channel.basic_consume(queue, "".into(), options, none());
    (connection, consuming.await.unwrap())
}
