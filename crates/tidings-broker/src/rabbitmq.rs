//! RabbitMQ, from 3.10 on. The only place that knows AMQP.
//!
//! - [`link`] keeps a [`session`] up: a connection for publishing and one for consuming, lost and made again together.
//! - [`channel`] closes channels in order, before their connection.
//! - [`publisher`] pipelines publishes and tells each its own result, which [`window`] works out.
//! - [`lane`] owns a lane; what it settles goes to [`ledger`], then through [`effect`], then to [`acks`].
//! - [`stream`] reads the ledger and the dead letters, [`fleet`] tells and hears announcements, [`beat`] keeps the fence.
//! - [`delays`] looks through the delays, for an operator.
//! - [`names`], [`codec`] and [`topology`] are what the contract fixes.

mod acks;
mod beat;
mod best_effort;
mod channel;
mod codec;
mod delays;
mod effect;
mod fleet;
mod lane;
mod ledger;
mod link;
mod names;
mod place;
mod publisher;
mod server;
mod session;
mod stream;
mod topology;
mod window;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use jiff::Timestamp;
use lapin::{message::Delivery as Delivered, uri::AMQPUri};
use tidings_model::{Account, Announcement, BrokerUrl, MAX_BODY_BYTES, Record};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{
    beat::Beat,
    effect::Way,
    ledger::Ledger,
    link::Link,
    names::Names,
    place::Place,
    publisher::{Failure, Job},
    session::{Session, Target},
    stream::Source,
};
use crate::*;

/// How long closing waits for what is still unconfirmed.
const UNCONFIRMED: Duration = Duration::from_secs(10);
/// A body counts as one publish for each of these, so that large ones in flight do not fill the memory.
const BYTES_PER_PERMIT: usize = 64 << 10;
/// Entries of the ledger and dead letters that a reader holds: the latter can be large.
const LEDGER_PREFETCH: u16 = 100;
const DEAD_PREFETCH: u16 = 16;

/// The adapter.
#[derive(Debug)]
pub(crate) struct RabbitMq {
    place: Place,
    names: Names,
    fence: Fence,
    link: Link,
    ledger: Ledger,
    beat: Beat,
    /// One for each publish that may be unconfirmed.
    permits: Arc<Semaphore>,
    unconfirmed: u32,
    stop: CancellationToken,
    _stopped_with_us: DropGuard,
}

impl RabbitMq {
    pub(crate) async fn connect(url: &url::Url, options: Options) -> Result<Self, BrokerError> {
        // Only the first of the process is taken; another that is there is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let place = Place::new(BrokerUrl::Amqp(url.clone()).to_string());
        let names = Names::new(options.prefix.clone());
        let fence = Fence::default();
        let target = Target {
            uri: uri(url, options.heartbeat).map_err(|why| place.away(why))?,
            place: place.clone(),
            names: names.clone(),
            name: options.name.to_string(),
            fence: fence.clone(),
        };
        server::check(&target.uri, &place).await?;
        let stop = CancellationToken::new();
        let stopped_with_us = stop.clone().drop_guard();
        let link = Link::open(target, stop.clone()).await?;
        let unconfirmed = u32::try_from(options.unconfirmed.clamp(1, 1 << 20)).unwrap_or(1 << 20);
        Ok(Self {
            ledger: Ledger::start(link.clone(), options.name, stop.clone()),
            place,
            names,
            fence,
            link,
            beat: Beat::default(),
            permits: Arc::new(Semaphore::new(unconfirmed as usize)),
            unconfirmed,
            stop,
            _stopped_with_us: stopped_with_us,
        })
    }

    /// The session, as long as the broker takes messages.
    fn unblocked(&self) -> Result<Arc<Session>, PublishError> {
        let session = self.link.session().map_err(PublishError::Away)?;
        if let Some(reason) = session.blocked.borrow().clone() {
            return Err(PublishError::Blocked(reason));
        }
        Ok(session)
    }
}

fn uri(url: &url::Url, heartbeat: Duration) -> Result<AMQPUri, String> {
    let mut uri: AMQPUri = url.as_str().parse()?;
    let seconds = u16::try_from(heartbeat.as_secs()).unwrap_or(u16::MAX);
    uri.query.heartbeat = Some(seconds.max(1));
    Ok(uri)
}

#[async_trait]
impl Broker for RabbitMq {
    fn place(&self) -> String {
        self.place.to_string()
    }

    fn connected(&self) -> watch::Receiver<bool> {
        self.link.connected()
    }

    async fn apply(&self, topology: &Topology) -> Result<(), BrokerError> {
        topology::apply(&*self.link.session()?, topology).await
    }

    async fn verify(&self, topology: &Topology) -> Result<Vec<Difference>, BrokerError> {
        topology::verify(&*self.link.session()?, topology).await
    }

    async fn publish(&self, envelope: Envelope) -> Result<Confirmation, PublishError> {
        let size = envelope.body.len();
        if size > MAX_BODY_BYTES {
            return Err(PublishError::TooLarge(size));
        }
        self.unblocked()?;
        let weight = u32::try_from(1 + size / BYTES_PER_PERMIT).unwrap_or(u32::MAX);
        let permit = self
            .permits
            .clone()
            .acquire_many_owned(weight.min(self.unconfirmed))
            .await;
        let permit =
            permit.map_err(|_| PublishError::Away(self.place.away("it was closed here")))?;
        let session = self.unblocked()?;
        let way = Way::of(
            &session,
            &envelope.account,
            envelope.headers.due,
            Timestamp::now(),
        )
        .map_err(PublishError::Refused)?;
        let (told, said) = oneshot::channel();
        let (place, account) = (self.place.clone(), envelope.account.clone());
        let delayed = way.delayed;
        let stay = session.clone();
        let done = move |result: Result<(), Failure>| {
            drop(permit);
            let _ = told.send(result.map_err(|failure| match failure {
                Failure::Returned if !delayed && stay.is_starting() => PublishError::Away(
                    place.away("it has just started, and its lane is not there yet"),
                ),
                Failure::Unsent(why) => PublishError::Away(place.away(why)),
                Failure::Lost(why) => PublishError::Lost(place.away(why)),
                Failure::Returned if !delayed => PublishError::UnknownAccount(account),
                refused => PublishError::Refused(refused.to_string()),
            }));
        };
        session.messages.publish(way.job(envelope, Box::new(done)));
        Ok(Confirmation::new(
            said,
            self.place.away("it was closed here"),
        ))
    }

    async fn subscribe(&self, lane: LaneName, window: u16) -> Result<Lane, BrokerError> {
        let session = self.link.session()?;
        let stop = self.stop.clone();
        self.beat
            .start(self.link.clone(), self.fence.clone(), stop)
            .await;
        lane::subscribe(
            session,
            self.ledger.clone(),
            self.fence.clone(),
            lane,
            window,
        )
        .await
    }

    async fn append(&self, records: Vec<Record>) -> Result<(), BrokerError> {
        self.link.session()?;
        let appended = self.ledger.append(records).await;
        appended.unwrap_or_else(|| Err(self.place.away("it was closed here")))
    }

    async fn ledger(
        &self,
        from: ReadFrom,
        until: ReadUntil,
    ) -> Result<BoxStream<'static, Result<LedgerEntry, BrokerError>>, BrokerError> {
        let source = Source {
            queue: self.names.ledger(),
            prefetch: LEDGER_PREFETCH,
        };
        let entries = stream::read(self.link.clone(), source, from, until, ledger_entry).await?;
        Ok(entries.boxed())
    }

    async fn dead(
        &self,
        from: ReadFrom,
        until: ReadUntil,
    ) -> Result<BoxStream<'static, Result<DeadEntry, BrokerError>>, BrokerError> {
        let source = Source {
            queue: self.names.dead(),
            prefetch: DEAD_PREFETCH,
        };
        let entries = stream::read(self.link.clone(), source, from, until, dead_entry).await?;
        Ok(entries.boxed())
    }

    async fn record(&self, records: Vec<DeadRecord>) -> Result<(), BrokerError> {
        let session = self.link.session()?;
        let confirmations = records.into_iter().map(|record| {
            let (told, said) = oneshot::channel();
            let (properties, body) = codec::dead(record);
            session.effects.publish(Job {
                exchange: session.names.dead(),
                key: "".into(),
                properties,
                body,
                done: Box::new(move |result| {
                    let _ = told.send(result);
                }),
            });
            said
        });
        let confirmations: Vec<_> = confirmations.collect();
        for said in confirmations {
            let said = said.await;
            said.unwrap_or_else(|_| Err(Failure::Lost("it was closed here".into())))
                .map_err(|failure| match failure {
                    Failure::Unsent(why) | Failure::Lost(why) => self.place.away(why),
                    refused => self
                        .place
                        .refused("to append to the dead letters", refused.to_string()),
                })?;
        }
        Ok(())
    }

    async fn announce(&self, announcement: &Announcement) -> Result<(), BrokerError> {
        fleet::announce(&*self.link.session()?, announcement);
        Ok(())
    }

    async fn observe(&self) -> Result<BoxStream<'static, Announcement>, BrokerError> {
        Ok(fleet::observe(self.link.clone()).await?.boxed())
    }

    async fn depth(&self, account: &Account) -> Result<Depth, BrokerError> {
        let session = self.link.session()?;
        let ready = session.ready(&self.names.lane_of(account)).await?;
        Ok(Depth { ready })
    }

    async fn delays(&self, patience: Duration) -> Result<Delays, BrokerError> {
        delays::look(&*self.link.session()?, patience).await
    }

    async fn close(&self) {
        let confirmed = async {
            let _ = self.permits.acquire_many(self.unconfirmed).await;
            self.ledger.idle().await;
        };
        if tokio::time::timeout(UNCONFIRMED, confirmed).await.is_err() {
            tracing::warn!(broker = %self.place, "closed with something unconfirmed");
        }
        self.permits.close();
        self.stop.cancel();
        self.link.clone().closed().await;
    }
}

fn ledger_entry(position: Position, delivered: Delivered) -> Option<LedgerEntry> {
    let Some((writer, kind)) = codec::entry_of(&delivered.properties) else {
        tracing::warn!(
            position = position.0,
            "an entry of the ledger is not understood, and passed over"
        );
        return None;
    };
    Some(LedgerEntry {
        position,
        writer,
        kind,
        lines: delivered.data.into(),
    })
}

fn dead_entry(position: Position, delivered: Delivered) -> Option<DeadEntry> {
    let record = codec::dead_record(position, &delivered.properties, delivered.data);
    record.map(|record| DeadEntry { position, record })
}
