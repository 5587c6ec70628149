//! Reading a stream: the ledger, or the dead letters. Any number of readers, from any point; reading changes nothing.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, Stream, StreamExt, stream};
use lapin::{
    Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

use super::{channel::OpenChannel, codec, link::Link, session::Session};
use crate::{BrokerError, Position, ReadFrom, ReadUntil};

/// How long a reader looks for the end of a stream that is written faster than it is read.
const LOOK: Duration = Duration::from_secs(30);
/// How soon reading is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long nothing must come for the newest chunk to have been read: the broker sends a chunk in one go.
const QUIET: Duration = Duration::from_millis(100);
/// How long the first entry of a stream that has some may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the first entry of a stream that seems to be empty may take.
const YOUNG: Duration = Duration::from_secs(1);
/// How long the first entry since a point in time may take, when there may be none.
const SINCE: Duration = Duration::from_secs(3);

/// Which stream, and how much of it may be in memory.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) queue: ShortString,
    pub(super) prefetch: u16,
}

/// Opens a stream for reading; each entry goes through `decode`, and what it does not know is passed over.
pub(super) async fn read<T: Send + 'static>(
    link: Link,
    source: Source,
    from: ReadFrom,
    until: ReadUntil,
    decode: fn(Position, Delivery) -> Option<T>,
) -> Result<impl Stream<Item = Result<T, BrokerError>> + use<T>, BrokerError> {
    let session = link.session()?;
    let (from, end) = match (from, until) {
        (ReadFrom::Next | ReadFrom::Since(_), _) | (_, ReadUntil::Now) => {
            let end = end(&session, &source).await?;
            match (from, end) {
                (ReadFrom::Next, end) => (behind(end), end),
                (ReadFrom::Since(_), None) => (ReadFrom::First, None),
                (from, end) => (from, end),
            }
        }
        _ => (from, None),
    };
    // Where nothing was written since a moment, a consumer at that moment is put at the end, and what is written while that
    // happens can be passed over. So it reads what is there, and goes on behind that.
    let goes_on = matches!((from, until), (ReadFrom::Since(_), ReadUntil::Forever));
    let last = match until {
        ReadUntil::Forever if !goes_on => Last::Never,
        _ => Last::At(end),
    };
    let (entries, receiver) = mpsc::channel(usize::from(source.prefetch).div_ceil(4));
    if !last.reached_before(from) {
        let open = Attached::new(&session, &source, offset(from)).await?;
        let reader = Reader {
            link,
            source,
            from,
            last,
            goes_on,
            entries,
            decode,
        };
        tokio::spawn(reader.run(session, open));
    }
    Ok(stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    }))
}

/// Where to stop.
#[derive(Debug, Clone, Copy)]
enum Last {
    Never,
    /// At this position; the stream was empty where there is none.
    At(Option<Position>),
}

impl Last {
    fn reached_before(self, from: ReadFrom) -> bool {
        match (self, from) {
            (Self::Never, _) => false,
            (Self::At(None), _) | (_, ReadFrom::Next) => true,
            (Self::At(Some(last)), ReadFrom::After(position)) => position >= last,
            (Self::At(_), _) => false,
        }
    }

    fn reached(self, position: Position) -> bool {
        matches!(self, Self::At(Some(last)) if position >= last)
    }
}

fn behind(end: Option<Position>) -> ReadFrom {
    end.map_or(ReadFrom::First, ReadFrom::After)
}

fn offset(from: ReadFrom) -> AMQPValue {
    match from {
        ReadFrom::First => AMQPValue::LongString("first".into()),
        ReadFrom::Next => AMQPValue::LongString("next".into()),
        ReadFrom::After(Position(position)) => {
            AMQPValue::LongLongInt(i64::try_from(position.saturating_add(1)).unwrap_or(i64::MAX))
        }
        ReadFrom::Since(since) => {
            AMQPValue::Timestamp(u64::try_from(since.as_second()).unwrap_or_default())
        }
    }
}

/// Where a stream ends at the moment; `None` where it is empty.
///
/// A consumer at `last` gets the newest chunk, which the broker sends as a whole, and then whatever is written while
/// it looks. Silence alone says little where the machine is busy: what the broker had sent is there once it answers
/// something else on the same channel.
async fn end(session: &Session, source: &Source) -> Result<Option<Position>, BrokerError> {
    // The broker counts a stream's messages only every few seconds: where it counts none, there may be young ones.
    let counted = session.ready(&source.queue).await?;
    let first = if counted == 0 { YOUNG } else { PATIENCE };
    let mut newest = Attached::new(session, source, AMQPValue::LongString("last".into())).await?;
    let failed = |error| session.place.error("to read", &error);
    if let Ok(next) = timeout(first, newest.next()).await {
        next.map_err(failed)?;
    }
    newest.catch_up().await.map_err(failed)?;
    if newest.reached.is_none() && counted > 0 {
        let why = format!("it sends nothing of {}", source.queue);
        return Err(session.place.away(why));
    }
    Ok(newest.reached)
}

/// A consumer at a stream.
struct Attached {
    channel: OpenChannel,
    consumer: Consumer,
    prefetch: u16,
    received: u64,
    acknowledged: u64,
    /// The tag of the newest delivery.
    newest: u64,
    /// The newest entry that has come.
    reached: Option<Position>,
}

impl Attached {
    async fn new(
        session: &Session,
        source: &Source,
        offset: AMQPValue,
    ) -> Result<Self, BrokerError> {
        let channel = session.channel().await?;
        let attaching = async {
            let refused = |error| session.place.queue_error(&source.queue, &error);
            let per_consumer = BasicQosOptions { global: false };
            channel
                .basic_qos(source.prefetch, per_consumer)
                .await
                .map_err(refused)?;
            let mut arguments = FieldTable::default();
            arguments.insert("x-stream-offset".into(), offset);
            let options = BasicConsumeOptions::default();
            let consuming =
                channel.basic_consume(source.queue.clone(), "".into(), options, arguments);
            consuming.await.map_err(refused)
        };
        let consumer = tokio::select! {
            biased;
            () = session.lost.cancelled() => return Err(session.away()),
            consumer = attaching => consumer?,
        };
        Ok(Self {
            channel,
            consumer,
            prefetch: source.prefetch,
            received: 0,
            acknowledged: 0,
            newest: 0,
            reached: None,
        })
    }

    /// The next entry. Who stops waiting for it loses none.
    async fn next(&mut self) -> lapin::Result<(Position, Delivery)> {
        loop {
            self.ask_for_more().await?;
            let next = self.consumer.next().await;
            if let (Some(position), delivery) = self.received(next)? {
                return Ok((position, delivery));
            }
        }
    }

    /// Acknowledges what was received, now and then: a stream forgets nothing by it, and sends more.
    async fn ask_for_more(&mut self) -> lapin::Result<()> {
        if self.received - self.acknowledged < u64::from(self.prefetch.div_ceil(4)) {
            return Ok(());
        }
        // It is on its way with the first poll, and must not be sent twice.
        self.acknowledged = self.received;
        let options = BasicAckOptions { multiple: true };
        self.channel.basic_ack(self.newest, options).await
    }

    fn received(
        &mut self,
        next: Option<lapin::Result<Delivery>>,
    ) -> lapin::Result<(Option<Position>, Delivery)> {
        let Some(delivery) = next else {
            return Err(lapin::ErrorKind::InvalidChannelState(
                lapin::ChannelState::Closed,
                "the broker ended the subscription",
            )
            .into());
        };
        let delivery = delivery?;
        let offset = codec::header(&delivery.properties, "x-stream-offset");
        let position = offset
            .and_then(codec::integer)
            .and_then(|offset| u64::try_from(offset).ok())
            .map(Position);
        self.reached = self.reached.max(position);
        self.received += 1;
        self.newest = delivery.delivery_tag;
        Ok((position, delivery))
    }

    /// Asks the broker something: what it had sent before its answer is there when that is.
    async fn answered(&self) -> lapin::Result<()> {
        let per_consumer = BasicQosOptions { global: false };
        self.channel.basic_qos(self.prefetch, per_consumer).await
    }

    /// Reads on until the broker has nothing left that it may send; where more is always written, for as long as [`LOOK`].
    async fn catch_up(&mut self) -> lapin::Result<()> {
        let deadline = Instant::now() + LOOK;
        loop {
            let quiet = Instant::now() + QUIET;
            while let Ok(next) = timeout_at(quiet, self.next()).await {
                next?;
            }
            self.answered().await?;
            // Only what has come: asking for more would wait.
            while let Some(next) = self.consumer.next().now_or_never() {
                self.received(next)?;
            }
            // It might have sent more before it answered, and had none.
            let all = self.received - self.acknowledged < u64::from(self.prefetch);
            if all || Instant::now() >= deadline {
                return Ok(());
            }
        }
    }
}

/// The task that reads on, over one session after another.
struct Reader<T> {
    link: Link,
    source: Source,
    from: ReadFrom,
    last: Last,
    /// Whether it reads on for ever behind the last one.
    goes_on: bool,
    entries: mpsc::Sender<Result<T, BrokerError>>,
    decode: fn(Position, Delivery) -> Option<T>,
}

impl<T: Send + 'static> Reader<T> {
    async fn run(mut self, mut session: Arc<Session>, mut open: Attached) {
        let entries = self.entries.clone();
        loop {
            let error = tokio::select! {
                biased;
                () = session.lost.cancelled() => session.away(),
                () = entries.closed() => return,
                read = self.read_on(&mut open) => match read {
                    Ok(()) if self.goes_on => {
                        self.go_on();
                        match Attached::new(&session, &self.source, offset(self.from)).await {
                            Ok(behind) => {
                                open = behind;
                                continue;
                            }
                            Err(error) => error,
                        }
                    }
                    Ok(()) => return,
                    Err(error) => session.place.error("to read", &error),
                },
            };
            drop(open);
            if matches!(self.last, Last::At(_)) && !self.goes_on {
                let _ = self.entries.send(Err(error)).await;
                return;
            }
            tracing::debug!(queue = %self.source.queue, %error, "reading breaks off, and goes on later");
            let Some(again) = self.attach_again().await else {
                return;
            };
            (session, open) = again;
        }
    }

    /// What was there is read: from now on for ever, behind it.
    fn go_on(&mut self) {
        self.goes_on = false;
        if let Last::At(Some(last)) = std::mem::replace(&mut self.last, Last::Never)
            && !matches!(self.from, ReadFrom::After(read) if read >= last)
        {
            self.from = ReadFrom::After(last);
        }
    }

    /// Reads until the end, or until nobody listens any more.
    async fn read_on(&mut self, open: &mut Attached) -> lapin::Result<()> {
        loop {
            let next = match (self.last, self.from) {
                // Nothing may have been written since then.
                (Last::At(_), ReadFrom::Since(_)) => {
                    match tokio::time::timeout(SINCE, open.next()).await {
                        Ok(next) => next,
                        Err(_) => {
                            open.answered().await?;
                            match open.next().now_or_never() {
                                Some(next) => next,
                                None => return Ok(()),
                            }
                        }
                    }
                }
                _ => open.next().await,
            };
            let (position, delivery) = next?;
            if matches!(self.from, ReadFrom::After(read) if position <= read) {
                continue;
            }
            if matches!(self.last, Last::At(Some(last)) if position > last) {
                return Ok(());
            }
            if let Some(entry) = (self.decode)(position, delivery)
                && self.entries.send(Ok(entry)).await.is_err()
            {
                return Ok(());
            }
            self.from = ReadFrom::After(position);
            if self.last.reached(position) {
                return Ok(());
            }
        }
    }

    /// Waits for a session and attaches behind what was read; `None` once nobody listens or the link is closed.
    async fn attach_again(&mut self) -> Option<(Arc<Session>, Attached)> {
        loop {
            let session = tokio::select! {
                () = self.entries.closed() => return None,
                session = self.link.up() => session?,
            };
            match Attached::new(&session, &self.source, offset(self.from)).await {
                Ok(open) => return Some((session, open)),
                Err(error) => {
                    tracing::debug!(queue = %self.source.queue, %error, "cannot read yet");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}
