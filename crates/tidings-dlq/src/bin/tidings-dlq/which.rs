use std::str::FromStr;

use jiff::Timestamp;
use tidings_dlq::{Filter, Order, Request, Retention};
use tidings_model::{Account, Delay, LetterState, MessageId, Moment, Provider, Reason};

/// Which letters: every condition must hold, and one that may be given several times is met by any of its values.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which letters")]
pub(crate) struct Which {
    /// Of these accounts
    #[arg(long = "account", value_name = "ACCOUNT", num_args = 1..)]
    accounts: Vec<Account>,
    /// Of these providers
    #[arg(long = "provider", value_name = "PROVIDER", num_args = 1..)]
    providers: Vec<Provider>,
    /// For these reasons, such as rejected or expired
    #[arg(long = "reason", value_name = "REASON", num_args = 1..)]
    reasons: Vec<Reason>,
    /// Dead since then: a time such as 2026-01-01T09:00:00Z, or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Dead before then
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// In this state: open, replayed, edited, discarded, or all
    #[arg(long, value_name = "STATE", default_value = "open")]
    state: States,
}

/// Which letters to act on: by their messages' ids, by conditions, or both.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which letters")]
pub(crate) struct Chosen {
    /// Of these messages
    #[arg(value_name = "ID")]
    ids: Vec<MessageId>,
    /// Of these messages as well
    #[arg(long = "id", value_name = "ID", num_args = 1..)]
    more: Vec<MessageId>,
    #[command(flatten)]
    which: Which,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Which ones, where there are more: oldest, newest, account or reason
    #[arg(long, value_name = "ORDER")]
    sort: Option<Order>,
    /// Also those that an operation has claimed which was abandoned
    #[arg(long)]
    take_over: bool,
}

impl Chosen {
    /// What is asked, told at `now`.
    pub(crate) fn request(&self, now: Timestamp) -> Request {
        let ids = self.ids.iter().chain(&self.more).cloned();
        Request {
            filter: Filter {
                ids: ids.collect(),
                ..self.which.filter(now)
            },
            limit: self.limit,
            sort: self.sort,
            take_over: self.take_over,
            ..Request::default()
        }
    }

    pub(crate) fn names_messages(&self) -> bool {
        !self.ids.is_empty() || !self.more.is_empty()
    }

    pub(crate) fn takes_over(&self) -> bool {
        self.take_over
    }
}

/// The states of `--state`; none of them means all.
#[derive(Debug, Clone)]
struct States(Vec<LetterState>);

impl FromStr for States {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self(Vec::new()));
        }
        let named = |state: &LetterState| state.as_str() == text;
        match LetterState::ALL.into_iter().find(named) {
            Some(state) => Ok(Self(vec![state])),
            None => Err(format!(
                "state {text:?} is none of open, replayed, edited, discarded, all"
            )),
        }
    }
}

impl Which {
    /// The filter, told at `now`.
    pub(crate) fn filter(&self, now: Timestamp) -> Filter {
        Filter {
            ids: Vec::new(),
            accounts: self.accounts.clone(),
            providers: self.providers.clone(),
            reasons: self.reasons.clone(),
            states: self.state.0.clone(),
            since: self.since.map(|moment| moment.before(now)),
            until: self.until.map(|moment| moment.before(now)),
        }
    }
}

/// How long letters are kept.
#[derive(Debug, clap::Args)]
pub(crate) struct Keeping {
    /// The `dead.max_age` of the configuration: which letters are near their end
    #[arg(long, value_name = "AGE", default_value = "180d")]
    max_age: Delay,
}

impl Keeping {
    pub(crate) fn retention(&self) -> Retention {
        Retention(self.max_age.as_duration())
    }
}
