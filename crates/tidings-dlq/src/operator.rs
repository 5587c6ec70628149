//! Acting on dead letters: planned, bounded, recorded.

mod acting;
mod edit;
mod ledger;
mod pace;
mod replay;
mod settling;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use jiff::Timestamp;
use tidings_broker::{Broker, BrokerError};
use tidings_model::{Ended, Invalid, MessageId, OperationId, Verb};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use edit::{Edited, Edition, SetError};
pub use pace::Pace;
pub use replay::{Replay, Resumed};
pub use settling::Settling;

use crate::{Plan, Request};

/// Who acts, and on which broker.
#[derive(Debug, Clone)]
pub struct Operator {
    broker: Arc<dyn Broker>,
    by: String,
}

/// How far an operation has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// What it is about.
    pub stage: Stage,
    /// How many letters it is for.
    pub planned: u64,
    /// For how many it did what it is for.
    pub done: u64,
    /// For how many it could not, or, where a replay waits for outcomes, whose messages died again.
    pub failed: u64,
    /// How many it found claimed or resolved by another, or no longer kept.
    pub skipped: u64,
    /// For how many of these it had done so when it was cut off and went on.
    pub earlier: u64,
}

impl Progress {
    /// How many are through, in whatever way.
    #[must_use]
    pub fn through(&self) -> u64 {
        self.done + self.failed + self.skipped
    }

    /// How many are not.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.planned.saturating_sub(self.through())
    }

    /// How many came through in a second, when it has gone on for so long.
    #[must_use]
    pub fn rate(&self, elapsed: Duration) -> f64 {
        let here = self.through().saturating_sub(self.earlier);
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let here = here as f64;
        here / elapsed.as_secs_f64().max(0.1)
    }
}

/// What an operation is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stage {
    /// It claims its letters.
    #[default]
    Claiming,
    /// It sends, or writes new states.
    Acting,
    /// It waits for the outcomes of what it has sent.
    Waiting,
}

/// How an operation is watched, and stopped.
#[derive(Debug, Clone)]
pub struct Watch {
    /// How far it has come.
    pub progress: watch::Sender<Progress>,
    /// Ends it after the letters in hand; it can be resumed.
    pub stop: CancellationToken,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            progress: watch::Sender::new(Progress::default()),
            stop: CancellationToken::new(),
        }
    }
}

/// What an operation has come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// For how many letters it did what it is for.
    pub done: u64,
    /// For how many it could not, or whose messages died again while a replay watched.
    pub failed: u64,
    /// How many it left alone.
    pub skipped: u64,
    /// Why it stopped before it was through; nobody can resume it.
    pub stopped: Option<String>,
    /// It was asked to stop, and can be resumed.
    pub interrupted: bool,
    /// Which operations had claimed or resolved letters of it, and how many.
    pub lost: BTreeMap<OperationId, u64>,
    /// What went wrong, in words, and how often.
    pub failures: BTreeMap<String, u64>,
}

/// Why an operation did not come to its end. It has not ended: it can be resumed.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The broker could not be read or written.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// Nobody knows the operation.
    #[error("no operation {0} is kept: `tidings-dlq audit` lists those that are")]
    Unknown(OperationId),
    /// Only a replay goes on where it was cut off.
    #[error("operation {0} is no replay but a {1}: do it again, with `--take-over`")]
    NoReplay(OperationId, Verb),
    /// Its parameters are a later version's.
    #[error("operation {0} was begun by another version of tidings-dlq, which can resume it: {1}")]
    Parameters(OperationId, String),
    /// Somebody else began it.
    #[error(
        "operation {operation} was begun by {by}: make sure that it does not run any more, and give `--take-over`"
    )]
    Anothers {
        /// Which operation.
        operation: OperationId,
        /// Who began it.
        by: String,
    },
    /// Another operation has claimed the letter.
    #[error(
        "operation {0} has claimed it and has not ended: once it is abandoned for sure, give `--take-over`"
    )]
    Claimed(OperationId),
    /// The letter is no longer what it was.
    #[error("it was resolved by another operation meanwhile")]
    Resolved,
    /// The new message is none.
    #[error("the message cannot be sent: {0}")]
    Invalid(#[from] Invalid),
    /// The broker did not take the new message.
    #[error("the message was not sent: {0}")]
    Publish(#[from] tidings_broker::PublishError),
    /// The new message has the old one's id.
    #[error("the new message needs an id of its own, not {0}: leave `id` out")]
    SameId(MessageId),
}

impl Operator {
    /// `by` is who is written in the audit: `user@host`, or the console's user.
    #[must_use]
    pub fn new(broker: Arc<dyn Broker>, by: String) -> Self {
        Self { broker, by }
    }

    /// Plans an operation. Nothing is changed.
    ///
    /// # Errors
    /// When the broker is away or has no dead letters' stream.
    pub async fn plan(
        &self,
        verb: Verb,
        request: Request,
        now: Timestamp,
    ) -> Result<Plan, BrokerError> {
        Plan::make(&*self.broker, verb, request, now).await
    }
}

impl Tally {
    /// Whether all that was planned is done, or somebody else's.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.failed == 0 && self.stopped.is_none() && !self.interrupted
    }

    fn fail(&mut self, why: &impl fmt::Display) {
        self.failed += 1;
        *self.failures.entry(why.to_string()).or_default() += 1;
    }
}

impl From<&Ended> for Tally {
    fn from(ended: &Ended) -> Self {
        Self {
            done: ended.done,
            failed: ended.failed,
            skipped: ended.skipped,
            stopped: ended.stopped.clone(),
            ..Self::default()
        }
    }
}
