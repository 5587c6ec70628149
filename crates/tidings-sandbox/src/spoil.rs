//! What a fault makes of an answer.

use axum::http::StatusCode;
use axum::http::header::{LOCATION, RETRY_AFTER};

use crate::Provider;
use crate::answer::{Answer, HTML};
use crate::clock::Moment;
use crate::faults::{Failure, Garbage, Status};
use crate::world::Ending;

impl Failure {
    /// The status the caller sees; 0 where it sees none.
    pub(crate) fn status(&self, provider: Provider) -> u16 {
        match self {
            Self::Status(status) => status.code,
            Self::Redirect(redirect) => redirect.code,
            Self::BadToken => provider.unauthorized("").answer.status.as_u16(),
            Self::Garbage(_) | Self::OtherShape => 200,
            Self::Timeout | Self::Reset => 0,
        }
    }

    /// What the caller gets; `worked` is the provider's answer if it did its work.
    pub(crate) fn ending(
        &self,
        provider: Provider,
        worked: Option<Answer>,
        provider_now: Moment,
    ) -> Ending {
        let answer = match self {
            Self::Timeout => return Ending::Hang,
            Self::Reset => return Ending::Reset,
            Self::Status(status) => status.answer(provider, provider_now),
            Self::BadToken => provider.unauthorized("bad token").answer,
            Self::Redirect(redirect) => {
                Answer::html(status(redirect.code), "Moved").header(LOCATION, &redirect.to)
            }
            Self::Garbage(garbage) => {
                garbage.spoil(worked.unwrap_or_else(|| Answer::json(StatusCode::OK, "{}")))
            }
            Self::OtherShape => worked.unwrap_or_else(|| Answer::json(StatusCode::OK, "{}")),
        };
        Ending::Answer(answer)
    }
}

impl Status {
    fn answer(&self, provider: Provider, provider_now: Moment) -> Answer {
        let code = status(self.code);
        let mut answer = match &self.body {
            None => provider.error(code, code.canonical_reason().unwrap_or("Error")),
            Some(serde_json::Value::String(page)) => Answer::html(code, page.as_str()),
            Some(body) => Answer::value(code, body),
        };
        if let Some(after) = self.retry_after {
            answer = answer.header(RETRY_AFTER, &whole_seconds(after.0));
        }
        if let Some(after) = self.retry_after_date {
            answer = answer.header(RETRY_AFTER, &provider_now.plus(after.0).http_date());
        }
        answer
    }
}

impl Garbage {
    fn spoil(self, answer: Answer) -> Answer {
        const WARNING: &str = "<br />\n<b>Warning</b>:  Undefined array key \"x\" in <b>/var/www/fns/api.php</b> on line <b>7</b><br />\n";
        match self {
            Self::Html => Answer::html(
                StatusCode::OK,
                "<html><body><h1>Scheduled maintenance</h1></body></html>\n",
            ),
            Self::Truncated => {
                let half = (0..=answer.body.len() / 2)
                    .rev()
                    .find(|&end| answer.body.is_char_boundary(end));
                Answer {
                    body: answer.body[..half.unwrap_or(0)].to_owned(),
                    ..answer
                }
            }
            Self::PhpWarning => Answer {
                body: format!("{WARNING}{}", answer.body),
                content_type: HTML,
                ..answer
            },
            Self::Megabyte => Answer {
                body: "x".repeat(1 << 20),
                content_type: HTML,
                ..answer
            },
            Self::Empty => Answer::empty(StatusCode::OK),
        }
    }
}

/// A status from its code; 500 where HTTP has no such code.
pub(crate) fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// As `Retry-After` wants it: rounded up.
pub(crate) fn whole_seconds(span: std::time::Duration) -> String {
    span.as_nanos().div_ceil(1_000_000_000).to_string()
}
