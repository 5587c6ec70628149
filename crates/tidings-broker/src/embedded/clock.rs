use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// Milliseconds that the host is up: the same for all its processes, and nobody sets it. Leases are counted in it.
pub(super) fn uptime() -> i64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

/// Milliseconds since 1970.
pub(super) fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// When something is due, in milliseconds since 1970, rounded up: never early.
pub(super) fn due(at: Timestamp) -> i64 {
    let millis = at.as_millisecond();
    millis + i64::from(at.as_nanosecond() > i128::from(millis) * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_due_time_is_rounded_up() {
        let due = |text: &str| due(text.parse().unwrap());
        assert_eq!(due("1970-01-01T00:00:01.500Z"), 1500);
        assert_eq!(due("1970-01-01T00:00:01.500000001Z"), 1501);
        assert_eq!(due("1969-12-31T23:59:59.999999999Z"), 0);
    }
}
