use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// How lately the broker must have confirmed something of ours for an attempt to start.
pub const FENCE: Duration = Duration::from_secs(3);

/// Whether this process may start calls: the broker confirmed something of ours within the last [`FENCE`].
///
/// What counts is when the confirmed thing was *published*: a process that was frozen finds old confirmations in its
/// socket when it wakes up, and they prove nothing.
#[derive(Debug, Clone)]
pub struct Fence(Arc<State>);

#[derive(Debug)]
struct State {
    began: Instant,
    /// Milliseconds after `began` at which the newest confirmed thing was published, plus one; 0 for never.
    newest: AtomicU64,
    moved: Notify,
}

impl Default for Fence {
    fn default() -> Self {
        Self(Arc::new(State {
            began: Instant::now(),
            newest: AtomicU64::new(0),
            moved: Notify::new(),
        }))
    }
}

impl Fence {
    /// Notes that the broker confirmed what was published then.
    pub fn confirmed(&self, published_at: Instant) {
        let millis = published_at
            .saturating_duration_since(self.0.began)
            .as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX).saturating_add(1);
        if self.0.newest.fetch_max(millis, Ordering::AcqRel) < millis {
            self.0.moved.notify_waiters();
        }
    }

    /// Whether a call may start now.
    #[must_use]
    pub fn holds(&self, now: Instant) -> bool {
        self.age(now).is_some_and(|age| age <= FENCE)
    }

    /// How long ago the newest confirmed thing was published; `None` before the first.
    #[must_use]
    pub fn age(&self, now: Instant) -> Option<Duration> {
        match self.0.newest.load(Ordering::Acquire) {
            0 => None,
            millis => Some(
                now.saturating_duration_since(self.0.began + Duration::from_millis(millis - 1)),
            ),
        }
    }

    /// Waits until a call may start.
    pub async fn held(&self) {
        loop {
            // Register before looking, so that a confirmation between the two is not missed.
            let moved = self.0.moved.notified();
            if self.holds(Instant::now()) {
                return;
            }
            moved.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_late_confirmation_of_an_old_publish_proves_nothing() {
        let fence = Fence::default();
        assert!(!fence.holds(Instant::now()));
        let published = Instant::now();
        tokio::time::advance(Duration::from_secs(90)).await;
        fence.confirmed(published);
        assert!(!fence.holds(Instant::now()));
        fence.confirmed(Instant::now());
        assert!(fence.holds(Instant::now()));
        tokio::time::advance(FENCE).await;
        assert!(fence.holds(Instant::now()));
        tokio::time::advance(Duration::from_millis(2)).await;
        assert!(!fence.holds(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_the_fence_is_woken_by_a_confirmation() {
        let fence = Fence::default();
        let waiting = tokio::spawn({
            let fence = fence.clone();
            async move { fence.held().await }
        });
        tokio::task::yield_now().await;
        fence.confirmed(Instant::now());
        waiting.await.unwrap();
    }
}
