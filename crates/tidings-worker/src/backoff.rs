//! The wait before a message is tried again: exponential, with full jitter.
//!
//! The only module that knows the `backoff` crate, which is not maintained any more, so that replacing it stays an
//! afternoon's work.

use std::time::Duration;

use ::backoff::{ExponentialBackoffBuilder, backoff::Backoff as _};
use tidings_model::RetryPolicy;

/// The longest wait after `failures` failed attempts (1 is the first): `base` doubled each time, up to `cap`.
pub(crate) fn ceiling(policy: &RetryPolicy, failures: u32) -> Duration {
    let mut schedule = ExponentialBackoffBuilder::default()
        .with_initial_interval(policy.base.min(policy.cap))
        .with_multiplier(2.0)
        .with_randomization_factor(0.0)
        .with_max_interval(policy.cap)
        .with_max_elapsed_time(None)
        .build();
    // Beyond 64 doublings every schedule stands at its cap.
    let waits = std::iter::from_fn(|| schedule.next_backoff()).take(failures.clamp(1, 64) as usize);
    waits.last().unwrap_or(policy.cap)
}

/// Full jitter: anywhere between nothing and the ceiling; `chance` is uniform in 0..1.
pub(crate) fn wait(policy: &RetryPolicy, failures: u32, chance: f64) -> Duration {
    ceiling(policy, failures).mul_f64(chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        let policy = RetryPolicy {
            cap: Duration::from_secs(10),
            ..RetryPolicy::default()
        };
        let seconds = |failures| ceiling(&policy, failures).as_secs();
        assert_eq!(
            [1, 2, 3, 4, 5, 60, u32::MAX].map(seconds),
            [1, 2, 4, 8, 10, 10, 10]
        );
    }

    #[test]
    fn jitter_reaches_from_nothing_to_the_ceiling() {
        let policy = RetryPolicy::default();
        assert_eq!(wait(&policy, 3, 0.0), Duration::ZERO);
        assert_eq!(wait(&policy, 3, 0.5), Duration::from_secs(2));
        assert_eq!(wait(&policy, 3, 1.0), Duration::from_secs(4));
    }
}
