//! Owning a lane: a consumer on a channel of its own. The queue is a single active consumer's, so deliveries come once
//! nobody else owns it; closing the channel hands on what is not acknowledged, in its old order.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::try_join_all};
use lapin::{
    Consumer,
    message::Delivery as Delivered,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    acks::{Ack, Acks},
    channel::OpenChannel,
    codec,
    effect::{Held, Settling, ToLane},
    ledger::{Ledger, until},
    session::Session,
};
use crate::{
    BrokerError, Delivery, Effect, Event, Fence, Lane, LaneEvent, LaneName, Settle, Settlement,
    Ticket,
    fault::{Point, reached},
};

/// How long a gap in front of settled deliveries may take to close before they are acknowledged one by one.
const STRAGGLING: Duration = Duration::from_millis(5);
/// How long the last acknowledgement is given before its channel is closed: of more than 32 that a quorum queue has not
/// applied yet, the broker keeps the rest in the channel, and forgets them with it (measured on 3.10).
const APPLYING: Duration = Duration::from_millis(50);
/// How many things are taken up at once.
const TAKEN: usize = 256;

/// Takes a place at a lane.
pub(super) async fn subscribe(
    session: Arc<Session>,
    ledger: Ledger,
    fence: Fence,
    lane: LaneName,
    window: u16,
) -> Result<Lane, BrokerError> {
    let channel = session.channel().await?;
    let consumer = tokio::select! {
        biased;
        () = session.lost.cancelled() => return Err(session.away()),
        consumer = consume(&session, &channel, &lane, window) => consumer?,
    };
    let (to_lane, told) = mpsc::unbounded_channel();
    let (sender, events) = mpsc::unbounded_channel();
    let held = Arc::new(Held {
        session: session.clone(),
        lane,
        to_lane,
    });
    let owner = Owner {
        session,
        channel,
        consumer,
        told,
        events: sender,
        acks: Acks::default(),
        acknowledged: None,
    };
    tokio::spawn(owner.run());
    Ok(Lane {
        events,
        settle: Arc::new(Settler { held, ledger }),
        fence,
    })
}

async fn consume(
    session: &Session,
    channel: &OpenChannel,
    lane: &LaneName,
    window: u16,
) -> Result<Consumer, BrokerError> {
    let queue = session.names.lane(lane);
    let refused = |error| session.place.queue_error(&queue, &error);
    let per_consumer = BasicQosOptions { global: false };
    channel
        .basic_qos(window.max(1), per_consumer)
        .await
        .map_err(refused)?;
    let options = BasicConsumeOptions::default();
    let consuming = channel.basic_consume(queue.clone(), "".into(), options, FieldTable::default());
    consuming.await.map_err(refused)
}

/// How deliveries of one lane are given back.
#[derive(Debug)]
struct Settler {
    held: Arc<Held>,
    ledger: Ledger,
}

impl Settler {
    fn settling(&self, delivery: Delivery, effect: Effect, event: Option<Event>) -> Settling {
        let (ticket, body, _) = delivery.into_parts();
        Settling {
            held: self.held.clone(),
            tag: ticket.0,
            body,
            effect,
            event,
        }
    }
}

#[async_trait]
impl Settle for Settler {
    fn settle(&self, delivery: Delivery, settlement: Settlement) {
        let settling = self.settling(delivery, settlement.effect, settlement.event);
        match settlement.record {
            Some(record) => self.ledger.settle(record, settling),
            None => settling.take_effect(),
        }
    }

    fn repeat(&self, delivery: Delivery, effect: Effect) {
        self.settling(delivery, effect, None).take_effect();
    }

    async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.held.to_lane.send(ToLane::Close(done)).is_ok() {
            let _ = closed.await;
        }
    }
}

/// The task that holds the channel.
struct Owner {
    session: Arc<Session>,
    channel: OpenChannel,
    consumer: Consumer,
    told: mpsc::UnboundedReceiver<ToLane>,
    events: mpsc::UnboundedSender<LaneEvent>,
    acks: Acks,
    acknowledged: Option<Instant>,
}

/// How a tenure ends.
enum End {
    Closed(Option<oneshot::Sender<()>>),
    Lost(String),
}

impl Owner {
    async fn run(mut self) {
        let end = self.own().await;
        if let End::Lost(why) = &end {
            let _ = self.events.send(LaneEvent::Lost(why.clone()));
        }
        drop(self.events);
        if let (End::Closed(_), Some(acknowledged)) = (&end, self.acknowledged) {
            tokio::time::sleep_until(acknowledged + APPLYING).await;
        }
        // The channel before the consumer: dropping the consumer of an open one would send a basic.cancel, which
        // activates the next consumer while this one still holds messages.
        self.channel.close().await;
        if let End::Closed(Some(done)) = end {
            let _ = done.send(());
        }
    }

    async fn own(&mut self) -> End {
        let mut told = Vec::with_capacity(TAKEN);
        let mut straggling = None;
        loop {
            let acknowledged = tokio::select! {
                biased;
                () = self.session.lost.cancelled() => return End::Lost(self.session.why_lost()),
                count = self.told.recv_many(&mut told, TAKEN) => {
                    if count == 0 {
                        return End::Closed(None);
                    }
                    if let Some(end) = self.hear(&mut told) {
                        return end;
                    }
                    self.acknowledge_front().await
                }
                () = until(straggling) => {
                    straggling = None;
                    self.acknowledge_stragglers().await
                }
                delivered = self.consumer.next() => match self.deliver(delivered) {
                    Some(end) => return end,
                    None => Ok(()),
                },
                () = self.events.closed() => return End::Closed(None),
            };
            if let Err(error) = acknowledged {
                return End::Lost(error.to_string());
            }
            if self.acks.waiting() {
                straggling.get_or_insert_with(|| Instant::now() + STRAGGLING);
            }
        }
    }

    fn hear(&mut self, told: &mut Vec<ToLane>) -> Option<End> {
        for told in told.drain(..) {
            match told {
                ToLane::Finished(tag) => self.acks.settled(tag),
                ToLane::Failed(why) => return Some(End::Lost(why)),
                ToLane::Close(done) => return Some(End::Closed(Some(done))),
            }
        }
        None
    }

    /// Passes on what has come; says so where nothing more will.
    fn deliver(&mut self, first: Option<lapin::Result<Delivered>>) -> Option<End> {
        let mut next = Some(first);
        for _ in 0..TAKEN {
            match next {
                Some(Some(Ok(delivered))) => self.pass_on(delivered),
                Some(Some(Err(error))) => return Some(End::Lost(error.to_string())),
                Some(None) => return Some(End::Lost("the broker ended the subscription".into())),
                None => return None,
            }
            next = self.consumer.next().now_or_never();
        }
        if let Some(Some(Ok(delivered))) = next {
            self.pass_on(delivered);
        }
        None
    }

    fn pass_on(&mut self, delivered: Delivered) {
        self.acks.delivered(delivered.delivery_tag);
        let delivery = Delivery::new(
            Ticket(delivered.delivery_tag),
            Bytes::from(delivered.data),
            codec::headers(&delivered.properties),
            delivered.redelivered,
            codec::returns(&delivered.properties),
        );
        if let Err(mpsc::error::SendError(LaneEvent::Delivered(delivery))) =
            self.events.send(LaneEvent::Delivered(delivery))
        {
            delivery.leave();
        }
    }

    async fn acknowledge_front(&mut self) -> lapin::Result<()> {
        let (frame, tags) = self.acks.front();
        self.acknowledge(frame, tags).await
    }

    async fn acknowledge_stragglers(&mut self) -> lapin::Result<()> {
        let frames = self.acks.stragglers();
        let tags = frames.iter().map(|frame| frame.tag).collect();
        self.acknowledge(frames, tags).await
    }

    async fn acknowledge(
        &mut self,
        frames: impl IntoIterator<Item = Ack>,
        tags: Vec<u64>,
    ) -> lapin::Result<()> {
        let acks = frames
            .into_iter()
            .map(|Ack { tag, multiple }| self.channel.basic_ack(tag, BasicAckOptions { multiple }));
        try_join_all(acks).await?;
        if !tags.is_empty() {
            self.acknowledged = Some(Instant::now());
        }
        for tag in tags {
            reached(Point::Acknowledged);
            let _ = self.events.send(LaneEvent::Settled(Ticket(tag)));
        }
        Ok(())
    }
}
