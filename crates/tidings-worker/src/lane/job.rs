use std::sync::Arc;

use tidings_broker::Delivery;
use tidings_model::{Attempt, Headers, Message, MessageId};
use tokio::time::Instant;

/// A message that an owner holds, on its way to a call.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) delivery: Delivery,
    pub(super) message: Arc<Message>,
    /// What Tidings remembers of it, with the attempt of this turn added once it was made.
    pub(super) headers: Headers,
    /// The attempt of this turn, once it was made.
    pub(super) attempt: Option<Attempt>,
    /// Whether this tenure inherited it as unknown: the note must name it until it is decided.
    pub(super) inherited: bool,
    pub(super) need: Need,
    /// Since when it waits to be called.
    pub(super) held_since: Instant,
}

/// What a job needs before it can be decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Need {
    /// A call.
    Call,
    /// A look-up, since an attempt may have delivered it.
    LookUp,
    /// A look-up, since the provider said that it has it already.
    Confirm,
    /// A call soon after this moment: a look-up that began then did not find it.
    CallAfterReading(Instant),
}

/// How long a reading of the index can be relied upon.
const READING: std::time::Duration = std::time::Duration::from_secs(20);

/// How long a message may wait in our hands: RabbitMQ takes the lane from who holds one for half an hour, and a new
/// tenure's buckets start empty, so that a rate of less than that would never send anything.
pub(super) const HELD: std::time::Duration = std::time::Duration::from_secs(15 * 60);

impl Job {
    pub(super) fn id(&self) -> &MessageId {
        &self.message.id
    }

    /// A reading that is too old to rely on is made again.
    pub(super) fn refresh(&mut self, now: Instant) {
        if let Need::CallAfterReading(read) = self.need
            && now.duration_since(read) > READING
        {
            self.need = Need::LookUp;
        }
    }

    pub(super) fn is_held_too_long(&self, now: Instant) -> bool {
        now.duration_since(self.held_since) > HELD
    }

    pub(super) fn needs_look_up(&self) -> bool {
        matches!(self.need, Need::LookUp | Need::Confirm)
    }

    /// Whether the note must name it while it waits: an earlier tenure may have sent it, or this one has.
    pub(super) fn must_be_named(&self) -> bool {
        self.inherited || self.attempt.is_some()
    }

    /// Takes it out of our hands undecided: it comes again once the lane is closed.
    pub(super) fn leave(self) {
        self.delivery.leave();
    }
}
