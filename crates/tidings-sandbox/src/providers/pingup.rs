//! Pingup: a text message, at once or after a delay of the provider's own.

use std::time::Duration;

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{given, read_json};
use crate::Provider;
use crate::answer::Answer;
use crate::call::{Arrival, Call, Request};

const ME: Provider = Provider::Pingup;
const DAY: u64 = 24 * 60 * 60;

#[derive(Debug, Default, Deserialize)]
struct Body {
    message_type: Option<String>,
    client: Option<String>,
    client_phone: Option<String>,
    text_message: Option<String>,
    delay: Option<String>,
}

/// `POST /{business}/messages`
pub(crate) fn send(arrival: &Arrival) -> Call {
    let mut call = Call::new(ME, Request::Send, arrival.bearer(), arrival);
    match read_json::<Body>(arrival) {
        Err(wrong) => call.refuse(ME.refusal(StatusCode::BAD_REQUEST, wrong)),
        Ok(body) => {
            call.destination = body.client().unwrap_or_default().into();
            match body.check() {
                Ok(delay) => call.delay = delay,
                Err(wrong) => call.refuse(ME.refusal(StatusCode::BAD_REQUEST, wrong)),
            }
        }
    }
    call
}

impl Body {
    fn client(&self) -> Option<&str> {
        given(self.client.as_deref()).or(given(self.client_phone.as_deref()))
    }

    fn check(&self) -> Result<Option<Duration>, String> {
        let kind = given(self.message_type.as_deref()).ok_or("message_type is required")?;
        if kind != "text" {
            return Err(format!("message_type {kind:?} is not known: text is"));
        }
        self.client().ok_or("client or client_phone is required")?;
        given(self.text_message.as_deref()).ok_or("text_message is required")?;
        let unreadable = |text| {
            format!(
                "delay {text:?} is not valid: write digits and a unit, like 2w, 2d, 14h, 1m or 60s"
            )
        };
        self.delay
            .as_deref()
            .map(|text| delay(text).ok_or_else(|| unreadable(text)))
            .transpose()
    }
}

/// Digits and one unit: `s m h d w`, and of months and years, which are on no page but in use, `M` and `y`.
fn delay(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => DAY,
        'w' => 7 * DAY,
        'M' => 30 * DAY,
        'y' => 365 * DAY,
        _ => return None,
    };
    let digits = text.strip_suffix(unit)?;
    let count: u64 = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())??;
    count
        .checked_mul(seconds)
        .filter(|&seconds| seconds > 0)
        .map(Duration::from_secs)
}

/// No page shows one; `success` is the only field that is sure.
pub(crate) fn error(status: StatusCode, words: &str) -> Answer {
    Answer::value(status, &json!({"success": false, "message": words}))
}

/// 200 and the id.
pub(crate) fn accepted(id: u64) -> Answer {
    Answer::value(
        StatusCode::OK,
        &json!({"success": true, "data": {"message_id": id.to_string()}}),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delays_of_the_page_are_read() {
        for (text, seconds) in [
            ("2w", 14 * DAY),
            ("2d", 2 * DAY),
            ("14h", 50_400),
            ("60s", 60),
            ("1m", 60),
            ("1M", 30 * DAY),
        ] {
            assert_eq!(delay(text), Some(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_the_page_does_not_have_is_no_delay() {
        for text in [
            "",
            "s",
            "0s",
            "-1s",
            "+1s",
            "1 s",
            "1h30m",
            "1S",
            "1.5h",
            "10",
            "é",
            "99999999999999999y",
        ] {
            assert_eq!(delay(text), None, "{text}");
        }
    }
}
