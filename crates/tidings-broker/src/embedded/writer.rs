use std::{
    mem,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tidings_model::WorkerId;
use tokio::sync::{oneshot, watch};

use super::{
    batch::Batch,
    file::File,
    news::{News, Topic},
    trim,
};
use crate::BrokerError;

/// At most so many jobs share a transaction: enough to make a commit's cost small for each, few enough that other
/// processes wait for milliseconds.
const MAX_JOBS: usize = 1000;

/// And at most so many bytes of bodies, unless one alone is larger.
const MAX_BYTES: usize = 8 << 20;

/// Who wrote for so long without a pause lets others in.
const UNBROKEN: Duration = Duration::from_millis(100);

/// Long enough for those who wait, who look each millisecond.
const PAUSE: Duration = Duration::from_millis(3);

/// How soon a job that must be done is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// Something to write. It runs inside a transaction that it may share, and is answered after that.
pub(super) trait Job: Send {
    /// Runs. It may run again where a transaction failed: then it begins anew.
    fn run(&mut self, batch: &mut Batch<'_>) -> rusqlite::Result<()>;

    /// It is on the disk.
    fn done(self: Box<Self>);

    /// It is not. A job that gives itself back is tried again, for ever.
    fn failed(self: Box<Self>, failure: &Failure) -> Option<Box<dyn Job>>;

    /// How many bytes it writes, where they are many.
    fn bytes(&self) -> usize {
        0
    }
}

/// Why a job was not done.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// In the port's words.
    pub(super) error: BrokerError,
    /// The disk, or what the process may use of it, is full.
    pub(super) full: bool,
    /// The commit itself failed: nobody knows what a crash would leave.
    pub(super) committing: bool,
}

/// What the writer's thread is told.
enum Order {
    Do(Box<dyn Job>),
    /// Somebody listens to the news from now on.
    Listen,
    /// Finish what came before, and end.
    Stop(oneshot::Sender<()>),
}

/// The way to the one thread of this process that writes to the file.
///
/// It takes all that waits, does it in one transaction and commits once (a commit waits for the disk). Between
/// transactions it looks whether another process wrote, and tells who waits for news.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    orders: mpsc::Sender<Order>,
    file: File,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(
        file: File,
        db: Connection,
        name: WorkerId,
        fleet: i64,
        news: Arc<News>,
        look: Duration,
    ) -> Result<(Self, watch::Receiver<bool>), BrokerError> {
        let (orders, received) = mpsc::channel();
        let (well, connected) = watch::channel(true);
        let mut pen = Pen {
            db,
            file: file.clone(),
            name,
            fleet,
            news,
            look,
            well,
            seen: None,
            trimmed: Instant::now(),
            paused: Instant::now(),
        };
        thread::Builder::new()
            .name("tidings-writer".into())
            .spawn(move || pen.write_all(&received))
            .map_err(|error| file.away(&error.to_string()))?;
        Ok((Self { orders, file }, connected))
    }

    /// Hands a job over. Jobs run in the order in which they come.
    pub(super) fn put(&self, job: Box<dyn Job>) {
        if let Err(mpsc::SendError(Order::Do(job))) = self.orders.send(Order::Do(job)) {
            give_up(job, &self.file);
        }
    }

    /// Runs something in a transaction, and returns what it says once that is on the disk.
    pub(super) async fn ask<T, F>(&self, run: F) -> Result<T, BrokerError>
    where
        T: Send + 'static,
        F: FnMut(&mut Batch<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.put(Box::new(Ask {
            run,
            said: None,
            reply,
        }));
        answer.await.unwrap_or_else(|_| Err(self.file.closed()))
    }

    /// Makes sure that the thread looks for what other processes write.
    pub(super) fn listen(&self) {
        let _ = self.orders.send(Order::Listen);
    }

    /// Ends the thread once all that was put before is done.
    pub(super) async fn stop(&self) {
        let (stopped, wait) = oneshot::channel();
        let _ = self.orders.send(Order::Stop(stopped));
        let _ = wait.await;
    }
}

/// Answers a job that comes too late.
fn give_up(job: Box<dyn Job>, file: &File) {
    let closed = Failure {
        error: file.closed(),
        full: false,
        committing: false,
    };
    if job.failed(&closed).is_some() {
        let broker = file.place();
        tracing::error!(
            broker,
            "a decision was not written before the broker was closed: its message comes again"
        );
    }
}

struct Ask<T, F> {
    run: F,
    said: Option<T>,
    reply: oneshot::Sender<Result<T, BrokerError>>,
}

impl<T, F> Job for Ask<T, F>
where
    T: Send,
    F: FnMut(&mut Batch<'_>) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, batch: &mut Batch<'_>) -> rusqlite::Result<()> {
        self.said = Some((self.run)(batch)?);
        Ok(())
    }

    fn done(self: Box<Self>) {
        if let Some(said) = self.said {
            let _ = self.reply.send(Ok(said));
        }
    }

    fn failed(self: Box<Self>, failure: &Failure) -> Option<Box<dyn Job>> {
        let _ = self.reply.send(Err(failure.error.clone()));
        None
    }
}

type Jobs = Vec<Box<dyn Job>>;

/// What the writer's thread holds.
struct Pen {
    db: Connection,
    file: File,
    name: WorkerId,
    fleet: i64,
    news: Arc<News>,
    look: Duration,
    well: watch::Sender<bool>,
    /// SQLite's count of what others wrote.
    seen: Option<i64>,
    trimmed: Instant,
    paused: Instant,
}

impl Pen {
    fn write_all(&mut self, orders: &mpsc::Receiver<Order>) {
        let mut jobs = Jobs::new();
        loop {
            let stop = self.gather(orders, &mut jobs);
            jobs = self.write(mem::take(&mut jobs));
            if let Some(stopped) = stop {
                jobs.into_iter().for_each(|job| give_up(job, &self.file));
                let _ = stopped.send(());
                return;
            }
            self.look();
        }
    }

    /// Waits for something to do, and takes all that is there, up to what fits a transaction.
    fn gather(
        &mut self,
        orders: &mpsc::Receiver<Order>,
        jobs: &mut Jobs,
    ) -> Option<oneshot::Sender<()>> {
        let patience = if jobs.is_empty() { self.look } else { AGAIN };
        let mut next = match orders.try_recv() {
            Err(mpsc::TryRecvError::Empty) => {
                self.paused = Instant::now();
                if jobs.is_empty() && !self.news.is_heard() {
                    orders
                        .recv()
                        .map_err(|_| mpsc::RecvTimeoutError::Disconnected)
                } else {
                    orders.recv_timeout(patience)
                }
            }
            Err(mpsc::TryRecvError::Disconnected) => Err(mpsc::RecvTimeoutError::Disconnected),
            Ok(order) => Ok(order),
        };
        let mut bytes = 0;
        loop {
            match next {
                Ok(Order::Do(job)) => {
                    bytes += job.bytes();
                    jobs.push(job);
                }
                Ok(Order::Listen) => {}
                Ok(Order::Stop(stopped)) => return Some(stopped),
                Err(mpsc::RecvTimeoutError::Timeout) => return None,
                // Nobody is left who could ask for anything.
                Err(mpsc::RecvTimeoutError::Disconnected) => return Some(oneshot::channel().0),
            }
            if jobs.len() >= MAX_JOBS || bytes >= MAX_BYTES {
                return None;
            }
            match orders.try_recv() {
                Ok(order) => next = Ok(order),
                Err(_) => return None,
            }
        }
    }

    /// Does jobs in one transaction. Returns those that must be tried again.
    fn write(&mut self, mut jobs: Jobs) -> Jobs {
        let mut again = Jobs::new();
        while !jobs.is_empty() {
            match self.transact(&mut jobs) {
                Ok(()) => {
                    self.set_well(None);
                    jobs.drain(..).for_each(Job::done);
                }
                Err(Trouble::In(index, error)) => {
                    // One job met something that it cannot do: it is not the others' fault.
                    let failure = self.failure(&error, false);
                    tracing::error!(broker = self.file.place(), %error, "something could not be written");
                    again.extend(jobs.remove(index).failed(&failure));
                }
                Err(Trouble::Everywhere(error, committing)) => {
                    let failure = self.failure(&error, committing);
                    self.set_well(Some(&failure));
                    again.extend(jobs.drain(..).filter_map(|job| job.failed(&failure)));
                }
            }
        }
        self.pause();
        again
    }

    fn transact(&mut self, jobs: &mut Jobs) -> Result<(), Trouble> {
        let everywhere = |error| Trouble::Everywhere(error, false);
        let tx = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(everywhere)?;
        let mut batch = Batch::new(&tx, self.fleet, &self.name);
        for (index, job) in jobs.iter_mut().enumerate() {
            job.run(&mut batch)
                .map_err(|error| match is_general(&error) {
                    true => Trouble::Everywhere(error, false),
                    false => Trouble::In(index, error),
                })?;
        }
        let told = batch.finish().map_err(everywhere)?;
        if self.trimmed.elapsed() >= trim::EACH {
            trim::trim(&tx, self.fleet).map_err(everywhere)?;
            self.trimmed = Instant::now();
        }
        tx.commit()
            .map_err(|error| Trouble::Everywhere(error, true))?;
        told.into_iter().for_each(|topic| self.news.tell(topic));
        Ok(())
    }

    /// Lets other processes write, where this one did so for long: SQLite knows no queue.
    fn pause(&mut self) {
        if self.paused.elapsed() >= UNBROKEN {
            thread::sleep(PAUSE);
            self.paused = Instant::now();
        }
    }

    /// Looks whether another process wrote. Costs a few microseconds.
    fn look(&mut self) {
        if !self.news.is_heard() {
            return;
        }
        let version = self
            .db
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut pragma| pragma.query_row((), |row| row.get(0)));
        match version {
            Ok(version) if self.seen == Some(version) => {}
            Ok(version) => {
                self.seen = Some(version);
                Topic::ALL
                    .into_iter()
                    .for_each(|topic| self.news.tell(topic));
            }
            Err(error) => {
                let failure = self.failure(&error, false);
                self.set_well(Some(&failure));
            }
        }
    }

    fn failure(&self, error: &rusqlite::Error, committing: bool) -> Failure {
        Failure {
            error: self.file.error(error),
            full: error.sqlite_error_code() == Some(ErrorCode::DiskFull),
            committing,
        }
    }

    fn set_well(&self, failure: Option<&Failure>) {
        let well = failure.is_none();
        if !self
            .well
            .send_if_modified(|was| mem::replace(was, well) != well)
        {
            return;
        }
        let broker = self.file.place();
        match failure {
            None => tracing::info!(broker, "the broker's file can be written again"),
            Some(failure) => {
                tracing::error!(broker, error = %failure.error, "the broker's file cannot be written");
            }
        }
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        self.well.send_replace(false);
    }
}

/// Why a transaction was not made.
enum Trouble {
    /// One job is at fault.
    In(usize, rusqlite::Error),
    /// No job is; whether it was the commit.
    Everywhere(rusqlite::Error, bool),
}

/// Whether an error is about the file rather than about what was done to it.
fn is_general(error: &rusqlite::Error) -> bool {
    !matches!(
        error.sqlite_error_code(),
        None | Some(
            ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::Unknown
        )
    )
}
