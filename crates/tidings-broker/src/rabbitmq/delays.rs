//! What waits in the delays, and whether it moves: a probe is sent through each level that is short enough, to a queue
//! of one's own.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt, future::join_all};
use lapin::{
    BasicProperties, Channel, Consumer,
    options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::{
    channel::Consuming,
    names::{LEVELS, key_to},
    publisher::Job,
    session::Session,
};
use crate::{BrokerError, DelayLevel, Delays, Moves};

/// How late a probe may come before its level counts as standing still.
const LATE: Duration = Duration::from_secs(3);
/// A probe that comes much later must find its queue: it would be taken for an unroutable message.
const KEPT: Duration = Duration::from_secs(86_400);

pub(super) async fn look(session: &Session, patience: Duration) -> Result<Delays, BrokerError> {
    let names = &session.names;
    let unroutable = session.ready(&names.unroutable()).await?;
    let mut levels = Vec::new();
    for level in 0..LEVELS {
        let waiting = session.ready(&names.level(level)).await?;
        levels.push(DelayLevel {
            holds: Duration::from_secs(1 << level),
            waiting,
            moves: Moves::Untried,
        });
    }
    let tried: BTreeSet<u32> = (0..LEVELS)
        .filter(|level| Duration::from_secs(1 << level) + LATE <= patience)
        .collect();
    let arrived = probe(session, &tried).await?;
    for (level, looked) in (0..).zip(&mut levels) {
        looked.moves = match (tried.contains(&level), arrived.contains(&level)) {
            (false, _) => Moves::Untried,
            (true, true) => Moves::Yes,
            (true, false) => Moves::No,
        };
    }
    levels.retain(|level| level.waiting > 0 || level.moves != Moves::Untried);
    Ok(Delays { levels, unroutable })
}

/// Sends a probe through each of these levels, and returns those that let theirs go in time.
async fn probe(session: &Session, levels: &BTreeSet<u32>) -> Result<BTreeSet<u32>, BrokerError> {
    let Some(longest) = levels.last() else {
        return Ok(BTreeSet::new());
    };
    let queue = session.names.own();
    let channel = session.channel().await?;
    let (word, consumer) = listen(session, &channel, &queue).await.map_err(|error| {
        session.place.error(
            "to try the delays (an operator's account may: see deploy/rabbitmq)",
            &error,
        )
    })?;
    let mut probes = Consuming { channel, consumer };
    for confirmed in join_all(levels.iter().map(|level| send(session, *level, &word))).await {
        confirmed?;
    }
    let deadline = Instant::now() + Duration::from_secs(1 << longest) + LATE;
    let mut arrived = BTreeSet::new();
    while arrived.len() < levels.len() {
        let next = tokio::select! {
            biased;
            () = session.lost.cancelled() => return Err(session.away()),
            next = timeout_at(deadline, probes.consumer.next()) => next,
        };
        let Ok(Some(Ok(probe))) = next else { break };
        arrived.extend(
            std::str::from_utf8(&probe.data)
                .ok()
                .and_then(|text| text.parse::<u32>().ok()),
        );
    }
    if arrived == *levels {
        let deleting = probes
            .channel
            .queue_delete(queue, QueueDeleteOptions::default());
        let _ = tokio::time::timeout(LATE, deleting).await;
    }
    Ok(arrived)
}

/// A queue at the end of the delays, with the word that leads there.
async fn listen(
    session: &Session,
    channel: &Channel,
    queue: &ShortString,
) -> lapin::Result<(String, Consumer)> {
    let options = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let mut arguments = FieldTable::default();
    let kept = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
    arguments.insert("x-expires".into(), AMQPValue::LongLongInt(kept));
    channel
        .queue_declare(queue.clone(), options, arguments)
        .await?;
    // A word has no dot.
    let word = queue.as_str().replace('.', "-");
    channel
        .queue_bind(
            queue.clone(),
            session.names.due(),
            format!("#.{word}").into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let options = BasicConsumeOptions {
        no_ack: true,
        ..Default::default()
    };
    let consumer = channel
        .basic_consume(queue.clone(), "".into(), options, FieldTable::default())
        .await?;
    Ok((word, consumer))
}

async fn send(session: &Session, level: u32, word: &str) -> Result<(), BrokerError> {
    let (told, said) = oneshot::channel();
    session.messages.publish(Job {
        exchange: session.names.delay(),
        key: key_to(1 << level, word),
        properties: BasicProperties::default()
            .with_type("tidings.probe".into())
            .with_message_id(format!("{word}-{level}").into()),
        body: level.to_string().into(),
        done: Box::new(move |result| drop(told.send(result))),
    });
    match said.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(failure)) => Err(session
            .place
            .refused("a probe of the delays", failure.to_string())),
        Err(_) => Err(session.away()),
    }
}
