//! A dead letters' stream forgets its oldest part, or is another one under the same name: what is counted from the index
//! is what is there; what was renewed stays.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use std::sync::Arc;

use lapin::{
    Connection, ConnectionProperties, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tidings_broker::{DeadRecord, Options};
use tidings_tests::{Broker, Flavour, Program, Vhost, eventually, fleet::message};

mod rabbitmq_3_10 {
    use tidings_tests::Flavour;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_a_stream_forgot_is_counted_no_more() {
        super::what_a_stream_forgot_is_counted_no_more(Flavour::Debian).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_renewed_outlives_what_stood_beside_it() {
        super::what_is_renewed_outlives_what_stood_beside_it(Flavour::Debian).await;
    }
}

mod rabbitmq_4_3 {
    use tidings_tests::Flavour;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_a_stream_forgot_is_counted_no_more() {
        super::what_a_stream_forgot_is_counted_no_more(Flavour::V43).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_renewed_outlives_what_stood_beside_it() {
        super::what_is_renewed_outlives_what_stood_beside_it(Flavour::V43).await;
    }
}

/// As many letters as are written at once: more than a segment of the stream.
const BATCH: usize = 100;

/// A dead letters' stream that keeps little, and somebody who counts.
struct Stream {
    vhost: Vhost,
    broker: Arc<dyn tidings_broker::Broker>,
    cache: TempDir,
}

impl Stream {
    async fn new(flavour: Flavour) -> Self {
        let vhost = Broker::shared(flavour).await.vhost();
        let url = vhost.url().parse().unwrap();
        let broker = tidings_broker::connect(&url, Options::new("test".into()));
        let stream = Self {
            broker: broker.await.unwrap(),
            cache: tempfile::tempdir().unwrap(),
            vhost,
        };
        stream.declare().await;
        stream
    }

    /// Declares it; one that was there before is gone.
    async fn declare(&self) {
        let properties = ConnectionProperties::default();
        let connection = Connection::connect(self.vhost.url(), properties).await;
        let channel = connection.unwrap().create_channel().await.unwrap();
        let name = || "tidings.dead".into();
        let gone = channel.queue_delete(name(), QueueDeleteOptions::default());
        gone.await.unwrap();
        let durable = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        let mut arguments = FieldTable::default();
        arguments.insert(
            "x-queue-type".into(),
            AMQPValue::LongString("stream".into()),
        );
        for (limit, bytes) in [
            ("x-max-length-bytes", 200_000),
            ("x-stream-max-segment-size-bytes", 50_000),
        ] {
            arguments.insert(limit.into(), AMQPValue::LongLongInt(bytes));
        }
        channel
            .queue_declare(name(), durable, arguments)
            .await
            .unwrap();
        let durable = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        let nothing = FieldTable::default;
        let exchange = channel.exchange_declare(name(), ExchangeKind::Fanout, durable, nothing());
        exchange.await.unwrap();
        let bound = channel.queue_bind(
            name(),
            name(),
            "".into(),
            QueueBindOptions::default(),
            nothing(),
        );
        bound.await.unwrap();
    }

    async fn write(&self, name: &str, count: usize) {
        let letters = (0..count).map(|number| {
            let id = format!("{name}-{number}");
            let mut body = message("raven.ops", &id);
            body["payload"]["message"] = json!("x".repeat(1000));
            body["enqueued_at"] = json!("2026-01-01T00:00:00Z");
            let head = json!({
                "id": id, "account": "raven.ops", "reason": "rejected", "attempts": [],
                "dead_at": "2026-01-01T00:00:00Z", "generation": 0, "maybe_delivered": false,
            });
            DeadRecord::Letter {
                head: serde_json::from_value(head).unwrap(),
                body: body.to_string().into(),
            }
        });
        self.broker.record(letters.collect()).await.unwrap();
    }

    async fn says(&self, arguments: &[&str]) -> Vec<Value> {
        let output = Program::new("tidings-dlq")
            .args(arguments)
            .args(["--json", "--broker", self.vhost.url()])
            .env("XDG_CACHE_HOME", self.cache.path())
            .run("")
            .await;
        assert!(output.status.success(), "{output:?}");
        let lines = String::from_utf8(output.stdout).unwrap();
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Waits until as many letters are counted as are there, and returns how many that is.
    async fn counted(&self) -> usize {
        eventually("what is there is counted", async || {
            let groups = self.says(&["groups"]).await;
            let counts = groups.iter().map(|group| group["count"].as_u64().unwrap());
            let (counted, there) = (counts.sum::<u64>(), self.says(&["list"]).await.len());
            match counted == there as u64 {
                true => Ok(there),
                false => Err((counted, there)),
            }
        })
        .await
    }
}

async fn what_a_stream_forgot_is_counted_no_more(flavour: Flavour) {
    let stream = Stream::new(flavour).await;
    assert_eq!(stream.counted().await, 0);
    let mut written = 0;
    // The index knows those that go and some of those that stay.
    eventually("the stream forgets", async || {
        stream.write(&format!("m-{written}"), BATCH).await;
        written += BATCH;
        let counted = stream.counted().await;
        match counted < written {
            true => Ok(()),
            false => Err(written),
        }
    })
    .await;
    // All that the index knows goes.
    for batch in 0..10 {
        stream.write(&format!("n-{batch}"), BATCH).await;
    }
    let counted = stream.counted().await;
    assert!((1..written + 10 * BATCH).contains(&counted), "{counted}");

    for (name, count) in [("shorter", 3), ("longer", 50)] {
        stream.declare().await;
        stream.write(name, count).await;
        assert_eq!(stream.counted().await, count, "{name}");
    }
}

async fn what_is_renewed_outlives_what_stood_beside_it(flavour: Flavour) {
    let stream = Stream::new(flavour).await;
    stream.write("kept", 1).await;
    let ids = async || -> Vec<String> {
        let letters = stream.says(&["list"]).await;
        let id = |letter: &Value| letter["message"]["id"].as_str().unwrap().to_owned();
        letters.iter().map(id).collect()
    };
    let mut written = 0;
    eventually("the stream forgets what was written after it", async || {
        stream.write(&format!("m-{written}"), BATCH).await;
        written += BATCH;
        let renewed = stream.says(&["renew", "kept-0"]).await;
        assert_eq!(renewed[0]["done"], 1, "{renewed:?}");
        match ids().await.contains(&"m-0-0".to_owned()) {
            true => Err(written),
            false => Ok(()),
        }
    })
    .await;
    let kept = ids().await.into_iter().filter(|id| id == "kept-0");
    assert_eq!(kept.count(), 1);
    let shown = stream.says(&["show", "kept-0"]).await;
    assert_eq!(shown[0]["state"], "open");
    let planned = stream.says(&["replay", "kept-0", "--dry-run"]).await;
    assert_eq!(planned[0]["planned"], 1, "{planned:?}");
}
