use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use tidings_model::{Account, Announcement, Headers, MessageId, Record, WorkerId, config::Prefix};
use tokio::sync::{oneshot, watch};

use crate::{
    BrokerError, DeadEntry, DeadRecord, Delays, Difference, Lane, LaneName, LedgerEntry,
    PublishError, ReadFrom, ReadUntil, Topology,
};

/// How to connect.
#[derive(Debug, Clone)]
pub struct Options {
    /// First word of every name on the broker.
    pub prefix: Prefix,
    /// Who connects: the worker's id, or the name that operators see at the broker.
    pub name: WorkerId,
    /// After two of these without a sign the connection counts as lost.
    pub heartbeat: Duration,
    /// How many publishes may be unconfirmed before the next one waits.
    pub unconfirmed: usize,
}

impl Options {
    /// The contract's defaults.
    #[must_use]
    pub fn new(name: WorkerId) -> Self {
        Self {
            prefix: Prefix::default(),
            name,
            heartbeat: Duration::from_secs(6),
            unconfirmed: 1000,
        }
    }
}

/// A message as it travels: its body, and what Tidings remembers beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// Which lane it is for.
    pub account: Account,
    /// The message's id.
    pub id: MessageId,
    /// The message's bytes; they never change.
    pub body: Bytes,
    /// What Tidings remembers. A `due` that lies ahead leads through the delays.
    pub headers: Headers,
}

/// Messages in a lane's queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Those that nobody holds.
    pub ready: u64,
}

/// Resolves once the broker has the message for good, or says why not.
#[derive(Debug)]
pub struct Confirmation(oneshot::Receiver<Result<(), PublishError>>, BrokerError);

impl Confirmation {
    /// For adapters: the sender decides; dropping it means `lost`.
    #[must_use]
    pub fn new(receiver: oneshot::Receiver<Result<(), PublishError>>, lost: BrokerError) -> Self {
        Self(receiver, lost)
    }
}

impl Future for Confirmation {
    type Output = Result<(), PublishError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|said| said.unwrap_or_else(|_| Err(PublishError::Lost(self.1.clone()))))
    }
}

/// What a broker must do for Tidings.
///
/// Every adapter passes the same conformance suite. A lost connection is made again for ever; what was asked
/// meanwhile waits or fails as each method says.
#[async_trait]
pub trait Broker: Send + Sync + fmt::Debug {
    /// Where the broker is, without a password.
    fn place(&self) -> String;

    /// Whether the broker answers at the moment.
    fn connected(&self) -> watch::Receiver<bool>;

    /// Declares all that the contract names. Done before: nothing changes.
    ///
    /// # Errors
    /// When something exists differently (each difference is named), or the user may not declare it.
    async fn apply(&self, topology: &Topology) -> Result<(), BrokerError>;

    /// Names every difference between the broker and what the contract names. Changes nothing.
    ///
    /// # Errors
    /// When the broker is away.
    async fn verify(&self, topology: &Topology) -> Result<Vec<Difference>, BrokerError>;

    /// Hands a message over: to its lane, or to the delays where it is due later. Returns once it is on its way (at
    /// once, or when earlier ones are confirmed); the confirmation tells what became of it. Publishes of one caller
    /// keep their order.
    ///
    /// # Errors
    /// What is known before it leaves: too large, broker away or blocked. The rest comes with the confirmation; an
    /// unknown account with a due time ahead cannot be told, and becomes a dead letter, `unroutable`.
    async fn publish(&self, envelope: Envelope) -> Result<Confirmation, PublishError>;

    /// Takes a place at a lane, to hold at most `window` messages of it. Deliveries come once nobody else owns it.
    ///
    /// # Errors
    /// When the broker is away or the lane is missing.
    async fn subscribe(&self, lane: LaneName, window: u16) -> Result<Lane, BrokerError>;

    /// Appends to the ledger; returns once that is confirmed, or fails when the connection breaks first (the records
    /// may then be there all the same).
    ///
    /// # Errors
    /// When the broker is away.
    async fn append(&self, records: Vec<Record>) -> Result<(), BrokerError>;

    /// Reads the ledger. Reading changes nothing.
    ///
    /// # Errors
    /// When the broker is away or the ledger is missing.
    async fn ledger(
        &self,
        from: ReadFrom,
        until: ReadUntil,
    ) -> Result<BoxStream<'static, Result<LedgerEntry, BrokerError>>, BrokerError>;

    /// Reads the dead letters. Reading changes nothing.
    ///
    /// # Errors
    /// When the broker is away or the stream is missing.
    async fn dead(
        &self,
        from: ReadFrom,
        until: ReadUntil,
    ) -> Result<BoxStream<'static, Result<DeadEntry, BrokerError>>, BrokerError>;

    /// Appends to the dead letters, in this order; returns once all of it is confirmed. Where it fails, a part of it
    /// may be there all the same.
    ///
    /// # Errors
    /// When the broker is away, or the stream is missing or not to be written to.
    async fn record(&self, records: Vec<DeadRecord>) -> Result<(), BrokerError>;

    /// Tells the fleet about this worker. Best effort: nothing is kept for who is not there.
    ///
    /// # Errors
    /// When the broker is away.
    async fn announce(&self, announcement: &Announcement) -> Result<(), BrokerError>;

    /// What workers announce from now on, one's own included. Goes on after the connection was lost.
    ///
    /// # Errors
    /// When the broker is away.
    async fn observe(&self) -> Result<BoxStream<'static, Announcement>, BrokerError>;

    /// How many messages wait in a lane.
    ///
    /// # Errors
    /// When the broker is away or the lane is missing.
    async fn depth(&self, account: &Account) -> Result<Depth, BrokerError>;

    /// How much waits in the delays at which level, and whether it moves. Finding that out takes as long as the level
    /// holds a message: longer ones than `patience` allows are not tried.
    ///
    /// # Errors
    /// When the broker is away, something of the delays is missing, or the user may not try them.
    async fn delays(&self, patience: Duration) -> Result<Delays, BrokerError>;

    /// Lets go of the connection, once all that was published is confirmed.
    async fn close(&self);
}
