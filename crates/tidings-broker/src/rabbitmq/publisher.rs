//! Publishing with confirms, pipelined: one task and one channel, so that publishes keep their order.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use lapin::{
    BasicProperties, Confirmation,
    message::BasicReturnMessage,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::ShortString,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    channel::{OpenChannel, OpenConnection},
    place::{code, reply},
    window::{Judgement, Said, Window},
};
use crate::Fence;

/// How many publishes are taken up at once.
const TAKEN: usize = 256;
/// How long confirmations that are on their way may still come once the connection is lost.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long a publish may stay without an answer while the broker takes any. What reaches a stream of RabbitMQ 3.10 whose leader
/// has just gone (it restarts, or was killed) can be forgotten, and nothing is ever said of it: then the channel is given up, and
/// who published does so again.
const UNANSWERED: Duration = Duration::from_secs(20);

/// Something to publish.
pub(super) struct Job {
    pub(super) exchange: ShortString,
    pub(super) key: ShortString,
    pub(super) properties: BasicProperties,
    pub(super) body: Bytes,
    pub(super) done: Done,
}

/// Hears what became of it. Called from the publishing task: it must not block.
pub(super) type Done = Box<dyn FnOnce(Result<(), Failure>) + Send>;

/// Why the broker does not have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// It was never sent.
    Unsent(String),
    /// Nobody knows: the channel broke before the confirmation.
    Lost(String),
    /// Nothing is bound there.
    Returned,
    /// The broker said no, in these words.
    Refused(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unsent(why) | Self::Lost(why) | Self::Refused(why) => f.write_str(why),
            Self::Returned => f.write_str("no queue is bound there: run `tidings topology apply`"),
        }
    }
}

/// A channel for publishing, opened when it is first needed and again after it broke.
#[derive(Debug, Clone)]
pub(super) struct Publisher(mpsc::UnboundedSender<Job>);

impl Publisher {
    pub(super) fn start(
        connection: OpenConnection,
        lost: CancellationToken,
        blocked: watch::Receiver<Option<String>>,
        fence: Fence,
    ) -> Self {
        let (sender, jobs) = mpsc::unbounded_channel();
        let publishing = Publishing {
            connection,
            lost,
            blocked,
            fence,
            marks: RandomState::new(),
        };
        tokio::spawn(publishing.run(jobs));
        Self(sender)
    }

    /// What bounds the jobs is who makes them: the permits of publishes, the windows of lanes.
    pub(super) fn publish(&self, job: Job) {
        if let Err(mpsc::error::SendError(job)) = self.0.send(job) {
            (job.done)(Err(Failure::Unsent("the connection is closed".into())));
        }
    }
}

struct Publishing {
    connection: OpenConnection,
    lost: CancellationToken,
    blocked: watch::Receiver<Option<String>>,
    fence: Fence,
    marks: RandomState,
}

impl Publishing {
    async fn run(self, mut jobs: mpsc::UnboundedReceiver<Job>) {
        let mut taken = Vec::new();
        while !taken.is_empty() || jobs.recv_many(&mut taken, TAKEN).await > 0 {
            match self.open().await {
                Ok(channel) => Flow::new(&self, channel).run(&mut taken, &mut jobs).await,
                Err(why) => {
                    for job in taken.drain(..) {
                        (job.done)(Err(Failure::Unsent(why.clone())));
                    }
                }
            }
        }
    }

    async fn open(&self) -> Result<OpenChannel, String> {
        let opening = async {
            let channel = self.connection.open().await?;
            channel
                .confirm_select(ConfirmSelectOptions::default())
                .await?;
            Ok(channel)
        };
        tokio::select! {
            biased;
            () = self.lost.cancelled() => Err("the connection is lost".into()),
            opened = opening => opened.map_err(|error: lapin::Error| error.to_string()),
        }
    }

    fn mark(&self, exchange: &str, key: &str, id: Option<&str>) -> u64 {
        self.marks.hash_one((exchange, key, id))
    }
}

/// What of a job is left once it is sent.
struct Sent {
    exchange: ShortString,
    at: Instant,
    done: Done,
}

/// The life of one channel.
struct Flow<'p> {
    publishing: &'p Publishing,
    channel: Arc<OpenChannel>,
    confirming: FuturesUnordered<BoxFuture<'static, (u64, lapin::Result<Confirmation>)>>,
    window: Window<Sent>,
    woken: Arc<Woken>,
    /// Why the broker takes nothing, where it does not.
    blocked: watch::Receiver<Option<String>>,
    /// Since when the broker owes the next answer: it began to take publishes then, or gave the answer before it.
    owes_since: Instant,
}

impl<'p> Flow<'p> {
    fn new(publishing: &'p Publishing, channel: OpenChannel) -> Self {
        Self {
            publishing,
            channel: Arc::new(channel),
            confirming: FuturesUnordered::new(),
            window: Window::default(),
            woken: Arc::default(),
            blocked: publishing.blocked.clone(),
            owes_since: Instant::now(),
        }
    }

    /// When an answer is overdue. A broker that is blocked owes none.
    fn overdue(&mut self) -> Option<Instant> {
        if self.blocked.borrow().is_some() {
            self.owes_since = Instant::now();
            return None;
        }
        let oldest = self.window.oldest()?;
        Some(oldest.at.max(self.owes_since) + UNANSWERED)
    }

    /// Publishes until the channel breaks, or nobody can ask any more. Jobs that were not sent stay in `taken`.
    async fn run(mut self, taken: &mut Vec<Job>, jobs: &mut mpsc::UnboundedReceiver<Job>) {
        let mut open = true;
        while open || !self.confirming.is_empty() {
            if !self.channel.status().connected() || self.publishing.lost.is_cancelled() {
                return self.end().await;
            }
            for job in taken.drain(..) {
                self.send(job);
            }
            self.hear_all();
            let overdue = self.overdue();
            tokio::select! {
                biased;
                () = self.publishing.lost.cancelled() => {}
                Ok(()) = self.blocked.changed() => {}
                () = sleep_until(overdue.unwrap_or_else(Instant::now)), if overdue.is_some() => {
                    tracing::warn!("the broker does not answer a publish: what is unanswered is published again");
                    return self.end().await;
                }
                Some((number, said)) = self.confirming.next(), if !self.confirming.is_empty() => {
                    self.hear(number, said);
                }
                count = jobs.recv_many(taken, TAKEN), if open => open = count > 0,
            }
        }
    }

    fn send(&mut self, job: Job) {
        let id = job
            .properties
            .message_id()
            .as_ref()
            .map(ShortString::as_str);
        let mark = self
            .publishing
            .mark(job.exchange.as_str(), job.key.as_str(), id);
        let Job {
            exchange,
            key,
            properties,
            body,
            done,
        } = job;
        let sent = Sent {
            exchange: exchange.clone(),
            at: Instant::now(),
            done,
        };
        let number = self.window.sent(sent, mark);
        let channel = self.channel.clone();
        self.confirming.push(Box::pin(async move {
            let options = BasicPublishOptions {
                mandatory: true,
                immediate: false,
            };
            let publishing = channel.basic_publish(exchange, key, options, &body, properties);
            let confirm = publishing.await;
            drop(body);
            match confirm {
                Ok(confirm) => (number, confirm.await),
                Err(error) => (number, Err(error)),
            }
        }));
    }

    /// Hears every confirmation that has come by now, and judges.
    ///
    /// The first poll of a publish also sends it, and polls are in the order of sending.
    fn hear_all(&mut self) {
        let waker = Waker::from(self.woken.clone());
        let mut context = Context::from_waker(&waker);
        loop {
            self.woken.0.store(false, Ordering::Release);
            while let Poll::Ready(Some((number, said))) =
                self.confirming.poll_next_unpin(&mut context)
            {
                self.hear(number, said);
            }
            // Pending alone can also mean that it wants to be asked again.
            if !self.woken.0.load(Ordering::Acquire) {
                break;
            }
        }
        while let Some((sent, judgement)) = self.window.judge() {
            self.owes_since = Instant::now();
            self.tell(sent, judgement);
        }
    }

    fn hear(&mut self, number: u64, said: lapin::Result<Confirmation>) {
        let (said, returned) = match said {
            Ok(Confirmation::Nack(returned)) => (Said::Nack, returned),
            Ok(Confirmation::Ack(returned)) => (Said::Ack, returned),
            Ok(Confirmation::NotRequested) => (Said::Broke("confirms are off".into()), None),
            Err(error) => (Said::Broke(words(&error)), None),
        };
        self.window.said(number, said);
        if let Some(returned) = returned {
            self.window.returned(self.mark_of(&returned));
        }
    }

    fn mark_of(&self, returned: &BasicReturnMessage) -> u64 {
        let delivery = &returned.delivery;
        let id = delivery
            .properties
            .message_id()
            .as_ref()
            .map(ShortString::as_str);
        self.publishing.mark(
            delivery.exchange.as_str(),
            delivery.routing_key.as_str(),
            id,
        )
    }

    fn tell(&self, sent: Sent, judgement: Judgement) {
        let result = match judgement {
            Judgement::Taken => {
                self.publishing.fence.confirmed(sent.at);
                Ok(())
            }
            Judgement::Returned => Err(Failure::Returned),
            Judgement::Nacked => Err(Failure::Refused("the queue did not take it".into())),
            // The broker's words name the exchange that is missing or forbidden; the others only shared its channel.
            Judgement::Lost(why) if refuses(&why, sent.exchange.as_str()) => {
                Err(Failure::Refused(why))
            }
            Judgement::Lost(why) => Err(Failure::Lost(why)),
        };
        (sent.done)(result);
    }

    /// The channel is gone: what is still unconfirmed is lost.
    async fn end(mut self) {
        let last_words = async {
            while let Some((number, said)) = self.confirming.next().await {
                self.hear(number, said);
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
        self.hear_all();
        let silent = "the broker did not answer any more";
        for sent in self.window.give_up() {
            (sent.done)(Err(Failure::Lost(silent.into())));
        }
    }
}

/// The broker's own words where it closed the channel.
fn words(error: &lapin::Error) -> String {
    match reply(error) {
        Some((code @ (code::NOT_FOUND | code::ACCESS_REFUSED), words)) => format!("{code} {words}"),
        Some((_, words)) => words,
        None => error.to_string(),
    }
}

fn refuses(why: &str, exchange: &str) -> bool {
    let denied = why.starts_with("404") || why.starts_with("403");
    denied && why.contains(&format!("exchange '{exchange}' "))
}

/// Remembers whether it was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}
