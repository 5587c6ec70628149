//! Writing the ledger: the records of all lanes together, in batches.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use tidings_model::{Record, WorkerId};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    codec,
    effect::Settling,
    link::Link,
    publisher::{Failure, Job},
    session::Session,
};
use crate::{BrokerError, EntryKind, LedgerEntry};

/// How many records go into a batch.
const FULL: usize = 100;
/// How long a record waits for others.
const LINGER: Duration = Duration::from_millis(3);
/// How long to wait where the ledger itself refuses a batch.
const REFUSED: Duration = Duration::from_secs(1);
/// How long to wait before records are appended again where the broker may still be starting.
const STARTING_PAUSE: Duration = Duration::from_millis(100);

/// Where records are handed in.
#[derive(Debug, Clone)]
pub(super) struct Ledger(mpsc::UnboundedSender<Ask>);

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all of them are the large one"
)]
enum Ask {
    Settle(Record, Settling),
    Append(Arc<[Record]>, oneshot::Sender<Result<(), Unwritten>>),
    /// A batch that was not confirmed is to be written again.
    Again(Bytes),
    /// A batch was confirmed, or given back.
    Answered,
    /// Answer once everything is written.
    Idle(oneshot::Sender<()>),
}

/// Why records are not known to be in the ledger.
#[derive(Debug)]
struct Unwritten {
    /// Nothing was written, because the broker may still be starting.
    passes: bool,
    error: BrokerError,
}

impl Ledger {
    pub(super) fn start(link: Link, writer: WorkerId, stop: CancellationToken) -> Self {
        let (sender, asks) = mpsc::unbounded_channel();
        let task = Writer {
            link,
            writer,
            stop,
            asks: sender.downgrade(),
            open: Batch::default(),
            deadline: None,
            again: VecDeque::new(),
            again_at: Instant::now(),
            unanswered: 0,
            idle: Vec::new(),
        };
        tokio::spawn(task.run(asks));
        Self(sender)
    }

    /// Records a decision; what follows from it is done once that is confirmed.
    pub(super) fn settle(&self, record: Record, settling: Settling) {
        let _ = self.0.send(Ask::Settle(record, settling));
    }

    /// Appends records; answers once they are confirmed.
    pub(super) async fn append(&self, records: Vec<Record>) -> Option<Result<(), BrokerError>> {
        let records: Arc<[Record]> = records.into();
        loop {
            let (done, answer) = oneshot::channel();
            self.0.send(Ask::Append(records.clone(), done)).ok()?;
            match answer.await.ok()? {
                Err(unwritten) if unwritten.passes => {
                    tokio::time::sleep(STARTING_PAUSE).await;
                }
                answer => return Some(answer.map_err(|unwritten| unwritten.error)),
            }
        }
    }

    /// Waits until everything that was handed in is written.
    pub(super) async fn idle(&self) {
        let (done, answer) = oneshot::channel();
        if self.0.send(Ask::Idle(done)).is_ok() {
            let _ = answer.await;
        }
    }
}

#[derive(Default)]
struct Batch {
    lines: Vec<u8>,
    settling: Vec<Settling>,
}

struct Writer {
    link: Link,
    writer: WorkerId,
    stop: CancellationToken,
    asks: mpsc::WeakUnboundedSender<Ask>,
    open: Batch,
    deadline: Option<Instant>,
    /// Unconfirmed when the connection broke, oldest first.
    again: VecDeque<Bytes>,
    again_at: Instant,
    unanswered: usize,
    idle: Vec<oneshot::Sender<()>>,
}

impl Writer {
    async fn run(mut self, mut asks: mpsc::UnboundedReceiver<Ask>) {
        let mut taken = Vec::with_capacity(FULL);
        loop {
            let deadline = self.deadline;
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                count = asks.recv_many(&mut taken, FULL) => {
                    if count == 0 {
                        return;
                    }
                    taken.drain(..).for_each(|ask| self.take(ask));
                }
                () = until(deadline) => self.flush(),
                () = self.can_write_again(), if !self.again.is_empty() => self.write_again(),
            }
            self.tell_idle();
        }
    }

    fn take(&mut self, ask: Ask) {
        match ask {
            Ask::Settle(record, settling) => {
                self.open.lines.extend(LedgerEntry::lines([&record]));
                self.open.settling.push(settling);
                self.deadline.get_or_insert_with(|| Instant::now() + LINGER);
                if self.open.settling.len() >= FULL {
                    self.flush();
                }
            }
            Ask::Append(records, done) => {
                // What was decided before stands before it.
                self.flush();
                self.append(&records, done);
            }
            Ask::Again(lines) => {
                self.unanswered -= 1;
                self.again.push_back(lines);
            }
            Ask::Answered => self.unanswered -= 1,
            Ask::Idle(done) => {
                self.flush();
                self.idle.push(done);
            }
        }
    }

    fn tell_idle(&mut self) {
        if self.unanswered == 0 && self.again.is_empty() && self.deadline.is_none() {
            for done in self.idle.drain(..) {
                let _ = done.send(());
            }
        }
    }

    /// Writes the open batch, behind what has to be written again.
    fn flush(&mut self) {
        self.deadline = None;
        let Batch { lines, settling } = std::mem::take(&mut self.open);
        if settling.is_empty() {
            return;
        }
        let lines = Bytes::from(lines);
        match self.link.session() {
            Ok(session) => {
                self.write_again_to(&session);
                self.write(&session, lines, settling);
            }
            // Who gets the messages again makes the effects.
            Err(away) => {
                for settling in settling {
                    settling.failed(&away.to_string());
                }
                self.again.push_back(lines);
            }
        }
    }

    /// Resolves when there is a session to write to.
    async fn can_write_again(&self) {
        tokio::time::sleep_until(self.again_at).await;
        if self.link.clone().up().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    fn write_again(&mut self) {
        let Ok(session) = self.link.session() else {
            return;
        };
        self.write_again_to(&session);
    }

    fn write_again_to(&mut self, session: &Arc<Session>) {
        if self.again.is_empty() {
            return;
        }
        for lines in std::mem::take(&mut self.again) {
            self.write(session, lines, Vec::new());
        }
        // Where it is refused again, not at once.
        self.again_at = Instant::now() + REFUSED;
    }

    fn write(&mut self, session: &Arc<Session>, lines: Bytes, settling: Vec<Settling>) {
        self.unanswered += 1;
        let asks = self.asks.clone();
        let kept = lines.clone();
        let done = move |result: Result<(), Failure>| {
            let answer = match result {
                Ok(()) => {
                    settling.into_iter().for_each(Settling::recorded);
                    Ask::Answered
                }
                Err(failure) => {
                    tracing::warn!(%failure, "decisions are not in the ledger yet: they are written again");
                    for settling in settling {
                        settling
                            .failed(&format!("the ledger did not take its decision: {failure}"));
                    }
                    Ask::Again(kept)
                }
            };
            if let Some(asks) = asks.upgrade() {
                let _ = asks.send(answer);
            }
        };
        session
            .ledger
            .publish(self.job(session, EntryKind::Decisions, lines, Box::new(done)));
    }

    fn append(&mut self, records: &[Record], done: oneshot::Sender<Result<(), Unwritten>>) {
        let session = match self.link.session() {
            Ok(session) => session,
            Err(error) => {
                let passes = false;
                let _ = done.send(Err(Unwritten { passes, error }));
                return;
            }
        };
        // A lost lane's note names only what is not decided: the decisions must stand before it.
        self.write_again_to(&session);
        let kinds = records.chunk_by(|one, next| kind(one) == kind(next));
        let mut chunks: Vec<&[Record]> = kinds.collect();
        let Some(last) = chunks.pop() else {
            let _ = done.send(Ok(()));
            return;
        };
        // Confirmations of one channel come in order: the last one's speaks for all, unless one before it failed.
        let failed = Arc::new(std::sync::OnceLock::new());
        for chunk in chunks {
            let failed = failed.clone();
            let done = move |result: Result<(), Failure>| {
                if let Err(failure) = result {
                    let _ = failed.set(failure);
                }
            };
            self.append_chunk(&session, chunk, Box::new(done));
        }
        let stay = session.clone();
        let answer = move |result: Result<(), Failure>| {
            let result = failed.get().cloned().map_or(result, Err);
            let _ = done.send(result.map_err(|failure| {
                Unwritten {
                    passes: failure == Failure::Returned && stay.is_starting(),
                    error: match failure {
                        Failure::Unsent(why) | Failure::Lost(why) => stay.place.away(why),
                        refused => stay
                            .place
                            .refused("to append to the ledger", refused.to_string()),
                    },
                }
            }));
        };
        self.append_chunk(&session, last, Box::new(answer));
    }

    fn append_chunk(
        &mut self,
        session: &Arc<Session>,
        records: &[Record],
        done: super::publisher::Done,
    ) {
        let Some(first) = records.first() else { return };
        self.unanswered += 1;
        let asks = self.asks.clone();
        let done = move |result: Result<(), Failure>| {
            done(result);
            if let Some(asks) = asks.upgrade() {
                let _ = asks.send(Ask::Answered);
            }
        };
        let lines = LedgerEntry::lines(records).into();
        session
            .ledger
            .publish(self.job(session, kind(first), lines, Box::new(done)));
    }

    fn job(
        &self,
        session: &Session,
        kind: EntryKind,
        lines: Bytes,
        done: super::publisher::Done,
    ) -> Job {
        Job {
            exchange: session.names.ledger(),
            key: "".into(),
            properties: codec::entry(&self.writer, kind),
            body: lines,
            done,
        }
    }
}

fn kind(record: &Record) -> EntryKind {
    match record {
        Record::Decided(_) => EntryKind::Decisions,
        _ => EntryKind::Tenures,
    }
}

/// Waits for a deadline, where there is one.
pub(super) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
