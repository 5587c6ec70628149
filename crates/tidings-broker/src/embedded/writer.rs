use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use rusqlite::Connection;
use tidings_model::WorkerId;
use tokio::sync::{oneshot, watch};

use super::{batch::Batch, file::File, news::News, pen::Pen};
use crate::BrokerError;

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
pub(super) enum Order {
    /// Write this.
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
        let pen = Pen::new(db, file.clone(), name, fleet, news, look, well);
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
pub(super) fn give_up(job: Box<dyn Job>, file: &File) {
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
