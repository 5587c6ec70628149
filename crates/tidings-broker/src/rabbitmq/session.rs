//! One stay at the broker: two connections, and what publishes over them. A session ends as a whole, and another
//! follows it.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use lapin::{
    Connection, ConnectionProperties, Event,
    options::QueueDeclareOptions,
    types::{FieldTable, ShortString},
    uri::AMQPUri,
};
use tokio::{
    sync::{Mutex, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    best_effort::BestEffort,
    channel::{OpenChannel, OpenConnection},
    names::Names,
    place::Place,
    publisher::Publisher,
};
use crate::{BrokerError, Fence};

/// How long one attempt to connect may take.
pub(super) const CONNECTING: Duration = Duration::from_secs(10);
/// A broker takes connections a moment before it knows all its queues again: what is published then comes back as if
/// nothing were bound. Seen on 3.10 for up to a third of a second, on a busy machine.
const STARTING: Duration = Duration::from_secs(5);
/// How often a connection is looked at, should it end without a word.
const LOOK: Duration = Duration::from_millis(500);

/// Where to connect, and as whom.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) uri: AMQPUri,
    pub(super) place: Place,
    pub(super) names: Names,
    pub(super) name: String,
    pub(super) fence: Fence,
}

/// See above. Publishing has a connection of its own: under an alarm the broker stops reading from it, and acks must
/// not wait for that.
pub(super) struct Session {
    pub(super) place: Place,
    pub(super) names: Names,
    publishing: OpenConnection,
    consuming: OpenConnection,
    /// Messages of producers.
    pub(super) messages: Publisher,
    /// What follows from decisions: copies and dead letters.
    pub(super) effects: Publisher,
    /// The ledger, and the beat.
    pub(super) ledger: Publisher,
    announcements: BestEffort,
    /// Apart from the announcements: what is wrong with these must not cost a worker its lanes.
    events: BestEffort,
    /// Why the broker takes no messages at the moment.
    pub(super) blocked: watch::Receiver<Option<String>>,
    /// Set when either connection is lost.
    pub(super) lost: CancellationToken,
    /// Until when a broker that was away may still be starting.
    starting_until: Option<Instant>,
    why: Arc<OnceLock<String>>,
    looking: Mutex<Option<OpenChannel>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(super) async fn open(target: &Target, after_outage: bool) -> Result<Self, BrokerError> {
        let publishing = connect(target, "publishing").await?;
        let consuming = connect(target, "consuming").await?;
        let (lost, why) = (CancellationToken::new(), Arc::new(OnceLock::new()));
        let blocked = watch_over(
            [publishing.clone(), consuming.clone()],
            lost.clone(),
            why.clone(),
        );
        let publisher = || {
            let (connection, lost) = (publishing.clone(), lost.clone());
            Publisher::start(connection, lost, blocked.clone(), target.fence.clone())
        };
        let best_effort = |what| BestEffort::start(what, publishing.clone(), lost.clone());
        Ok(Self {
            place: target.place.clone(),
            names: target.names.clone(),
            messages: publisher(),
            effects: publisher(),
            ledger: publisher(),
            announcements: best_effort("an announcement"),
            events: best_effort("an event"),
            publishing,
            consuming,
            blocked,
            lost,
            starting_until: after_outage.then(|| Instant::now() + STARTING),
            why,
            looking: Mutex::new(None),
        })
    }

    /// Whether the broker was away until a moment ago: it may not know all its queues yet.
    pub(super) fn is_starting(&self) -> bool {
        self.starting_until
            .is_some_and(|until| Instant::now() < until)
    }

    /// Why the session ended.
    pub(super) fn why_lost(&self) -> String {
        self.why
            .get()
            .cloned()
            .unwrap_or_else(|| "the connection is closed".into())
    }

    pub(super) fn away(&self) -> BrokerError {
        self.place.away(self.why_lost())
    }

    /// Tells the fleet, best effort.
    pub(super) fn announce(&self, json: Bytes) {
        let (exchange, key) = (self.names.fleet(), "".into());
        self.announcements.publish(exchange, key, json);
    }

    /// Tells subscribers, best effort.
    pub(super) fn tell(&self, event: crate::Event) {
        let key = format!("{}.{}", event.kind, event.account).into();
        let exchange = self.names.events();
        self.events.publish(exchange, key, event.json);
    }

    /// A channel for consuming and asking.
    pub(super) async fn channel(&self) -> Result<OpenChannel, BrokerError> {
        tokio::select! {
            biased;
            () = self.lost.cancelled() => Err(self.away()),
            opened = self.consuming.open() => {
                opened.map_err(|error| self.place.error("to open a channel", &error))
            }
        }
    }

    /// How many messages are ready in a queue.
    pub(super) async fn ready(&self, queue: &ShortString) -> Result<u64, BrokerError> {
        let mut looking = self.looking.lock().await;
        let channel = match looking
            .take()
            .filter(|channel| channel.status().connected())
        {
            Some(channel) => channel,
            None => self.channel().await?,
        };
        let options = QueueDeclareOptions {
            passive: true,
            ..Default::default()
        };
        let asking = channel.queue_declare(queue.clone(), options, FieldTable::default());
        let asked = tokio::select! {
            biased;
            () = self.lost.cancelled() => return Err(self.away()),
            asked = asking => asked,
        };
        let declared = asked.map_err(|error| self.place.queue_error(queue, &error))?;
        *looking = Some(channel);
        Ok(declared.message_count().into())
    }

    /// Lets go of both connections.
    pub(super) async fn close(&self) {
        self.lost.cancel();
        drop(self.looking.lock().await.take());
        tokio::join!(self.consuming.close(), self.publishing.close());
    }
}

async fn connect(target: &Target, what: &str) -> Result<OpenConnection, BrokerError> {
    let name = format!("{} ({what})", target.name);
    let properties = ConnectionProperties::default()
        .with_connection_name(name.into())
        .with_client_property("product".into(), "Tidings".into())
        .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into());
    let connecting = Connection::connect_uri(target.uri.clone(), properties);
    match tokio::time::timeout(CONNECTING, connecting).await {
        Err(_) => Err(target
            .place
            .away(format!("no answer within {CONNECTING:?}"))),
        Ok(connected) => connected
            .map(OpenConnection::new)
            .map_err(|error| target.place.error("the connection", &error)),
    }
}

/// Notices when a connection is lost or blocked.
fn watch_over(
    [publishing, consuming]: [OpenConnection; 2],
    lost: CancellationToken,
    why: Arc<OnceLock<String>>,
) -> watch::Receiver<Option<String>> {
    let (blocked, receiver) = watch::channel(None);
    tokio::spawn(async move {
        // An event stream that ended says nothing more; the look at the status goes on.
        let [publishing, consuming] = [publishing.connection(), consuming.connection()];
        let publishings = publishing.events_listener().chain(stream::pending());
        let consumings = consuming.events_listener().chain(stream::pending());
        let mut events = std::pin::pin!(stream::select(publishings, consumings));
        let statuses = [publishing.status(), consuming.status()];
        let mut look = tokio::time::interval(LOOK);
        let mut last_error = None;
        loop {
            let event = tokio::select! {
                () = lost.cancelled() => return,
                event = events.next() => event,
                _ = look.tick() => None,
            };
            match event {
                Some(Event::ConnectionBlocked(reason)) => {
                    tracing::warn!(%reason, "the broker takes no messages at the moment");
                    blocked.send_replace(Some(reason));
                }
                Some(Event::ConnectionUnblocked) => {
                    tracing::info!("the broker takes messages again");
                    blocked.send_replace(None);
                }
                // Errors of a channel come here too, so only the status tells.
                Some(Event::Error(error)) => last_error = Some(error.to_string()),
                _ => {}
            }
            if !statuses.iter().all(|status| status.connected()) {
                let _ = why
                    .set(last_error.unwrap_or_else(|| "the broker closed the connection".into()));
                lost.cancel();
                return;
            }
        }
    });
    receiver
}
