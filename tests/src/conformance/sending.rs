//! Publishing, as a producer does it.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tidings_broker::{Broker, Delivery, Envelope, PublishError};
use tidings_model::{Headers, MessageId};

use super::{
    fixture::{OPS, account},
    in_time,
};

/// Message number `n` for [`OPS`]. Its body names it.
pub(super) fn message(n: usize) -> Envelope {
    Envelope {
        account: account(OPS),
        id: id(n),
        body: Bytes::from(n.to_string()),
        headers: Headers::default(),
    }
}

pub(super) fn id(n: usize) -> MessageId {
    format!("m-{n}").parse().expect("an id")
}

/// What to call a message differently.
pub(super) trait Differently {
    fn to(self, name: &str) -> Self;
    fn due(self, at: Timestamp) -> Self;
    fn with_body(self, body: impl Into<Bytes>) -> Self;
}

impl Differently for Envelope {
    fn to(mut self, name: &str) -> Self {
        self.account = account(name);
        self
    }

    fn due(mut self, at: Timestamp) -> Self {
        self.headers.due = Some(at);
        self
    }

    fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

pub(super) fn from_now(wait: Duration) -> Timestamp {
    Timestamp::now() + wait
}

pub(super) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// The number of a delivered [`message`].
pub(super) fn number(delivery: &Delivery) -> usize {
    number_of(&delivery.body)
}

pub(super) fn number_of(body: &[u8]) -> usize {
    std::str::from_utf8(body)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("no message of this check: {body:?}"))
}

/// Publishes one message, and tells what became of it.
pub(super) async fn send(broker: &dyn Broker, envelope: Envelope) -> Result<(), PublishError> {
    in_time("a confirmation", async {
        broker.publish(envelope).await?.await
    })
    .await
}

/// Publishes messages in a pipeline: nothing waits for one confirmation at a time.
pub(super) async fn send_all(
    broker: &dyn Broker,
    envelopes: impl IntoIterator<Item = Envelope>,
) -> Vec<Result<(), PublishError>> {
    in_time("every confirmation", async {
        let mut on_their_way = Vec::new();
        for envelope in envelopes {
            on_their_way.push(broker.publish(envelope).await);
        }
        let mut results = Vec::with_capacity(on_their_way.len());
        for published in on_their_way {
            results.push(match published {
                Ok(confirmation) => confirmation.await,
                Err(error) => Err(error),
            });
        }
        results
    })
    .await
}

/// Publishes messages of which every one must be confirmed.
pub(super) async fn queue(broker: &dyn Broker, envelopes: impl IntoIterator<Item = Envelope>) {
    for result in send_all(broker, envelopes).await {
        result.expect("it is confirmed");
    }
}
