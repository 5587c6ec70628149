use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidings_model::{
    Account, DeadLetter, LetterKey, LetterMessage, LetterState, Metadata, Provider, Reason, Verdict,
};

use crate::{Name, signature};

/// Which letters. By default all; what is empty lets everything through, and every condition must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Called so.
    #[serde(rename = "ids", skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Name>,
    /// Of these accounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<Account>,
    /// Of these providers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<Provider>,
    /// For these reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// Whose last attempt had one of these verdicts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<Verdict>,
    /// Whose last attempt had one of these HTTP statuses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<u16>,
    /// In these states.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<LetterState>,
    /// Dead then or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Dead before then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Whose last attempt's error holds this. Case counts for nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whose error has this [`signature`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Whose payload holds this in one of its texts; a body that is no message, anywhere. Case counts for nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whose metadata has all of these.
    #[serde(rename = "where", skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
}

/// What of a letter most conditions ask about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'l> {
    pub(crate) account: Option<&'l Account>,
    pub(crate) reason: Reason,
    pub(crate) verdict: Option<Verdict>,
    pub(crate) status: Option<u16>,
    pub(crate) state: LetterState,
    pub(crate) dead_at: Timestamp,
}

impl<'l> From<&'l DeadLetter> for Facts<'l> {
    fn from(letter: &'l DeadLetter) -> Self {
        let last = letter.attempts.last();
        Self {
            account: letter.message.account(),
            reason: letter.reason,
            verdict: last.map(|attempt| attempt.verdict),
            status: last.and_then(|attempt| attempt.status),
            state: letter.state,
            dead_at: letter.dead_at,
        }
    }
}

impl Filter {
    /// Whether a letter, with its message's bytes, is let through.
    #[must_use]
    pub fn includes(&self, key: &LetterKey, letter: &DeadLetter, body: &[u8]) -> bool {
        self.calls(|| key.clone()) && self.admits(Facts::from(letter)) && self.holds(letter, body)
    }

    /// Whether it asks about the provider's words or the message, and not only about what is counted by.
    #[must_use]
    pub fn asks_content(&self) -> bool {
        self.error.is_some() || self.text.is_some() || !self.metadata.is_empty()
    }

    /// Whether it lets a letter of this name through.
    pub(crate) fn calls(&self, key: impl FnOnce() -> LetterKey) -> bool {
        self.names.is_empty() || {
            let key = key();
            self.names.iter().any(|name| name.is_of(&key))
        }
    }

    pub(crate) fn admits(&self, letter: Facts<'_>) -> bool {
        let provider = letter.account.map(Account::provider);
        any(&self.accounts, letter.account)
            && any(&self.providers, provider.as_ref())
            && any(&self.reasons, Some(&letter.reason))
            && any(&self.verdicts, letter.verdict.as_ref())
            && any(&self.statuses, letter.status.as_ref())
            && any(&self.states, Some(&letter.state))
            && self.since.is_none_or(|since| letter.dead_at >= since)
            && self.until.is_none_or(|until| letter.dead_at < until)
    }

    fn holds(&self, letter: &DeadLetter, body: &[u8]) -> bool {
        let last = letter.attempts.last();
        let error = last.and_then(|attempt| attempt.error.as_deref());
        asks(&self.error, |part| {
            contains(error.unwrap_or_default(), part)
        }) && asks(&self.signature, |wanted| *wanted == signature(letter))
            && asks(&self.text, |part| mentions(&letter.message, body, part))
            && (self.metadata.is_empty() || has(&letter.message, &self.metadata))
    }
}

/// In the words of the audit: `account groupme.ops, reason rejected`.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// More than so many are counted.
        const NAMED: usize = 5;
        fn list<T: ToString>(name: &str, values: &[T]) -> Option<String> {
            let named: Vec<String> = values.iter().take(NAMED).map(ToString::to_string).collect();
            let more = match values.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            (!values.is_empty()).then(|| format!("{name} {}{more}", named.join(" ")))
        }
        let text = |name: &str, text: &Option<String>| {
            text.as_ref().map(|text| format!("{name} {text:?}"))
        };
        let metadata = self.metadata.iter();
        let pairs = metadata.map(|(key, value)| format!("{key}={value}"));
        let parts = [
            list("message", &self.names),
            list("account", &self.accounts),
            list("provider", &self.providers),
            list("reason", &self.reasons),
            list("verdict", &self.verdicts),
            list("status", &self.statuses),
            list("state", &self.states),
            self.since.map(|since| format!("since {since}")),
            self.until.map(|until| format!("until {until}")),
            text("error", &self.error),
            text("signature", &self.signature),
            text("text", &self.text),
            list("where", &pairs.collect::<Vec<_>>()),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&match parts.len() {
            0 => "all".to_owned(),
            _ => parts.join(", "),
        })
    }
}

fn any<T: PartialEq>(wanted: &[T], value: Option<&T>) -> bool {
    wanted.is_empty() || value.is_some_and(|value| wanted.contains(value))
}

fn asks(condition: &Option<String>, holds: impl Fn(&String) -> bool) -> bool {
    condition.as_ref().is_none_or(holds)
}

fn contains(text: &str, part: &str) -> bool {
    text.contains(part) || text.to_lowercase().contains(&part.to_lowercase())
}

fn mentions(message: &LetterMessage, body: &[u8], part: &str) -> bool {
    match message {
        LetterMessage::Whole(message) => {
            serde_json::to_value(&message.payload).is_ok_and(|payload| says(&payload, part))
        }
        LetterMessage::Part { .. } => contains(&String::from_utf8_lossy(body), part),
    }
}

fn says(value: &Value, part: &str) -> bool {
    match value {
        Value::String(text) => contains(text, part),
        Value::Array(values) => values.iter().any(|value| says(value, part)),
        Value::Object(fields) => fields.values().any(|value| says(value, part)),
        Value::Number(number) => number.to_string() == part,
        Value::Null | Value::Bool(_) => false,
    }
}

fn has(message: &LetterMessage, wanted: &Metadata) -> bool {
    match message {
        LetterMessage::Whole(message) => wanted
            .iter()
            .all(|(key, value)| message.metadata.get(key) == Some(value)),
        LetterMessage::Part { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use tidings_model::{Attempt, LetterHead};

    use super::*;

    const BODY: &[u8] =
        br#"{"account":"groupme.ops","payload":{"group_id":"17","text":"Gr\u00fc\u00dfe an alle"},
        "id":"m-1","enqueued_at":"2026-01-01T08:00:00Z","metadata":{"order":"42","shop":"b"}}"#;

    fn letter(body: &[u8]) -> DeadLetter {
        let at = "2026-01-01T09:00:00Z".parse().unwrap();
        let attempt = |status, verdict, error: &str| Attempt {
            at,
            verdict,
            status: Some(status),
            error: Some(error.into()),
            took_ms: 1,
            worker: "w".into(),
        };
        let head = LetterHead {
            id: Some("m-1".parse().unwrap()),
            account: None,
            reason: Reason::Rejected,
            attempts: vec![
                attempt(503, Verdict::Unknown, "down"),
                attempt(404, Verdict::Rejected, "Group 17 not found"),
            ],
            dead_at: at,
            generation: 0,
            maybe_delivered: false,
            stood_at: None,
        };
        head.with_body(body, LetterState::Open)
    }

    fn lets_through(filter: &Filter) -> bool {
        includes(filter, BODY)
    }

    fn includes(filter: &Filter, body: &[u8]) -> bool {
        let key = LetterKey::Place { position: 7 };
        filter.includes(&key, &letter(body), body)
    }

    #[test]
    fn an_empty_filter_lets_everything_through() {
        assert!(lets_through(&Filter::default()));
        assert!(includes(&Filter::default(), b"nonsense"));
    }

    #[test]
    fn every_condition_must_hold() {
        let mut filter = Filter {
            providers: vec![Provider::Groupme, Provider::Raven],
            reasons: vec![Reason::Rejected],
            ..Filter::default()
        };
        assert!(lets_through(&filter));
        assert!(!includes(&filter, b"nonsense"), "its provider is not known");
        filter.accounts = vec!["groupme.other".parse().unwrap()];
        assert!(!lets_through(&filter));
    }

    #[test]
    fn since_includes_its_moment_and_until_does_not() {
        let dead_at = letter(BODY).dead_at;
        let since = Filter {
            since: Some(dead_at),
            ..Filter::default()
        };
        let until = Filter {
            until: Some(dead_at),
            ..Filter::default()
        };
        assert!(lets_through(&since) && !lets_through(&until));
    }

    #[test]
    fn an_attempt_is_asked_for_by_the_last_one() {
        for (status, verdict, error, expected) in [
            (404, Verdict::Rejected, "group 17", true),
            (503, Verdict::Rejected, "group", false),
            (404, Verdict::Unknown, "group", false),
            (404, Verdict::Rejected, "down", false),
        ] {
            let filter = Filter {
                statuses: vec![status],
                verdicts: vec![verdict],
                error: Some(error.into()),
                ..Filter::default()
            };
            assert_eq!(
                lets_through(&filter),
                expected,
                "{status} {verdict} {error}"
            );
        }
    }

    #[test]
    fn a_signature_is_asked_for_as_a_whole() {
        for (signature, expected) in [("404 Group … not found", true), ("404 Group …", false)] {
            let filter = Filter {
                signature: Some(signature.into()),
                ..Filter::default()
            };
            assert_eq!(lets_through(&filter), expected, "{signature}");
        }
    }

    #[test]
    fn a_text_is_looked_for_in_what_the_payload_says_however_it_is_written() {
        for (text, expected) in [
            ("GRÜßE", true),
            ("grüße an", true),
            ("17", true),
            ("text", false),
        ] {
            let filter = Filter {
                text: Some(text.into()),
                ..Filter::default()
            };
            assert_eq!(lets_through(&filter), expected, "{text}");
        }
        let filter = Filter {
            text: Some("Sense".into()),
            ..Filter::default()
        };
        assert!(includes(&filter, b"nonsense"));
    }

    #[test]
    fn metadata_must_have_all_that_is_asked_for() {
        let order = |pairs: &[(&str, &str)]| Filter {
            metadata: pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ..Filter::default()
        };
        assert!(lets_through(&order(&[("order", "42"), ("shop", "b")])));
        assert!(!lets_through(&order(&[("order", "42"), ("shop", "c")])));
        assert!(!includes(&order(&[("order", "42")]), b"nonsense"));
    }

    #[test]
    fn a_filter_is_written_down_without_what_it_does_not_ask_for() {
        let filter = Filter {
            reasons: vec![Reason::TooOld],
            metadata: [("order".to_owned(), "42".to_owned())].into(),
            ..Filter::default()
        };
        let json = serde_json::to_string(&filter).unwrap();
        assert_eq!(json, r#"{"reasons":["too-old"],"where":{"order":"42"}}"#);
        assert_eq!(serde_json::from_str::<Filter>(&json).unwrap(), filter);
    }
}
