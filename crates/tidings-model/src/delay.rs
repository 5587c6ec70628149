use std::{borrow::Cow, fmt, num::NonZeroU32, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;
const MONTH: u64 = 30 * DAY;
const YEAR: u64 = 365 * DAY;

/// A time of whole seconds, at least one, as people write it: digits and a unit, `90s`, `10m`, `14h`, `2d`, `1w`.
///
/// ```
/// use tidings_model::Delay;
///
/// let delay: Delay = "90m".parse()?;
/// assert_eq!(delay.as_secs(), 5_400);
/// # Ok::<(), tidings_model::DelayError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Delay(NonZeroU32);

/// Why a text is not a delay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("delay {text:?} {why}; valid are digits and one of {units}, such as \"10m\"")]
pub struct DelayError {
    text: String,
    why: &'static str,
    units: &'static str,
}

impl Delay {
    /// The longest delay, 2^28 − 1 seconds (eight and a half years): the broker's delay levels end there.
    pub const MAX: Self = Self::seconds((1 << 28) - 1);

    /// A delay that is known to be right when the program is compiled.
    ///
    /// # Panics
    /// Where `seconds` is 0. It is called with constants only.
    pub(crate) const fn seconds(seconds: u32) -> Self {
        Self(NonZeroU32::new(seconds).expect("a delay of at least a second"))
    }

    /// Reads digits and one of `s`, `m`, `h`, `d`, `w`.
    ///
    /// # Errors
    /// For any other text, for zero, and for more than [`Delay::MAX`].
    pub fn parse(text: &str) -> Result<Self, DelayError> {
        parse(text, unit).map_err(|why| DelayError {
            text: text::start(text),
            why,
            units: "s, m, h, d, w",
        })
    }

    /// The delay in seconds, at least 1 and below 2^28.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0.get() as u64
    }

    /// The delay as a duration.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_secs(self.as_secs())
    }
}

/// The seconds of a unit.
const fn unit(letter: char) -> Option<u64> {
    match letter {
        's' => Some(1),
        'm' => Some(MINUTE),
        'h' => Some(HOUR),
        'd' => Some(DAY),
        'w' => Some(WEEK),
        _ => None,
    }
}

/// The delay of digits and a unit, or what is wrong with them.
fn parse(text: &str, seconds_of: impl Fn(char) -> Option<u64>) -> Result<Delay, &'static str> {
    const TOO_LONG: &str = "is longer than 268435455 seconds";
    let mut rest = text.chars();
    let unit = rest
        .next_back()
        .and_then(seconds_of)
        .ok_or("does not end in a unit")?;
    let digits = rest.as_str();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err("does not begin with digits alone");
    }
    let number: u64 = digits.parse().map_err(|_| TOO_LONG)?;
    let seconds = number
        .checked_mul(unit)
        .filter(|secs| *secs <= Delay::MAX.as_secs())
        .ok_or(TOO_LONG)?;
    let seconds = u32::try_from(seconds).map_err(|_| TOO_LONG)?;
    NonZeroU32::new(seconds)
        .map(Delay)
        .ok_or("is no delay at all")
}

impl FromStr for Delay {
    type Err = DelayError;

    fn from_str(text: &str) -> Result<Self, DelayError> {
        Self::parse(text)
    }
}

/// The shortest text that reads back as the same delay: the largest unit that divides it.
impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.as_secs();
        let units = [(WEEK, 'w'), (DAY, 'd'), (HOUR, 'h'), (MINUTE, 'm')];
        let (unit, letter) = units
            .into_iter()
            .find(|(unit, _)| seconds.is_multiple_of(*unit))
            .unwrap_or((1, 's'));
        write!(f, "{}{letter}", seconds / unit)
    }
}

impl fmt::Debug for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Delay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Delay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(deserializer)
    }
}

impl JsonSchema for Delay {
    fn schema_name() -> Cow<'static, str> {
        "Delay".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Digits and one of s, m, h, d, w: less than 2^28 seconds.",
            "pattern": "^0*[1-9][0-9]*[smhdw]$"
        })
    }
}

/// The `delay` of a Pingup payload: like [`Delay`], with `M` for months of 30 days and `y` for years of 365.
///
/// It keeps the text it was written as, because that is what Pingup gets.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PingupDelay {
    text: Box<str>,
    delay: Delay,
}

impl PingupDelay {
    /// The text it was written as.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The delay that the text stands for.
    #[must_use]
    pub const fn delay(&self) -> Delay {
        self.delay
    }

    /// What to tell Pingup once `elapsed` has gone since the message was sent: the original text while that is less
    /// than a second, then whole seconds rounded up, `None` once nothing is left.
    #[must_use]
    pub fn remaining(&self, elapsed: Duration) -> Option<Cow<'_, str>> {
        let left = self
            .delay
            .as_duration()
            .checked_sub(elapsed)
            .filter(|left| !left.is_zero())?;
        if elapsed < Duration::from_secs(1) {
            return Some(Cow::Borrowed(&self.text));
        }
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        Some(Cow::Owned(format!("{seconds}s")))
    }
}

impl FromStr for PingupDelay {
    type Err = DelayError;

    fn from_str(text: &str) -> Result<Self, DelayError> {
        let pingup_unit = |letter| match letter {
            'M' => Some(MONTH),
            'y' => Some(YEAR),
            letter => unit(letter),
        };
        match parse(text, pingup_unit) {
            Ok(delay) => Ok(Self {
                text: text.into(),
                delay,
            }),
            Err(why) => Err(DelayError {
                text: text::start(text),
                why,
                units: "s, m, h, d, w, M, y",
            }),
        }
    }
}

impl From<Delay> for PingupDelay {
    fn from(delay: Delay) -> Self {
        Self {
            text: delay.to_string().into(),
            delay,
        }
    }
}

impl fmt::Display for PingupDelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PingupDelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for PingupDelay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for PingupDelay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(deserializer)
    }
}

impl JsonSchema for PingupDelay {
    fn schema_name() -> Cow<'static, str> {
        "PingupDelay".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Digits and one of s, m, h, d, w, M (30 days), y (365 days): less than 2^28 seconds.",
            "pattern": "^0*[1-9][0-9]*[smhdwMy]$"
        })
    }
}

#[cfg(test)]
mod tests;
