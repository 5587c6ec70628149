use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use tidings_model::{Account, Headers, LetterHead, Record};
use tokio::sync::mpsc;

use crate::Fence;

/// Which queue to own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LaneName {
    /// The queue of one account.
    Account(Account),
    /// What came out of the delays and found no lane: to be buried, never to be called.
    Unroutable,
}

impl fmt::Display for LaneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(account) => account.fmt(f),
            Self::Unroutable => f.write_str("unroutable"),
        }
    }
}

/// One's place at a lane: deliveries come as events once nobody else owns it, and are given back settled.
#[derive(Debug)]
pub struct Lane {
    /// What happens at the lane, in order. It ends after [`LaneEvent::Lost`], or when the lane was closed.
    pub events: mpsc::UnboundedReceiver<LaneEvent>,
    /// The other direction.
    pub settle: Arc<dyn Settle>,
    /// Whether calls may start.
    pub fence: Fence,
}

/// What happens at a lane.
#[derive(Debug)]
pub enum LaneEvent {
    /// A message to handle: this process owns the lane.
    Delivered(Delivery),
    /// Everything about this delivery is confirmed: it will not come again.
    Settled(Ticket),
    /// The lane is lost: what is not settled comes again, to whoever owns it next. In words, why.
    Lost(String),
}

/// Names a delivery within its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// How deliveries are given back. Every call returns at once; [`LaneEvent::Settled`] tells when it is done.
#[async_trait]
pub trait Settle: Send + Sync + fmt::Debug {
    /// Records the decision in the ledger, then makes its effect, then acknowledges: each confirmed before the next
    /// begins. A record that could not be written before the connection broke is written after it is back; the
    /// effect is then left to whoever gets the message again.
    fn settle(&self, delivery: Delivery, settlement: Settlement);

    /// Makes a remembered decision's effect again, then acknowledges. For a delivery that was decided before.
    fn repeat(&self, delivery: Delivery, effect: Effect);

    /// Lets the lane go. What is unsettled comes again, to whoever owns it next, in its old order.
    async fn close(&self);
}

/// A message in our hands. It must be settled, repeated or left: a forgotten one is loud.
#[derive(Debug)]
pub struct Delivery {
    /// Names it within its lane.
    pub ticket: Ticket,
    /// The message's bytes, as they were published.
    pub body: Bytes,
    /// What Tidings remembers of it.
    pub headers: Headers,
    /// It was handed out before, to us or another: whether anything was done with it is not known here.
    pub redelivered: bool,
    /// How often it was handed out before without being settled, where the broker counts.
    pub returns: u32,
    held: Held,
}

/// Notices when a delivery is dropped without a word.
#[derive(Debug)]
struct Held(bool);

impl Drop for Held {
    fn drop(&mut self) {
        if self.0 && !std::thread::panicking() {
            tracing::error!(
                "a delivery was dropped without being settled: it stays with its lane until that is closed"
            );
            debug_assert!(!self.0, "a delivery was dropped without being settled");
        }
    }
}

impl Delivery {
    /// For adapters: a message is in our hands from now on.
    #[must_use]
    pub fn new(
        ticket: Ticket,
        body: Bytes,
        headers: Headers,
        redelivered: bool,
        returns: u32,
    ) -> Self {
        Self {
            ticket,
            body,
            headers,
            redelivered,
            returns,
            held: Held(true),
        }
    }

    /// Leaves it unsettled: it comes again once the lane is closed or lost.
    pub fn leave(mut self) {
        self.held.0 = false;
    }

    /// For adapters: takes it apart in order to settle it.
    #[must_use]
    pub fn into_parts(mut self) -> (Ticket, Bytes, Headers) {
        self.held.0 = false;
        (
            self.ticket,
            std::mem::take(&mut self.body),
            std::mem::take(&mut self.headers),
        )
    }
}

/// A decision, and what follows from it.
#[derive(Debug)]
pub struct Settlement {
    /// What the ledger says of it; `None` only where not even the account is known.
    pub record: Option<Record>,
    /// What follows.
    pub effect: Effect,
    /// What subscribers are told once the ledger has the record, best effort.
    pub event: Option<Event>,
}

/// What follows from a decision, beyond the acknowledgement.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Nothing: the message has ended well.
    Done,
    /// A copy with these headers goes back, through the delays where its due time lies ahead.
    PutBack(Box<Headers>),
    /// A dead letter.
    Bury(Box<LetterHead>),
}

/// An outcome event for `tidings.events`.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `delivered`, `dead` or `retrying`.
    pub kind: &'static str,
    /// Whose.
    pub account: Account,
    /// The event as JSON.
    pub json: Bytes,
}
