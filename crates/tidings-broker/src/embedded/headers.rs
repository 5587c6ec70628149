//! How a message's headers stand in the file: JSON, without what is at its default.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidings_model::{Attempts, Headers};

#[derive(Serialize, Deserialize)]
#[serde(remote = "Headers")]
struct Stored {
    #[serde(default, skip_serializing_if = "is_default")]
    generation: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    turn: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    attempts: Attempts,
    #[serde(default, skip_serializing_if = "is_default")]
    due: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "is_default")]
    maybe_delivered: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    consent: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    again: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    traceparent: Option<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

pub(super) fn encode(headers: &Headers) -> String {
    let mut json = Vec::with_capacity(64);
    // Plain data: writing it to memory cannot fail.
    let _ = Stored::serialize(headers, &mut serde_json::Serializer::new(&mut json));
    String::from_utf8(json).unwrap_or_default()
}

/// Headers that cannot be read say nothing of what was tried: then the message may have been delivered.
pub(super) fn decode(json: &str) -> Headers {
    Stored::deserialize(&mut serde_json::Deserializer::from_str(json)).unwrap_or_else(|error| {
        tracing::error!(%error, "the headers of a message cannot be read: it counts as maybe delivered");
        Headers {
            maybe_delivered: true,
            ..Headers::default()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_back_as_they_were_written() {
        let mut headers = Headers::default();
        assert_eq!(encode(&headers), "{}");
        assert_eq!(decode("{}"), headers);
        headers.generation = 1;
        headers.turn = 7;
        headers.attempts.spent = 3;
        headers.attempts.first_at = Some("2026-01-01T00:00:00.123456789Z".parse().unwrap());
        headers.due = headers.attempts.first_at;
        headers.maybe_delivered = true;
        headers.consent = true;
        headers.again = true;
        headers.traceparent = Some("00-\"x\"".into());
        assert_eq!(decode(&encode(&headers)), headers);
    }

    #[test]
    fn what_cannot_be_read_counts_as_maybe_delivered() {
        for garbage in ["", "[", "null", r#"{"turn":"x"}"#, r#"{"turn":-1}"#] {
            assert!(decode(garbage).maybe_delivered, "{garbage}");
        }
    }
}
