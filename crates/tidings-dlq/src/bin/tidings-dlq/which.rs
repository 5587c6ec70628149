use std::str::FromStr;

use jiff::Timestamp;
use tidings_dlq::{Filter, Name, Order, Request, Retention};
use tidings_model::{Account, Delay, LetterState, Moment, Provider, Reason, Verdict};

/// Which letters: every condition must hold, and one that may be given several times is met by any of its values,
/// except `--where`.
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
    /// Whose last attempt had this verdict, such as rejected or unknown
    #[arg(long = "verdict", value_name = "VERDICT", num_args = 1..)]
    verdicts: Vec<Verdict>,
    /// Whose last attempt had this HTTP status
    #[arg(long = "status", value_name = "STATUS", num_args = 1..)]
    statuses: Vec<u16>,
    /// Dead since then: a time such as 2026-01-01T09:00:00Z, or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Dead before then
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// Whose last attempt's error holds this; case counts for nothing
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// Whose error has this signature, as `groups` shows it
    #[arg(long, value_name = "SIGNATURE")]
    signature: Option<String>,
    /// Whose payload holds this in one of its texts; case counts for nothing
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Whose metadata has this; given several times, all of them
    #[arg(long = "where", value_name = "KEY=VALUE", num_args = 1..)]
    metadata: Vec<Pair>,
    /// In this state: open, replayed, edited, discarded, or all
    #[arg(long, value_name = "STATE", num_args = 1.., default_value = "open")]
    state: Vec<States>,
}

/// Which letters to act on: by their messages' ids, by conditions, or both.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which letters")]
pub(crate) struct Chosen {
    /// Of these messages; a letter without an id goes by its place, such as @17
    #[arg(value_name = "ID")]
    names: Vec<Name>,
    /// Of these messages as well
    #[arg(long = "id", value_name = "ID", num_args = 1..)]
    more: Vec<Name>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    first: First,
    /// Also those that an operation has claimed which was abandoned
    #[arg(long)]
    take_over: bool,
}

impl Chosen {
    /// What is asked, told at `now`.
    pub(crate) fn request(&self, now: Timestamp) -> Request {
        let names = self.names.iter().chain(&self.more).cloned();
        Request {
            filter: Filter {
                names: names.collect(),
                ..self.which.filter(now)
            },
            limit: self.first.limit,
            sort: self.first.sort,
            take_over: self.take_over,
            ..Request::default()
        }
    }

    pub(crate) fn names_messages(&self) -> bool {
        !self.names.is_empty() || !self.more.is_empty()
    }

    pub(crate) fn takes_over(&self) -> bool {
        self.take_over
    }
}

/// The states of `--state`; none of them means all.
#[derive(Debug, Clone)]
struct States(Option<LetterState>);

impl FromStr for States {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self(None));
        }
        let mut known = LetterState::ALL.into_iter();
        let named = known.find(|state| state.as_str() == text);
        named.map(|state| Self(Some(state))).ok_or_else(|| {
            format!("state {text:?} is none of open, replayed, edited, discarded, all")
        })
    }
}

#[derive(Debug, Clone)]
struct Pair(String, String);

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Self(key.into(), value.into())),
            _ => Err(format!("{text:?} is not KEY=VALUE, such as order=42")),
        }
    }
}

impl Which {
    /// The filter, told at `now`.
    pub(crate) fn filter(&self, now: Timestamp) -> Filter {
        let states: Option<Vec<_>> = self.state.iter().map(|state| state.0).collect();
        let pairs = self.metadata.iter();
        Filter {
            names: Vec::new(),
            accounts: self.accounts.clone(),
            providers: self.providers.clone(),
            reasons: self.reasons.clone(),
            verdicts: self.verdicts.clone(),
            statuses: self.statuses.clone(),
            states: states.unwrap_or_default(),
            since: self.since.map(|moment| moment.before(now)),
            until: self.until.map(|moment| moment.before(now)),
            error: self.error.clone(),
            signature: self.signature.clone(),
            text: self.text.clone(),
            metadata: pairs
                .map(|Pair(key, value)| (key.clone(), value.clone()))
                .collect(),
        }
    }
}

/// Which letters first, and how many.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which letters")]
pub(crate) struct First {
    /// Which come first: oldest, newest, account or reason; without it they come as they were written
    #[arg(long, value_name = "ORDER")]
    pub(crate) sort: Option<Order>,
    /// At most so many
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

/// How long letters are kept.
#[derive(Debug, clap::Args)]
pub(crate) struct Keeping {
    /// The `dead.max_age` of the configuration: which letters are near their end
    #[arg(
        long,
        value_name = "AGE",
        env = "TIDINGS_DEAD_MAX_AGE",
        default_value = "180d"
    )]
    max_age: Delay,
}

impl Keeping {
    pub(crate) fn retention(&self) -> Retention {
        Retention(self.max_age.as_duration())
    }
}
