use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidings_model::{Account, DeadLetter, LetterState, MessageId, Provider, Reason};

/// Which letters. By default all; a list that is empty lets everything through.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Of these messages.
    pub ids: Vec<MessageId>,
    /// Of these accounts.
    pub accounts: Vec<Account>,
    /// Of these providers.
    pub providers: Vec<Provider>,
    /// For these reasons.
    pub reasons: Vec<Reason>,
    /// In these states.
    pub states: Vec<LetterState>,
    /// Dead then or later.
    pub since: Option<Timestamp>,
    /// Dead before then.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Whether a letter is let through.
    #[must_use]
    pub fn includes(&self, letter: &DeadLetter) -> bool {
        let account = letter.message.account();
        let provider = account.map(Account::provider);
        let dead_at = letter.dead_at;
        any(&self.ids, letter.message.id())
            && any(&self.accounts, account)
            && any(&self.providers, provider.as_ref())
            && any(&self.reasons, Some(&letter.reason))
            && any(&self.states, Some(&letter.state))
            && self.since.is_none_or(|since| dead_at >= since)
            && self.until.is_none_or(|until| dead_at < until)
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
        let parts = [
            list("message", &self.ids),
            list("account", &self.accounts),
            list("provider", &self.providers),
            list("reason", &self.reasons),
            list("state", &self.states),
            self.since.map(|since| format!("since {since}")),
            self.until.map(|until| format!("until {until}")),
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

#[cfg(test)]
mod tests {
    use tidings_model::LetterMessage;

    use super::*;

    fn letter(account: Option<&str>) -> DeadLetter {
        DeadLetter {
            message: LetterMessage::Part {
                id: Some("m-1".parse().unwrap()),
                account: account.map(|account| account.parse().unwrap()),
            },
            reason: Reason::Rejected,
            attempts: Vec::new(),
            dead_at: "2026-01-01T09:00:00Z".parse().unwrap(),
            state: LetterState::Open,
            generation: 0,
            maybe_delivered: false,
        }
    }

    #[test]
    fn an_empty_filter_lets_everything_through() {
        assert!(Filter::default().includes(&letter(None)));
    }

    #[test]
    fn every_condition_must_hold() {
        let groupme = letter(Some("groupme.ops"));
        let mut filter = Filter {
            providers: vec![Provider::Groupme, Provider::Raven],
            reasons: vec![Reason::Rejected],
            ..Filter::default()
        };
        assert!(filter.includes(&groupme));
        assert!(!filter.includes(&letter(None)), "its provider is not known");
        filter.accounts = vec!["groupme.other".parse().unwrap()];
        assert!(!filter.includes(&groupme));
    }

    #[test]
    fn since_includes_its_moment_and_until_does_not() {
        let letter = letter(None);
        let since = Filter {
            since: Some(letter.dead_at),
            ..Filter::default()
        };
        let until = Filter {
            until: Some(letter.dead_at),
            ..Filter::default()
        };
        assert!(since.includes(&letter) && !until.includes(&letter));
    }
}
