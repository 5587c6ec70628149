use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// A moment, in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    pub(crate) fn millis(self) -> u64 {
        self.0 / 1000
    }

    pub(crate) fn seconds(self) -> u64 {
        self.0 / 1_000_000
    }

    pub(crate) fn nanos(self) -> u64 {
        self.0.saturating_mul(1000)
    }

    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    pub(crate) fn rfc3339(self) -> String {
        let micros = i64::try_from(self.0).unwrap_or(i64::MAX);
        jiff::Timestamp::from_microsecond(micros)
            .unwrap_or(jiff::Timestamp::MAX)
            .to_string()
    }

    /// The moment as HTTP writes it in `Date` and `Retry-After`.
    pub(crate) fn http_date(self) -> String {
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_micros(self.0))
    }

    pub(crate) fn plus(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)),
        )
    }

    /// The moment seen by a clock that is off by so many milliseconds.
    pub(crate) fn shifted(self, by_millis: i64) -> Self {
        Self(self.0.saturating_add_signed(by_millis.saturating_mul(1000)))
    }
}

impl Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.rfc3339())
    }
}

/// Wall-clock time that never goes back, so that rates and GroupMe's minute are judged alike whatever NTP does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    started_at: Moment,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            started: Instant::now(),
            started_at: Moment(0).plus(since_1970),
        }
    }

    pub(crate) fn now(&self) -> Moment {
        self.started_at.plus(self.started.elapsed())
    }
}
