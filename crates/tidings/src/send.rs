use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use jiff::Timestamp;
use serde::Serialize;
use tidings_broker::{Broker, Confirmation, Envelope, PublishError};
use tidings_model::{Account, Headers, Message, MessageId};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use uuid::Uuid;

use crate::{Options, Outgoing, SendError, TraceParent, patience::Patience};

/// How many bytes of bodies one `send_all` keeps in memory until they are confirmed: large messages shrink the window.
const IN_FLIGHT_BYTES: usize = 64 * 1024 * 1024;

/// The broker has the message for good: it will end in one outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Receipt {
    /// The message's id: the one given, or a new UUIDv7.
    pub id: MessageId,
    /// Its account.
    pub account: Account,
}

/// Hands over the messages of one call, with patience for the broker's troubles.
#[derive(Debug)]
pub(crate) struct Sender {
    broker: Arc<dyn Broker>,
    patience: Patience,
}

/// A message on its way.
#[derive(Debug)]
struct Pending {
    envelope: Envelope,
    confirmation: Confirmation,
}

impl Sender {
    pub(crate) fn new(broker: Arc<dyn Broker>, options: &Options) -> Self {
        Self {
            broker,
            patience: Patience::new(options.patience),
        }
    }

    pub(crate) async fn send(&self, outgoing: Outgoing) -> Result<Receipt, SendError> {
        let pending = self.begin(envelope(outgoing)?).await?;
        self.confirmed(pending).await
    }

    /// Hands over one message after the other, so that they keep their order, and waits for many confirmations at once.
    pub(crate) fn send_all<S>(
        self: Arc<Self>,
        drafts: S,
        in_flight: usize,
    ) -> impl Stream<Item = Result<Receipt, SendError>> + use<S>
    where
        S: Stream<Item: Into<Outgoing>>,
    {
        let confirming = Arc::clone(&self);
        let room = Arc::new(Semaphore::new(IN_FLIGHT_BYTES));
        drafts
            .then(move |draft| {
                let (sender, room, draft) = (Arc::clone(&self), Arc::clone(&room), draft.into());
                async move {
                    let envelope = envelope(draft)?;
                    let space = make_room(room, envelope.body.len()).await;
                    Ok::<_, SendError>((sender.begin(envelope).await?, space))
                }
            })
            .map(move |begun| {
                let sender = Arc::clone(&confirming);
                async move {
                    let (pending, _space) = begun?;
                    sender.confirmed(pending).await
                }
            })
            .buffered(in_flight)
    }

    async fn begin(&self, envelope: Envelope) -> Result<Pending, SendError> {
        let confirmation = self.hand_over(&envelope).await?;
        Ok(Pending {
            envelope,
            confirmation,
        })
    }

    /// Publishes once the broker takes it.
    async fn hand_over(&self, envelope: &Envelope) -> Result<Confirmation, SendError> {
        let limit = self.patience.limit();
        let mut tries = 0;
        loop {
            let error = match timeout(limit, self.broker.publish(envelope.clone())).await {
                Ok(Ok(confirmation)) => return Ok(confirmation),
                Ok(Err(error)) => error,
                Err(_) => return Err(self.unconfirmed(envelope)),
            };
            let waits = matches!(error, PublishError::Away(_) | PublishError::Blocked(_));
            if !waits || !self.patience.wait(tries).await {
                return Err(SendError::new(envelope, error, limit));
            }
            tries += 1;
        }
    }

    /// Waits for the confirmation. Where it was lost the message is published again, which its worker is told.
    async fn confirmed(&self, pending: Pending) -> Result<Receipt, SendError> {
        let Pending {
            mut envelope,
            mut confirmation,
        } = pending;
        let limit = self.patience.limit();
        let mut tries = 0;
        loop {
            let error = match timeout(limit, &mut confirmation).await {
                Ok(Ok(())) => {
                    self.patience.renew();
                    return Ok(Receipt {
                        id: envelope.id,
                        account: envelope.account,
                    });
                }
                Ok(Err(error)) => error,
                Err(_) => return Err(self.unconfirmed(&envelope)),
            };
            let lost = matches!(error, PublishError::Lost(_));
            envelope.headers.again |= lost;
            let waits = lost || matches!(error, PublishError::Away(_) | PublishError::Blocked(_));
            if !waits || !self.patience.wait(tries).await {
                return Err(SendError::new(&envelope, error, limit));
            }
            tries += 1;
            confirmation = self.hand_over(&envelope).await?;
        }
    }

    fn unconfirmed(&self, envelope: &Envelope) -> SendError {
        SendError::Unconfirmed {
            id: envelope.id.clone(),
            why: format!("{} confirmed nothing", self.broker.place()),
            waited: self.patience.limit(),
        }
    }
}

/// The draft as it travels: checked, named, stamped with the time of now.
fn envelope(outgoing: Outgoing) -> Result<Envelope, SendError> {
    let message = outgoing
        .draft
        .accept(Timestamp::now(), || Uuid::now_v7().into())?;
    Ok(Envelope {
        body: Bytes::from(message.encode()),
        headers: Headers {
            due: due_later(&message),
            traceparent: outgoing
                .traceparent
                .or_else(TraceParent::current)
                .map(|trace| trace.as_str().into()),
            ..Headers::default()
        },
        account: message.account,
        id: message.id,
    })
}

fn due_later(message: &Message) -> Option<Timestamp> {
    Some(message.due()).filter(|due| *due > message.enqueued_at)
}

/// Waits until there is room for a body. One that is larger than all the room gets all of it.
async fn make_room(room: Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    let bytes = u32::try_from(bytes.min(IN_FLIGHT_BYTES)).unwrap_or(u32::MAX);
    // `None` only from a closed semaphore, and nobody closes it.
    room.acquire_many_owned(bytes).await.ok()
}

#[cfg(test)]
mod tests;
