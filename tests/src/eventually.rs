//! Waiting for a condition rather than for time.

use std::{fmt::Debug, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

/// How long [`eventually`] waits: far longer than a slow machine needs, so that only what never comes fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(20);

/// Asks `probe` again and again until it answers `Ok`, and returns what it answered.
///
/// An `Err` says what was seen instead; the last one is part of the panic when [`PATIENCE`] has run out.
///
/// ```no_run
/// # async fn example(received: impl AsyncFn() -> usize) {
/// tidings_tests::eventually("three messages arrive", async || match received().await {
///     3 => Ok(()),
///     other => Err(format!("{other} messages")),
/// })
/// .await;
/// # }
/// ```
pub async fn eventually<T, E: Debug>(
    expected: &str,
    probe: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    eventually_within(PATIENCE, expected, probe).await
}

/// [`eventually`] with a deadline of its own, for what may take longer than [`PATIENCE`] or is promised to be faster.
///
/// # Panics
/// When the deadline passes, also in the middle of a probe.
pub async fn eventually_within<T, E: Debug>(
    patience: Duration,
    expected: &str,
    mut probe: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let deadline = Instant::now() + patience;
    let mut last_seen = None;
    loop {
        match timeout_at(deadline, probe()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(seen)) if Instant::now() < deadline => last_seen = Some(seen),
            Ok(Err(seen)) => {
                panic!("expected within {patience:?}: {expected}; last seen: {seen:?}")
            }
            Err(_) => panic!(
                "expected within {patience:?}: {expected}; a probe hung, seen before it: {last_seen:?}"
            ),
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_in_the_end_is_returned() {
        let mut asked = 0;
        let answer = eventually("the third answer", async || {
            asked += 1;
            if asked == 3 { Ok(asked) } else { Err(asked) }
        });
        assert_eq!(answer.await, 3);
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "expected within 60s: the moon; last seen: \"clouds\"")]
    async fn what_never_comes_is_named_with_what_was_seen() {
        eventually("the moon", async || Err::<(), _>("clouds")).await;
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "expected within 60s: an answer; a probe hung")]
    async fn a_probe_that_hangs_is_given_up() {
        eventually("an answer", async || {
            std::future::pending::<Result<(), ()>>().await
        })
        .await;
    }
}
