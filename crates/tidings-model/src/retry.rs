use std::time::Duration;

/// How a message is tried again: exponential backoff with full jitter, bounded by attempts and by age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Spent attempts before a message dies, `attempts-exhausted`.
    pub max_attempts: u32,
    /// The ceiling of the first wait; each later one doubles it.
    pub base: Duration,
    /// The ceiling of every wait.
    pub cap: Duration,
    /// How long after its first attempt a message may still be tried, else it dies, `too-old`.
    pub max_age: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 8,
            base: Duration::from_secs(1),
            cap: Duration::from_secs(15 * 60),
            max_age: Duration::from_secs(2 * 86_400),
        }
    }
}
