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
    writer::{Failure, Job, Order, give_up},
};

/// At most so many jobs share a transaction: enough to make a commit's cost small for each, few enough that other
/// processes wait for milliseconds.
const MAX_JOBS: usize = 1000;

/// And at most so many bytes of bodies, unless one alone is larger.
const MAX_BYTES: usize = 8 << 20;

/// Who wrote for so long without a pause lets others in.
const UNBROKEN: Duration = Duration::from_millis(100);

/// Long enough for those who wait, who look each millisecond.
const PAUSE: Duration = Duration::from_millis(3);

/// How soon jobs that must be done are tried again.
const AGAIN: Duration = Duration::from_millis(500);

type Jobs = Vec<Box<dyn Job>>;

/// What the thread that writes holds.
pub(super) struct Pen {
    db: Connection,
    file: File,
    name: WorkerId,
    fleet: i64,
    news: Arc<News>,
    look: Duration,
    well: watch::Sender<bool>,
    /// What failed, must be done all the same, and is tried again by itself so that it holds up nobody else.
    again: Jobs,
    tried: Instant,
    /// SQLite's count of what others wrote.
    seen: Option<i64>,
    trimmed: Instant,
    paused: Instant,
}

/// What came in one go.
struct Gathered {
    jobs: Jobs,
    stop: Option<oneshot::Sender<()>>,
}

impl Pen {
    pub(super) fn new(
        db: Connection,
        file: File,
        name: WorkerId,
        fleet: i64,
        news: Arc<News>,
        look: Duration,
        well: watch::Sender<bool>,
    ) -> Self {
        let now = Instant::now();
        Self {
            db,
            file,
            name,
            fleet,
            news,
            look,
            well,
            again: Jobs::new(),
            tried: now,
            seen: None,
            trimmed: now,
            paused: now,
        }
    }

    pub(super) fn write_all(mut self, orders: &mpsc::Receiver<Order>) {
        loop {
            let gathered = self.gather(orders);
            self.write(gathered.jobs);
            if gathered.stop.is_some() || self.tried.elapsed() >= AGAIN {
                self.tried = Instant::now();
                let again = mem::take(&mut self.again);
                self.write(again);
            }
            if let Some(stopped) = gathered.stop {
                let again = mem::take(&mut self.again);
                again.into_iter().for_each(|job| give_up(job, &self.file));
                let _ = stopped.send(());
                return;
            }
            self.pause();
            self.look();
        }
    }

    /// Waits for something to do, and takes all that is there, up to what fits a transaction.
    fn gather(&mut self, orders: &mpsc::Receiver<Order>) -> Gathered {
        let mut next = self.wait(orders);
        let (mut jobs, mut bytes) = (Jobs::new(), 0);
        let stop = loop {
            match next {
                Ok(Order::Do(job)) => {
                    bytes += job.bytes();
                    jobs.push(job);
                }
                Ok(Order::Listen) => {}
                Ok(Order::Stop(stopped)) => break Some(stopped),
                Err(mpsc::RecvTimeoutError::Timeout) => break None,
                // Nobody is left who could ask for anything.
                Err(mpsc::RecvTimeoutError::Disconnected) => break Some(oneshot::channel().0),
            }
            if jobs.len() >= MAX_JOBS || bytes >= MAX_BYTES {
                break None;
            }
            match orders.try_recv() {
                Ok(order) => next = Ok(order),
                Err(_) => break None,
            }
        };
        Gathered { jobs, stop }
    }

    /// The next order; it is waited for no longer than until it is time to look at the file.
    fn wait(&mut self, orders: &mpsc::Receiver<Order>) -> Result<Order, mpsc::RecvTimeoutError> {
        if let Ok(order) = orders.try_recv() {
            return Ok(order);
        }
        self.paused = Instant::now();
        let patience = match (self.news.is_heard(), self.again.is_empty()) {
            (true, _) => self.look,
            (false, false) => AGAIN,
            (false, true) => return orders.recv().map_err(mpsc::RecvTimeoutError::from),
        };
        orders.recv_timeout(patience)
    }

    /// Does jobs in one transaction, and keeps those that must be tried again.
    fn write(&mut self, mut jobs: Jobs) {
        while !jobs.is_empty() {
            match self.transact(&mut jobs) {
                Ok(()) => {
                    // What only reads succeeds on a full disk too: it proves nothing while something waits.
                    if self.again.is_empty() {
                        self.set_well(None);
                    }
                    jobs.drain(..).for_each(Job::done);
                }
                Err(Trouble::In(index, error)) => {
                    // One job met something that it cannot do: it is not the others' fault.
                    let failure = self.failure(&error, false);
                    tracing::error!(broker = self.file.place(), %error, "something could not be written");
                    self.again.extend(jobs.remove(index).failed(&failure));
                }
                Err(Trouble::Everywhere(error, committing)) => {
                    let failure = self.failure(&error, committing);
                    self.set_well(Some(&failure));
                    let again = jobs.drain(..).filter_map(|job| job.failed(&failure));
                    self.again.extend(again);
                }
            }
        }
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
