use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;

use crate::call::Call;
use crate::clock::Clock;
use crate::providers::Shape;
use crate::wire::Cut;
use crate::world::{Ending, World};

/// Where calls come in: the one lock around the world, the clock, and the waiting.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    world: Arc<Mutex<World>>,
    clock: Clock,
    closing: watch::Receiver<bool>,
}

impl Desk {
    pub(crate) fn new(world: World, closing: watch::Receiver<bool>) -> Self {
        Self {
            world: Arc::new(Mutex::new(world)),
            clock: Clock::start(),
            closing,
        }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        // Whoever panicked with the lock has failed a test already; the book is still worth reading.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one call: the provider does its work when the call arrives, the caller learns of it after the latency.
    pub(crate) async fn serve(&self, call: Call, cut: &Cut) -> Response {
        let (provider, operation) = (call.provider, call.operation());
        let ruling = {
            let now = self.clock.now();
            let mut world = self.world();
            let mut ruling = world.take(call, now);
            if let Ending::Answer(answer) = ruling.ending {
                ruling.ending = Ending::Answer(world.dated(answer, now));
            }
            ruling
        };
        if let Some((after, call)) = ruling.late {
            tokio::spawn(self.clone().work_late(after, call));
        }
        if !ruling.wait.is_zero() {
            self.wait(ruling.wait).await;
        }
        match ruling.ending {
            Ending::Answer(answer) => {
                tracing::debug!(%provider, ?operation, status = answer.status.as_u16(), "answered");
                answer.into_response()
            }
            Ending::Hang => {
                tracing::debug!(%provider, ?operation, "left without an answer");
                self.wait(Duration::MAX).await;
                cut_off(cut)
            }
            Ending::Reset => {
                tracing::debug!(%provider, ?operation, "connection reset");
                cut_off(cut)
            }
        }
    }

    async fn work_late(self, after: Duration, call: Call) {
        tokio::time::sleep(after).await;
        let now = self.clock.now();
        self.world().work(call, Shape::Page, Some("late"), now);
    }

    /// Waits, but no longer than the sandbox runs.
    async fn wait(&self, span: Duration) {
        let mut closing = self.closing.clone();
        tokio::select! {
            () = tokio::time::sleep(span) => {}
            // An error means that the sandbox is gone: closed as well.
            _ = closing.wait_for(|&closing| closing) => {}
        }
    }
}

/// Cuts the connection; the response is never written.
fn cut_off(cut: &Cut) -> Response {
    cut.cut();
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
