//! What came out of the delays and found no lane becomes a dead letter, so that it is accounted for.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tidings_broker::{Broker, BrokerError, Delivery, Effect, LaneEvent, LaneName, Settlement};
use tidings_model::{
    Decision, LetterHead, Message, Outcome, Reason, Record, UndecodableHead, Verdicted,
};
use tokio::sync::watch;

use crate::metrics;

const WINDOW: u16 = 32;

/// Buries what is unroutable, until `stop` turns true.
pub(crate) async fn run(broker: Arc<dyn Broker>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        if let Err(error) = serve(&*broker, &mut stop).await {
            tracing::warn!(%error, "what is unroutable cannot be taken at the moment");
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), stop.wait_for(|stop| *stop)).await;
    }
}

async fn serve(broker: &dyn Broker, stop: &mut watch::Receiver<bool>) -> Result<(), BrokerError> {
    let mut lane = broker.subscribe(LaneName::Unroutable, WINDOW).await?;
    loop {
        let event = tokio::select! {
            event = lane.events.recv() => event,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match event {
            Some(LaneEvent::Delivered(delivery)) => {
                let settlement = bury(&delivery);
                lane.settle.settle(delivery, settlement);
            }
            Some(LaneEvent::Settled(_)) => {}
            Some(LaneEvent::Lost(_)) | None => break,
        }
    }
    lane.settle.close().await;
    while let Ok(event) = lane.events.try_recv() {
        if let LaneEvent::Delivered(delivery) = event {
            delivery.leave();
        }
    }
    Ok(())
}

fn bury(delivery: &Delivery) -> Settlement {
    let message = Message::decode(&delivery.body).ok();
    let head = message.as_ref().map_or_else(
        || UndecodableHead::find(&delivery.body),
        |message| UndecodableHead {
            id: Some(message.id.clone()),
            account: Some(message.account.clone()),
        },
    );
    let (headers, now) = (&delivery.headers, Timestamp::now());
    let outcome = head
        .id
        .clone()
        .zip(head.account.clone())
        .map(|(id, account)| Outcome::Dead {
            id,
            generation: headers.generation,
            account,
            attempts: headers.attempts.spent,
            at: now,
            reason: Reason::Unroutable,
            last: headers.attempts.last_verdict(),
            metadata: message.map(|message| message.metadata).unwrap_or_default(),
        });
    tracing::warn!(id = ?head.id, account = ?head.account, "no lane serves this message: it becomes a dead letter");
    metrics::unroutable(head.account.as_ref());
    let maybe_delivered = headers.maybe_delivered;
    let record = outcome.map(|outcome| {
        let verdicted = Verdicted::Ended {
            outcome,
            maybe_delivered,
        };
        Record::Decided(Box::new(Decision {
            turn: headers.turn,
            attempt: None,
            verdicted,
        }))
    });
    let letter = LetterHead {
        id: head.id,
        account: head.account,
        reason: Reason::Unroutable,
        attempts: headers.attempts.list.clone(),
        dead_at: now,
        generation: headers.generation,
        maybe_delivered,
        stood_at: None,
    };
    Settlement {
        record,
        effect: Effect::Bury(Box::new(letter)),
        event: None,
    }
}
