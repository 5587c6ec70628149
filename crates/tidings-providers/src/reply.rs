use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use tidings_model::Verdict;

use crate::{answer::Answer, words::words};

/// The longest `Retry-After` that is honoured.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// An answer as it came, before anyone has judged it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// What was read of the body.
    pub(crate) body: Vec<u8>,
    /// How the body ended.
    pub(crate) end: End,
    /// When it came, by our clock.
    pub(crate) at: SystemTime,
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It was read to its end.
    Whole,
    /// It was longer than is read of any.
    TooLong,
    /// The connection broke, or the time was up.
    BrokenOff,
}

impl Reply {
    /// What the status alone says, where a provider's page says nothing else. A redirect is unknown: nobody follows it,
    /// and some applications answer so after they have done their work. So is a 408: it is a timeout that whatever
    /// stands in front of the provider reports.
    pub(crate) fn by_status(&self) -> Verdict {
        Self::verdict_of(self.status)
    }

    pub(crate) fn verdict_of(status: u16) -> Verdict {
        match status {
            429 => Verdict::RateLimited,
            401 => Verdict::AccountProblem,
            408 => Verdict::Unknown,
            400..=499 => Verdict::Rejected,
            _ => Verdict::Unknown,
        }
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..=299).contains(&self.status)
    }

    pub(crate) fn is_client_error(&self) -> bool {
        (400..=499).contains(&self.status)
    }

    /// The answer of a message that the provider took.
    pub(crate) fn delivered(&self, provider_message_id: Option<String>) -> Answer {
        Answer {
            error: None,
            provider_message_id,
            ..self.with_error(Verdict::Delivered, String::new())
        }
    }

    /// The answer with this verdict, in the provider's words.
    pub(crate) fn judged(&self, verdict: Verdict) -> Answer {
        self.with_error(verdict, self.words())
    }

    /// The answer of a provider that did not say what its page promises for this status.
    pub(crate) fn unreadable(&self, expected: &str) -> Answer {
        let how = match self.end {
            End::Whole => "has no",
            End::TooLong => "is too long to find its",
            End::BrokenOff => "broke off before its",
        };
        let error = format!("the answer {how} {expected}: {}", words(&self.body));
        self.with_error(Verdict::Unknown, error)
    }

    pub(crate) fn with_error(&self, verdict: Verdict, error: String) -> Answer {
        let retry_after = self.retry_after();
        let unavailable = self.status == 503 && retry_after.is_some();
        Answer {
            verdict,
            status: Some(self.status),
            error: Some(error),
            retry_after,
            provider_message_id: None,
            pauses_lane: unavailable
                || matches!(verdict, Verdict::RateLimited | Verdict::AccountProblem),
        }
    }

    /// What the provider says; where it says nothing, what it did.
    pub(crate) fn words(&self) -> String {
        let words = words(&self.body);
        if let 300..=399 = self.status {
            let to = self.header(&reqwest::header::LOCATION).unwrap_or("nowhere");
            return format!("redirected to {to}, which is not followed: {words}");
        }
        if words.is_empty() {
            return format!("answered {} without words", self.status);
        }
        words
    }

    /// `Retry-After`, in seconds or as a date: at most an hour, nothing where that is no time at all.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let value = self.header(&RETRY_AFTER)?.trim();
        let wait = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
            value.parse().map_or(LONGEST_PAUSE, Duration::from_secs)
        } else {
            let until = httpdate::parse_http_date(value).ok()?;
            // By the server's clock where it shows it: the two dates then agree.
            until.duration_since(self.date().unwrap_or(self.at)).ok()?
        };
        Some(wait.min(LONGEST_PAUSE)).filter(|wait| !wait.is_zero())
    }

    /// The server's clock when it answered.
    pub(crate) fn date(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.header(&DATE)?).ok()
    }

    fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

#[cfg(test)]
impl Reply {
    /// An answer with this status and body.
    pub(crate) fn new(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: body.as_ref().to_vec(),
            end: End::Whole,
            at: SystemTime::UNIX_EPOCH,
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers
            .insert(HeaderName::from_static(name), value.parse().unwrap());
        self
    }
}

/// Asserts the verdict on each of these answers: status, body, verdict.
#[cfg(test)]
#[track_caller]
pub(crate) fn assert_verdicts(judge: impl Fn(&Reply) -> Answer, rows: &[(u16, &str, Verdict)]) {
    for &(status, body, verdict) in rows {
        let answer = judge(&Reply::new(status, body));
        assert_eq!(answer.verdict, verdict, "{status} {body}: {answer:?}");
        assert_eq!(answer.status, Some(status));
        assert_eq!(
            answer.error.is_none(),
            verdict == Verdict::Delivered,
            "{answer:?}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry_after(reply: &Reply) -> Option<u64> {
        reply.retry_after().map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_at_most_an_hour() {
        let cases = [
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("3600", Some(3600)),
            ("3601", Some(3600)),
            ("99999999999999999999999999", Some(3600)),
            ("0", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
            ("Thu, 01 Jan 1970 00:01:30 GMT", Some(90)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", None),
            ("Fri, 02 Jan 1970 00:00:00 GMT", Some(3600)),
        ];
        for (value, expected) in cases {
            let reply = Reply::new(429, "").with("retry-after", value);
            assert_eq!(retry_after(&reply), expected, "{value:?}");
        }
        assert_eq!(retry_after(&Reply::new(429, "")), None);
    }

    #[test]
    fn a_date_to_wait_for_is_read_by_the_clock_of_the_server_that_names_it() {
        let reply = Reply::new(503, "")
            .with("date", "Thu, 01 Jan 2026 00:00:00 GMT")
            .with("retry-after", "Thu, 01 Jan 2026 00:00:20 GMT");
        assert_eq!(retry_after(&reply), Some(20));
    }

    #[test]
    fn an_unavailable_provider_that_says_for_how_long_pauses_the_lane() {
        let reply = Reply::new(503, "").with("retry-after", "20");
        let answer = reply.judged(reply.by_status());
        assert_eq!(
            (answer.verdict, answer.pauses_lane),
            (Verdict::Unknown, true)
        );
        assert!(!Reply::new(503, "").judged(Verdict::Unknown).pauses_lane);
        assert!(
            !Reply::new(500, "")
                .with("retry-after", "20")
                .judged(Verdict::Unknown)
                .pauses_lane
        );
    }

    #[test]
    fn an_answer_without_words_says_what_it_was() {
        assert_eq!(Reply::new(500, "").words(), "answered 500 without words");
        let redirect = Reply::new(302, "").with("location", "https://example.com/login");
        assert!(redirect.words().contains("https://example.com/login"));
    }
}
