use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::Wrong;
use super::on::On;
use super::span::Span;
use super::when::When;

/// One thing that goes wrong.
///
/// In JSON: `{"on": {"provider": "groupme"}, "do": {"status": {"code": 503}}, "recorded": "yes", "when": {"every": 3}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    #[serde(default, skip_serializing_if = "On::is_everything")]
    pub(crate) on: On,
    #[serde(rename = "do")]
    pub(crate) failure: Failure,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recorded: Option<Recorded>,
    #[serde(default, skip_serializing_if = "When::is_always")]
    pub(crate) when: When,
}

/// What the caller sees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Failure {
    /// An answer with this status.
    Status(Status),
    /// The provider's own answer to a token it does not know.
    BadToken,
    /// No answer, for as long as the caller waits.
    Timeout,
    /// The connection is reset in place of an answer.
    Reset,
    /// An answer that cannot be read.
    Garbage(Garbage),
    /// A redirect to somewhere else.
    Redirect(Redirect),
    /// The provider's other shape of a success, as clients in the wild have seen it; elsewhere the ordinary answer.
    OtherShape,
}

/// An answer with a status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Status {
    pub(crate) code: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after: Option<Span>,
    /// The same as a date in place of seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_date: Option<Span>,
    /// A string is sent as HTML, anything else as JSON; the provider's own error body where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<Value>,
}

/// An answer with a status of 3xx.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redirect {
    pub(crate) to: String,
    #[serde(default = "found")]
    pub(crate) code: u16,
}

fn found() -> u16 {
    302
}

/// How an answer is unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Garbage {
    /// A page for people, with status 200.
    Html,
    /// The first half of the right answer.
    Truncated,
    /// The right answer after a warning that PHP printed.
    PhpWarning,
    /// A megabyte of something else, with the right status.
    Megabyte,
    /// Nothing, with status 200.
    Empty,
}

/// Whether the provider does its work all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Recorded {
    /// It does not: the message never arrived.
    No,
    /// It does, before anything goes wrong: the message arrived, and the caller does not learn it.
    Yes,
    /// It does, that much later, whatever became of the caller.
    Late(Span),
}

impl Fault {
    fn new(failure: Failure) -> Self {
        Self {
            on: On::default(),
            failure,
            recorded: None,
            when: When::default(),
        }
    }

    /// An answer with this status and the provider's own error body.
    pub fn status(code: u16) -> Self {
        Self::new(Failure::Status(Status {
            code,
            retry_after: None,
            retry_after_date: None,
            body: None,
        }))
    }

    /// The provider's answer to a token it does not know.
    pub fn bad_token() -> Self {
        Self::new(Failure::BadToken)
    }

    /// No answer.
    pub fn timeout() -> Self {
        Self::new(Failure::Timeout)
    }

    /// A TCP reset in place of an answer.
    pub fn reset() -> Self {
        Self::new(Failure::Reset)
    }

    /// An answer that cannot be read; the message is recorded unless said otherwise.
    pub fn garbage(garbage: Garbage) -> Self {
        Self::new(Failure::Garbage(garbage))
    }

    /// A 302 to another address.
    pub fn redirect(to: impl Into<String>) -> Self {
        Self::new(Failure::Redirect(Redirect {
            to: to.into(),
            code: found(),
        }))
    }

    /// The other shape of a success.
    pub fn other_shape() -> Self {
        Self::new(Failure::OtherShape)
    }

    /// For these calls only.
    #[must_use]
    pub fn on(mut self, on: impl Into<On>) -> Self {
        self.on = on.into();
        self
    }

    /// A status comes with `Retry-After` in seconds, rounded up. No other failure has one.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        if let Failure::Status(status) = &mut self.failure {
            status.retry_after = Some(Span(after));
        }
        self
    }

    /// A status comes with `Retry-After` as a date, so far ahead. No other failure has one.
    #[must_use]
    pub fn retry_after_date(mut self, after: Duration) -> Self {
        if let Failure::Status(status) = &mut self.failure {
            status.retry_after_date = Some(Span(after));
        }
        self
    }

    /// A status comes with this body: a string as HTML, anything else as JSON. No other failure has one.
    #[must_use]
    pub fn body(mut self, body: impl Into<Value>) -> Self {
        if let Failure::Status(status) = &mut self.failure {
            status.body = Some(body.into());
        }
        self
    }

    /// It goes wrong before the provider has recorded the message, which never arrives.
    #[must_use]
    pub fn before_recording(mut self) -> Self {
        self.recorded = Some(Recorded::No);
        self
    }

    /// It goes wrong after the provider has recorded the message.
    #[must_use]
    pub fn after_recording(mut self) -> Self {
        self.recorded = Some(Recorded::Yes);
        self
    }

    /// The provider records the message, but only so much later.
    #[must_use]
    pub fn recorded_late(mut self, late: Duration) -> Self {
        self.recorded = Some(Recorded::Late(Span(late)));
        self
    }

    /// So likely, 0 to 1.
    #[must_use]
    pub fn probability(mut self, probability: f64) -> Self {
        self.when.probability = Some(probability);
        self
    }

    /// The nth call, the 2nth, ….
    #[must_use]
    pub fn every(mut self, n: u64) -> Self {
        self.when.every = Some(n);
        self
    }

    /// The first n calls, counted after those of [`Fault::after`].
    #[must_use]
    pub fn first(mut self, n: u64) -> Self {
        self.when.first = Some(n);
        self
    }

    /// Not before n calls have passed.
    #[must_use]
    pub fn after(mut self, n: u64) -> Self {
        self.when.after = Some(n);
        self
    }

    /// N strikes at most.
    #[must_use]
    pub fn times(mut self, n: u64) -> Self {
        self.when.times = Some(n);
        self
    }

    /// Whether the provider does its work: it does where its answer is what gets spoilt, else it does not.
    pub(crate) fn recorded(&self) -> Recorded {
        self.recorded.unwrap_or(match self.failure {
            Failure::Garbage(_) | Failure::OtherShape => Recorded::Yes,
            _ => Recorded::No,
        })
    }

    pub(crate) fn check(&self) -> Result<(), Wrong> {
        let code = match &self.failure {
            Failure::Status(status) => status.code,
            Failure::Redirect(redirect) => redirect.code,
            _ => 200,
        };
        // 1xx is no answer, and HTTP has no more than three digits.
        if !(200..=599).contains(&code) {
            return Err(Wrong::new(
                "do.status.code",
                format!("is {code}, and must be from 200 to 599"),
            ));
        }
        self.when.check()
    }
}

impl Failure {
    /// The name in a faults file and in the book.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::BadToken => "bad_token",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Garbage(_) => "garbage",
            Self::Redirect(_) => "redirect",
            Self::OtherShape => "other_shape",
        }
    }
}
