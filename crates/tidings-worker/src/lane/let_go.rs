//! Letting a lane go: calls in flight finish, the note is written, and only then is it closed.

use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use tidings_broker::LaneEvent;
use tidings_model::{LaneState, Left, MessageId, Record, Tenure};
use tokio::{
    sync::watch,
    time::{Instant, timeout, timeout_at},
};

use super::{
    End, LaneContext,
    job::Job,
    tenure::{Phase, Serving},
};
use crate::{attempt::CallEnded, gate::Gate};

/// How long a lost lane's calls may go on before the note names them: a successor waits 5 s for the note.
const LOST: Duration = Duration::from_secs(3);

/// How long the ledger may take to confirm the note of a lane that is let go.
const NOTE: Duration = Duration::from_secs(10);

impl Serving {
    /// Lets the lane go in good order: nothing new starts, calls in flight finish, what is decided is confirmed.
    pub(super) async fn let_go(mut self, context: &LaneContext, gate: &mut Gate, drain: Duration) {
        context.fleet.left(&context.account);
        self.end.cancel();
        let deadline = Instant::now() + drain;
        self.leave_what_waits();
        self.finish_calls(deadline, context, gate).await;
        let settled = self.finish_settling(deadline.max(Instant::now() + Duration::from_secs(2)));
        turning(context, settled).await;
        if let Some(note) = self.note(context) {
            let writing = timeout(NOTE, context.broker.append(vec![note]));
            match turning(context, writing).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(account = %context.account, %error, "the lane's note could not be written")
                }
                Err(_) => {
                    tracing::warn!(account = %context.account, "the lane's note was not confirmed in time")
                }
            }
        }
        self.calls.clear();
        self.leave_everything();
        self.tell_calls(context);
        self.lane.settle.close().await;
        self.drop_events();
    }

    /// A lost lane: calls in flight may finish, and their decisions reach the ledger when the broker is back; then
    /// the note is written, before this worker takes a place at the lane again.
    pub(super) async fn lose(
        mut self,
        context: &LaneContext,
        gate: &mut Gate,
        stop: &mut watch::Receiver<bool>,
        why: &str,
    ) -> End {
        tracing::warn!(account = %context.account, why, "the lane is lost");
        context.fleet.left(&context.account);
        context.status.set(LaneState::Draining);
        self.end.cancel();
        self.leave_what_waits();
        self.finish_calls(Instant::now() + LOST, context, gate)
            .await;
        let note = self.note(context);
        self.calls.clear();
        self.leave_everything();
        self.tell_calls(context);
        self.lane.settle.close().await;
        self.drop_events();
        // Another may serve it: what this one still has to do is to write its note.
        context.status.set(LaneState::Standby);
        let Some(note) = note else { return End::Again };
        tokio::select! {
            () = write_until_confirmed(context, note) => End::Again,
            // One that stops has as long as any other to do so in good order, and no longer.
            () = async {
                let _ = stop.wait_for(|stop| *stop).await;
                tokio::time::sleep(context.drain).await;
            } => End::Stopped,
        }
    }

    fn leave_what_waits(&mut self) {
        if let Phase::Opening { arrived, .. } = &mut self.phase {
            arrived.drain(..).for_each(tidings_broker::Delivery::leave);
        }
        for copy in self.underway.values_mut().flat_map(std::mem::take) {
            copy.leave();
        }
        // Those inherited as unknown must stand in the note.
        let (named, rest): (Vec<Job>, Vec<Job>) = self.held.drain(..).partition(Job::must_be_named);
        self.held.extend(named);
        rest.into_iter().for_each(Job::leave);
    }

    async fn finish_calls(&mut self, deadline: Instant, context: &LaneContext, gate: &mut Gate) {
        while let Ok(Some(ended)) = turning(context, timeout_at(deadline, self.calls.next())).await
        {
            context.status.turn();
            match ended {
                CallEnded::Sent(_) => self.on_call(ended, context, gate),
                // What it would lead to is no longer ours to do; the next owner looks again.
                CallEnded::LookedUp { .. } => {}
            }
            self.tell_calls(context);
        }
    }

    /// Waits until what was given back is confirmed.
    async fn finish_settling(&mut self, deadline: Instant) {
        while !self.settling.is_empty() {
            match timeout_at(deadline, self.lane.events.recv()).await {
                Ok(Some(LaneEvent::Settled(ticket))) => {
                    self.settling.remove(&ticket);
                }
                Ok(Some(LaneEvent::Delivered(delivery))) => delivery.leave(),
                Ok(Some(LaneEvent::Lost(_)) | None) | Err(_) => return,
            }
        }
    }

    /// What this tenure leaves: what was started and is not decided, and what is still held as unknown.
    fn note(&self, context: &LaneContext) -> Option<Record> {
        let (tenure, left): (&Tenure, Left) = match &self.phase {
            Phase::Standby => return None,
            Phase::Opening { tenure, .. } => (tenure, Left::Untouched),
            Phase::Open {
                tenure,
                inheritance,
            } => {
                let undecided = self
                    .calling
                    .values()
                    .chain(&self.held)
                    .map(|job| job.id().clone());
                let mut named: Vec<MessageId> = undecided.collect();
                if let crate::tenures::Inheritance::Only(ids) = inheritance {
                    named.extend(ids.iter().cloned());
                }
                named.sort_unstable();
                named.dedup();
                (tenure, inheritance.note(named))
            }
        };
        Some(Record::Note {
            tenure: tenure.clone(),
            at: Timestamp::now(),
            left,
            pauses: context.memory.lock().pauses.clone(),
        })
    }

    fn leave_everything(&mut self) {
        self.held.drain(..).for_each(Job::leave);
        self.calling.drain().for_each(|(_, job)| job.leave());
        if let Phase::Opening { arrived, .. } = &mut self.phase {
            arrived.drain(..).for_each(tidings_broker::Delivery::leave);
        }
    }

    fn drop_events(&mut self) {
        while let Ok(event) = self.lane.events.try_recv() {
            if let LaneEvent::Delivered(delivery) = event {
                delivery.leave();
            }
        }
    }
}

/// What is waited for on purpose is no loop that hangs.
async fn turning<T>(context: &LaneContext, waiting: impl Future<Output = T>) -> T {
    let mut waiting = std::pin::pin!(waiting);
    loop {
        match timeout(Duration::from_secs(1), &mut waiting).await {
            Ok(done) => return done,
            Err(_) => context.status.turn(),
        }
    }
}

async fn write_until_confirmed(context: &LaneContext, note: Record) {
    while let Err(error) = turning(context, context.broker.append(vec![note.clone()])).await {
        tracing::debug!(account = %context.account, %error, "the lost lane's note waits for the broker");
        context.status.turn();
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
