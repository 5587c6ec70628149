//! What is published and forgotten: announcements and events.

use std::time::Duration;

use bytes::Bytes;
use lapin::{BasicProperties, options::BasicPublishOptions, types::ShortString};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::channel::{OpenChannel, OpenConnection};

/// How many messages wait for the socket; more are dropped.
const WAITING: usize = 1024;
/// How long each of the last messages may take.
const LAST_WORD: Duration = Duration::from_millis(100);

/// A channel without confirms: nothing here may hold up a lane. What was said last still goes out where the session is
/// closed here; where it is lost, nothing does.
pub(super) struct BestEffort {
    what: &'static str,
    waiting: mpsc::Sender<Message>,
}

struct Message {
    exchange: ShortString,
    key: ShortString,
    body: Bytes,
}

impl BestEffort {
    pub(super) fn start(
        what: &'static str,
        connection: OpenConnection,
        lost: CancellationToken,
    ) -> Self {
        let (waiting, messages) = mpsc::channel(WAITING);
        tokio::spawn(publish_all(what, messages, connection, lost));
        Self { what, waiting }
    }

    /// Publishes without waiting for anything. What does not fit is dropped.
    pub(super) fn publish(&self, exchange: ShortString, key: ShortString, body: Bytes) {
        let message = Message {
            exchange,
            key,
            body,
        };
        if self.waiting.try_send(message).is_err() {
            tracing::debug!("{} was dropped: the connection is slow or gone", self.what);
        }
    }
}

async fn publish_all(
    what: &str,
    mut messages: mpsc::Receiver<Message>,
    connection: OpenConnection,
    lost: CancellationToken,
) {
    let mut open: Option<OpenChannel> = None;
    loop {
        let message = tokio::select! {
            biased;
            () = lost.cancelled() => break,
            message = messages.recv() => match message {
                Some(message) => message,
                None => break,
            },
        };
        open = open.filter(|channel| channel.status().connected());
        let channel = match open.take() {
            Some(channel) => channel,
            None => tokio::select! {
                biased;
                () = lost.cancelled() => break,
                opened = connection.open() => match opened {
                    Ok(channel) => channel,
                    Err(error) => {
                        tracing::warn!(%error, "{what} was not published");
                        continue;
                    }
                },
            },
        };
        // It is on its way with the first poll.
        tokio::select! {
            biased;
            () = publish(what, &channel, message) => {}
            () = lost.cancelled() => {}
        }
        open = Some(channel);
    }
    let open = open.filter(|channel| channel.status().connected());
    while let (Some(channel), Ok(message)) = (&open, messages.try_recv()) {
        let _ = tokio::time::timeout(LAST_WORD, publish(what, channel, message)).await;
    }
}

async fn publish(what: &str, channel: &OpenChannel, message: Message) {
    let Message {
        exchange,
        key,
        body,
    } = message;
    let properties = BasicProperties::default().with_content_type("application/json".into());
    let options = BasicPublishOptions::default();
    let published = channel.basic_publish(exchange, key, options, &body, properties);
    if let Err(error) = published.await {
        tracing::warn!(%error, "{what} was not published");
    }
}
