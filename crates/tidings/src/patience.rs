use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// The first wait between two tries; each next one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How long one call's messages wait for a broker that does not take them.
///
/// It counts from the first failure after the last success, for all messages of the call together: a stream of a
/// million messages gives up on a broker that is gone as soon as a single one would.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    failing_since: Mutex<Option<Instant>>,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            failing_since: Mutex::new(None),
        }
    }

    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// The broker took something: the next failure is the first again.
    pub(crate) fn renew(&self) {
        *self.failing_since() = None;
    }

    /// Waits before the next try. `false` once patience has run out; then it does not wait.
    pub(crate) async fn wait(&self, tries: u32) -> bool {
        let now = Instant::now();
        let since = *self.failing_since().get_or_insert(now);
        let left = self.limit.saturating_sub(now - since);
        if left.is_zero() {
            return false;
        }
        let wait = FIRST_WAIT
            .saturating_mul(1 << tries.min(10))
            .min(LONGEST_WAIT);
        sleep(wait.min(left)).await;
        true
    }

    fn failing_since(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        // A plain value: whoever panicked while holding it left nothing half done.
        self.failing_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn tries(patience: &Patience) -> u32 {
        let mut tries = 0;
        while patience.wait(tries).await {
            tries += 1;
        }
        tries
    }

    #[tokio::test(start_paused = true)]
    async fn patience_runs_out_after_its_limit_and_is_shared() {
        let patience = Patience::new(Duration::from_secs(30));
        let began = Instant::now();
        assert!(tries(&patience).await > 30);
        assert_eq!(began.elapsed(), Duration::from_secs(30));
        assert!(
            !patience.wait(0).await,
            "the next message does not wait again"
        );
        patience.renew();
        assert!(patience.wait(0).await, "a success renews it");
    }

    #[tokio::test(start_paused = true)]
    async fn without_patience_the_first_failure_is_final() {
        assert!(!Patience::new(Duration::ZERO).wait(0).await);
    }
}
