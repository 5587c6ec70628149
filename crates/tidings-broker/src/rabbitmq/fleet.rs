//! Announcements: heard by whoever listens, kept for nobody.

use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use lapin::{
    Consumer,
    options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use tidings_model::{Announcement, object};
use tokio::sync::mpsc;

use super::{channel::Consuming, link::Link, session::Session};
use crate::BrokerError;

/// Announcements that wait for a slow listener, here and at the broker each; older ones are worth nothing.
const WAITING: u16 = 1024;
/// How long to wait before listening is tried again.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(1);

pub(super) fn announce(session: &Session, announcement: &Announcement) {
    // Plain data with string keys: writing it to memory cannot fail.
    let json = serde_json::to_vec(announcement).unwrap_or_default();
    session.announce(json.into());
}

/// Listens from now on, over one session after another.
pub(super) async fn observe(
    mut link: Link,
) -> Result<impl Stream<Item = Announcement>, BrokerError> {
    let session = link.session()?;
    let listening = listen(&session).await?;
    let (heard, receiver) = mpsc::channel(usize::from(WAITING));
    tokio::spawn(async move {
        let mut listening = Some((session, listening));
        while !heard.is_closed() {
            if let Some((session, mut listening)) = listening.take() {
                pass_on(&session, &mut listening.consumer, &heard).await;
            }
            let session = tokio::select! {
                biased;
                () = heard.closed() => return,
                session = link.up() => session,
            };
            let Some(session) = session else { return };
            match listen(&session).await {
                Ok(again) => listening = Some((session, again)),
                Err(error) => {
                    tracing::warn!(%error, "the fleet cannot be heard yet");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    });
    Ok(stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    }))
}

async fn listen(session: &Arc<Session>) -> Result<Consuming, BrokerError> {
    let channel = session.channel().await?;
    let listening = async {
        let name = session.names.own();
        let options = QueueDeclareOptions {
            exclusive: true,
            auto_delete: true,
            ..Default::default()
        };
        let mut arguments = FieldTable::default();
        arguments.insert(
            "x-max-length".into(),
            AMQPValue::LongLongInt(WAITING.into()),
        );
        channel
            .queue_declare(name.clone(), options, arguments)
            .await?;
        let (fleet, none) = (session.names.fleet(), FieldTable::default());
        channel
            .queue_bind(
                name.clone(),
                fleet,
                "".into(),
                QueueBindOptions::default(),
                none,
            )
            .await?;
        let options = BasicConsumeOptions {
            no_ack: true,
            exclusive: true,
            ..Default::default()
        };
        channel
            .basic_consume(name, "".into(), options, FieldTable::default())
            .await
    };
    let consumer = tokio::select! {
        biased;
        () = session.lost.cancelled() => return Err(session.away()),
        consumer = listening => {
            consumer.map_err(|error| session.place.error("to listen to the fleet", &error))?
        }
    };
    Ok(Consuming { channel, consumer })
}

async fn pass_on(session: &Session, consumer: &mut Consumer, heard: &mpsc::Sender<Announcement>) {
    loop {
        let delivery = tokio::select! {
            biased;
            () = session.lost.cancelled() => return,
            () = heard.closed() => return,
            delivery = consumer.next() => delivery,
        };
        let Some(Ok(delivery)) = delivery else { return };
        match object::read(&delivery.data) {
            // A listener that is behind misses some: the next ones come within seconds.
            Ok(announcement) => drop(heard.try_send(announcement)),
            Err(error) => {
                tracing::warn!(%error, "an announcement is not understood, and passed over");
            }
        }
    }
}
