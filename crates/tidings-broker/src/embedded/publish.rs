use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    batch::Batch,
    clock, headers, queue,
    writer::{Failure, Job},
};
use crate::{Envelope, PublishError};

/// A message on its way into the file.
pub(super) struct Publishing {
    envelope: Envelope,
    headers: String,
    known: bool,
    reply: oneshot::Sender<Result<(), PublishError>>,
    _room: OwnedSemaphorePermit,
}

impl Publishing {
    /// It holds its room among the unconfirmed until it is answered.
    pub(super) fn new(
        envelope: Envelope,
        reply: oneshot::Sender<Result<(), PublishError>>,
        room: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            headers: headers::encode(&envelope.headers),
            envelope,
            known: false,
            reply,
            _room: room,
        }
    }

    fn body(&self) -> &Bytes {
        &self.envelope.body
    }
}

impl Job for Publishing {
    fn run(&mut self, batch: &mut Batch<'_>) -> rusqlite::Result<()> {
        let (name, due) = (&self.envelope.account, self.envelope.headers.due);
        let due = due.map(clock::due);
        self.known = queue::publish(batch, name.as_str(), due, &self.headers, self.body())?;
        Ok(())
    }

    fn done(self: Box<Self>) {
        let said = match self.known {
            true => Ok(()),
            false => Err(PublishError::UnknownAccount(self.envelope.account)),
        };
        let _ = self.reply.send(said);
    }

    fn failed(self: Box<Self>, failure: &Failure) -> Option<Box<dyn Job>> {
        let error = failure.error.clone();
        let _ = self.reply.send(Err(match failure {
            Failure { full: true, .. } => PublishError::Blocked("the disk is full".into()),
            Failure {
                committing: true, ..
            } => PublishError::Lost(error),
            _ => PublishError::Away(error),
        }));
        None
    }

    fn bytes(&self) -> usize {
        self.body().len()
    }
}
