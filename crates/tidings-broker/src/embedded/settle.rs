use std::sync::Arc;

use async_trait::async_trait;
use tidings_model::Record;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    batch::{Batch, kind_of},
    clock, headers, lease,
    place::Place,
    queue,
    writer::{Failure, Job, Writer},
};
use crate::{
    Delivery, Effect, EntryKind, FENCE, LedgerEntry, Settle, Settlement, Ticket,
    fault::{self, Point},
};

/// How an owner gives deliveries back. Events are told to nobody: who is on the same host follows the ledger.
#[derive(Debug)]
pub(super) struct Hands {
    pub(super) place: Arc<Place>,
    pub(super) writer: Writer,
    /// Asks the keeper to let the lane go.
    pub(super) closing: CancellationToken,
    /// The keeper let it go.
    pub(super) closed: CancellationToken,
}

#[async_trait]
impl Settle for Hands {
    fn settle(&self, delivery: Delivery, settlement: Settlement) {
        self.put(delivery, settlement.record.as_ref(), &settlement.effect);
    }

    /// A decision and its effect are written together, so the effect is missing only where the lane was lost between
    /// the decision and its being written: then the record stands alone, and this delivery is the one that the
    /// decision was about. Otherwise it is a copy, and so is what follows from it: the same decision stops that too.
    fn repeat(&self, delivery: Delivery, effect: Effect) {
        self.put(delivery, None, &effect);
    }

    async fn close(&self) {
        self.closing.cancel();
        self.closed.cancelled().await;
    }
}

impl Hands {
    fn put(&self, delivery: Delivery, record: Option<&Record>, effect: &Effect) {
        let (ticket, _, _) = delivery.into_parts();
        self.writer.put(Box::new(Settling {
            place: Arc::clone(&self.place),
            ticket,
            line: record.map(|record| (kind_of(record), LedgerEntry::lines([record]))),
            follows: Follows::from(effect),
            asked_at: Instant::now(),
            found: Found::Lost,
        }));
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

/// One delivery's record, effect and end. They are written together or not at all.
struct Settling {
    place: Arc<Place>,
    ticket: Ticket,
    line: Option<(EntryKind, Vec<u8>)>,
    follows: Follows,
    asked_at: Instant,
    found: Found,
}

/// An effect as it is written.
enum Follows {
    Nothing,
    Copy { due: Option<i64>, headers: String },
    Letter(String),
}

/// How a settling found its lane.
enum Found {
    /// Ours, and the lease outlasts the fence.
    Held,
    /// Ours, but not for long.
    Ending,
    /// Not ours.
    Lost,
}

impl From<&Effect> for Follows {
    fn from(effect: &Effect) -> Self {
        match effect {
            Effect::Done => Self::Nothing,
            Effect::PutBack(copy) => Self::Copy {
                due: copy.due.map(clock::due),
                headers: headers::encode(copy),
            },
            // Plain data with string keys: writing it cannot fail.
            Effect::Bury(head) => Self::Letter(serde_json::to_string(head).unwrap_or_default()),
        }
    }
}

impl Job for Settling {
    fn run(&mut self, batch: &mut Batch<'_>) -> rusqlite::Result<()> {
        let held = lease::held(batch, self.place.lane, self.place.tenure())?;
        // What was decided is recorded whoever owns the lane now: the call was made.
        if let Some((kind, line)) = &self.line {
            batch.record(*kind, line)?;
        }
        let Some(until) = held else {
            self.found = Found::Lost;
            return Ok(());
        };
        self.found = match until.saturating_sub(batch.uptime) >= lease::millis(FENCE) {
            true => Found::Held,
            false => Found::Ending,
        };
        fault::reached(Point::Recorded);
        self.take_effect(batch)?;
        fault::reached(Point::Effected);
        Ok(())
    }

    fn done(self: Box<Self>) {
        fault::reached(Point::Acknowledged);
        match self.found {
            Found::Held => self.place.fence.confirmed(self.asked_at),
            Found::Ending => {}
            Found::Lost => return self.place.lose(LOST),
        }
        self.place.settled(self.ticket);
    }

    fn failed(self: Box<Self>, _: &Failure) -> Option<Box<dyn Job>> {
        Some(self)
    }
}

/// Why a lane was lost.
pub(super) const LOST: &str = "its lease was not renewed in time, and another took it";

impl Settling {
    fn take_effect(&self, batch: &mut Batch<'_>) -> rusqlite::Result<()> {
        let seq = i64::try_from(self.ticket.0).unwrap_or(i64::MAX);
        let Some(body) = queue::take(batch, self.place.lane, seq)? else {
            tracing::warn!(lane = %self.place.name, seq, "a message that is settled was gone from the file already");
            return Ok(());
        };
        match &self.follows {
            Follows::Nothing => queue::forget(batch, body),
            Follows::Copy { due, headers } => {
                queue::put(batch, self.place.lane, *due, headers, body)
            }
            Follows::Letter(head) => queue::bury(batch, head, body),
        }
    }
}
