//! The way to the broker, kept up for ever: one session after another.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::session::{Session, Target};
use crate::BrokerError;

const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Short, so that after an outage a whole fleet is back before one that is not yet counts as gone.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The session, or why there is none.
pub(super) type State = Result<Arc<Session>, BrokerError>;

/// See above. Cloning it is cheap.
#[derive(Debug, Clone)]
pub(super) struct Link {
    state: watch::Receiver<State>,
    connected: watch::Receiver<bool>,
}

impl Link {
    /// Opens the first session, which must succeed, and keeps making others until `stop`.
    pub(super) async fn open(target: Target, stop: CancellationToken) -> Result<Self, BrokerError> {
        let session = Arc::new(Session::open(&target, false).await?);
        let (set_state, state) = watch::channel(Ok(session));
        let (set_connected, connected) = watch::channel(true);
        tokio::spawn(keep(target, stop, set_state, set_connected));
        Ok(Self { state, connected })
    }

    pub(super) fn connected(&self) -> watch::Receiver<bool> {
        self.connected.clone()
    }

    /// The session at the moment.
    pub(super) fn session(&self) -> State {
        let session = self.state.borrow().clone()?;
        if session.lost.is_cancelled() {
            return Err(session.away());
        }
        Ok(session)
    }

    /// Waits for a session; `None` once the link is closed.
    pub(super) async fn up(&mut self) -> Option<Arc<Session>> {
        loop {
            if let Ok(session) = self.session() {
                return Some(session);
            }
            self.state.changed().await.ok()?;
        }
    }

    /// Waits until the link is closed for good.
    pub(super) async fn closed(&mut self) {
        while self.state.changed().await.is_ok() {}
    }
}

async fn keep(
    target: Target,
    stop: CancellationToken,
    state: watch::Sender<State>,
    connected: watch::Sender<bool>,
) {
    loop {
        let session = state.borrow().clone();
        if let Ok(session) = session {
            tokio::select! {
                () = session.lost.cancelled() => {}
                () = stop.cancelled() => {}
            }
            if stop.is_cancelled() {
                session.close().await;
                let _ = connected.send(false);
                let _ = state.send(Err(target.place.away("it was closed here")));
                return;
            }
            tracing::warn!(broker = %target.place, why = %session.why_lost(), "the connection is lost");
            let _ = connected.send(false);
            let _ = state.send(Err(session.away()));
            tokio::spawn(async move { session.close().await });
        }
        tokio::select! {
            () = stop.cancelled() => return,
            session = reopen(&target, &state) => {
                tracing::info!(broker = %target.place, "connected again");
                let _ = state.send(Ok(Arc::new(session)));
                let _ = connected.send(true);
            }
        }
    }
}

/// Tries until it succeeds.
async fn reopen(target: &Target, state: &watch::Sender<State>) -> Session {
    let mut wait = FIRST_WAIT;
    loop {
        // Half of it at random, so that a fleet does not come back all at once.
        tokio::time::sleep(wait.mul_f64(rand::random_range(0.5..1.0))).await;
        match Session::open(target, true).await {
            Ok(session) => return session,
            Err(error) => {
                tracing::debug!(%error, "still not connected");
                let _ = state.send(Err(error));
            }
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}
