//! The beat: something to be confirmed where nothing else is, so that the fence tells whether the broker still is ours.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::OnceCell, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{codec, link::Link, publisher::Job, session::Session};
use crate::Fence;

/// After how long without a confirmation a beat is published.
const SILENCE: Duration = Duration::from_secs(1);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Beats from the first lane on. Who owns none may not have the right to.
#[derive(Debug, Default)]
pub(super) struct Beat(OnceCell<()>);

impl Beat {
    pub(super) async fn start(&self, link: Link, fence: Fence, stop: CancellationToken) {
        let begin = async || drop(tokio::spawn(run(link, fence, stop)));
        self.0.get_or_init(begin).await;
    }
}

async fn run(link: Link, fence: Fence, stop: CancellationToken) {
    let unanswered = Arc::new(AtomicBool::new(false));
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = look.tick() => {}
        }
        let silent = fence.age(Instant::now()).is_none_or(|age| age > SILENCE);
        let Ok(session) = link.session() else {
            continue;
        };
        if silent && session.blocked.borrow().is_none() && !unanswered.swap(true, Ordering::AcqRel)
        {
            publish(&session, unanswered.clone());
        }
    }
}

fn publish(session: &Session, unanswered: Arc<AtomicBool>) {
    session.ledger.publish(Job {
        exchange: session.names.beat(),
        key: "".into(),
        properties: codec::persistent(),
        body: bytes::Bytes::new(),
        done: Box::new(move |result| {
            if let Err(failure) = result {
                tracing::debug!(%failure, "a beat was not confirmed");
            }
            unanswered.store(false, Ordering::Release);
        }),
    });
}
