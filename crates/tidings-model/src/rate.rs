use std::{borrow::Cow, fmt, num::NonZeroU32, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Delay, text};

/// How many messages may go out in a time: `20/s`, `90/m`, `1/2s`, or `unlimited`.
///
/// ```
/// use std::time::Duration;
/// use tidings_model::Rate;
///
/// let rate: Rate = "1/2s".parse()?;
/// assert_eq!(rate.interval(), Some(Duration::from_secs(2)));
/// # Ok::<(), tidings_model::RateError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rate {
    /// No limit.
    Unlimited,
    /// So many messages per period.
    Limited(Limit),
}

/// A number of messages per period; at least one message, at most [`Rate::MAX_PER_SECOND`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit {
    messages: NonZeroU32,
    period: Delay,
}

/// Why a text is not a rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rate {text:?} {why}; valid are \"20/s\", \"90/m\", \"1/2s\" and \"unlimited\"")]
pub struct RateError {
    text: String,
    why: &'static str,
}

impl Rate {
    /// The highest rate that is a limit: what is faster than this is `unlimited`.
    pub const MAX_PER_SECOND: u32 = 1_000_000;

    /// A rate that is known to be right when the program is compiled.
    ///
    /// # Panics
    /// Where either number is 0. It is called with constants only.
    pub(crate) const fn limited(messages: u32, seconds: u32) -> Self {
        let messages = NonZeroU32::new(messages).expect("a rate of at least one message");
        Self::Limited(Limit {
            messages,
            period: Delay::seconds(seconds),
        })
    }

    /// The time from one message to the next, `None` without a limit. Rounded up to a nanosecond: never too fast.
    #[must_use]
    pub fn interval(self) -> Option<Duration> {
        let Self::Limited(Limit { messages, period }) = self else {
            return None;
        };
        let nanos = (period.as_secs() * 1_000_000_000).div_ceil(u64::from(messages.get()));
        Some(Duration::from_nanos(nanos))
    }

    /// How long so many messages take at this rate; no time without a limit.
    #[must_use]
    pub fn time_for(self, messages: u64) -> Duration {
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        self.interval()
            .map_or(Duration::ZERO, |interval| interval.saturating_mul(messages))
    }

    /// Messages per second, `None` without a limit.
    #[must_use]
    pub fn per_second(self) -> Option<f64> {
        let Self::Limited(Limit { messages, period }) = self else {
            return None;
        };
        Some(f64::from(messages.get()) / period.as_duration().as_secs_f64())
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        if text == "unlimited" {
            return Ok(Self::Unlimited);
        }
        let fail = |why| RateError {
            text: text::start(text),
            why,
        };
        let (messages, period) = text.split_once('/').ok_or_else(|| fail("has no '/'"))?;
        if messages.is_empty() || !messages.bytes().all(|b| b.is_ascii_digit()) {
            return Err(fail("does not begin with a number"));
        }
        let messages: u32 = messages
            .parse()
            .map_err(|_| fail("is too fast to be a limit"))?;
        let messages = NonZeroU32::new(messages).ok_or_else(|| fail("is zero"))?;
        let period = period_of(period).ok_or_else(|| fail("does not end in a period"))?;
        if u64::from(messages.get()) > u64::from(Self::MAX_PER_SECOND) * period.as_secs() {
            return Err(fail("is too fast to be a limit"));
        }
        Ok(Self::Limited(Limit { messages, period }))
    }
}

/// The period of a rate: a delay whose number may be left out when it is 1.
fn period_of(text: &str) -> Option<Delay> {
    match text {
        "s" => Some(Delay::seconds(1)),
        "m" => Some(Delay::seconds(60)),
        "h" => Some(Delay::seconds(60 * 60)),
        "d" => Some(Delay::seconds(24 * 60 * 60)),
        _ => text.parse().ok(),
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Limited(Limit { messages, period }) = self else {
            return f.write_str("unlimited");
        };
        match (period.as_secs(), period) {
            (1, _) => write!(f, "{messages}/s"),
            (60, _) => write!(f, "{messages}/m"),
            (3_600, _) => write!(f, "{messages}/h"),
            (86_400, _) => write!(f, "{messages}/d"),
            (_, period) => write!(f, "{messages}/{period}"),
        }
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(deserializer)
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Messages per time, such as 20/s, 90/m or 1/2s, or unlimited.",
            "pattern": "^(unlimited|0*[1-9][0-9]*/([smhd]|0*[1-9][0-9]*[smhdw]))$"
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn a_rate_tells_the_time_per_message() {
        let nanos = |text: &str| rate(text).interval().unwrap().as_nanos();
        assert_eq!(nanos("20/s"), 50_000_000);
        assert_eq!(nanos("1/2s"), 2_000_000_000);
        assert_eq!(nanos("1/d"), 86_400_000_000_000);
        assert_eq!(
            nanos("90/m"),
            666_666_667,
            "rounded so that it is never too fast"
        );
        assert_eq!(rate("unlimited").interval(), None);
    }

    #[test]
    fn a_rate_tells_how_long_a_backlog_takes() {
        assert_eq!(rate("20/s").time_for(50), Duration::from_millis(2500));
        assert_eq!(rate("unlimited").time_for(u64::MAX), Duration::ZERO);
        assert!(rate("1/d").time_for(u64::MAX) > Duration::from_secs(1 << 40));
    }

    #[test]
    fn a_rate_tells_messages_per_second() {
        assert_eq!(rate("90/m").per_second(), Some(1.5));
        assert_eq!(rate("1/2s").per_second(), Some(0.5));
        assert_eq!(Rate::Unlimited.per_second(), None);
    }

    #[test]
    fn a_rate_is_written_as_briefly_as_it_can_be() {
        for (text, brief) in [
            ("20/s", "20/s"),
            ("20/60s", "20/m"),
            ("5/90m", "5/90m"),
            ("unlimited", "unlimited"),
        ] {
            assert_eq!(rate(text).to_string(), brief);
        }
    }

    #[test]
    fn what_is_not_a_rate_is_told_what_is() {
        for text in [
            "",
            "20",
            "/s",
            "0/s",
            "20/0s",
            "-1/s",
            "+1/s",
            "1.5/s",
            "20/",
            "20/x",
            "20 / s",
            "Unlimited",
        ] {
            let error = text.parse::<Rate>().unwrap_err().to_string();
            assert!(
                error.contains("\"90/m\"") && error.contains(&format!("{text:?}")),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_faster_than_a_limit_can_be_is_refused() {
        assert!("1000000/s".parse::<Rate>().is_ok());
        for text in ["1000001/s", "4294967296/d", "99999999999999999999/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_rate_survives_being_written(messages in 1..=Rate::MAX_PER_SECOND, period in 1..=Delay::MAX.as_secs()) {
            let first = rate(&format!("{messages}/{period}s"));
            let json = serde_json::to_string(&first).unwrap();
            prop_assert_eq!(serde_json::from_str::<Rate>(&json).unwrap(), first);
            prop_assert!(!first.interval().unwrap().is_zero());
        }

        #[test]
        fn no_text_panics(text in ".{0,30}") {
            let _ = text.parse::<Rate>();
        }
    }
}
