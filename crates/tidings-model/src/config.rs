//! The configuration of a fleet: parsed from TOML, complete and valid from then on.
//!
//! Nothing here reads a file or the environment. A binary passes the text in, and fetches the secrets that
//! [`SecretSource`] names.

mod account;
mod reader;

use std::{collections::BTreeMap, fmt, net::SocketAddr, time::Duration};

pub use self::account::{AccountConfig, OnUnknown, SecretSource};
use self::reader::Reader;
use crate::{Account, broker_url::BrokerUrl};

/// What `tidings-worker --config` and `tidings topology --config` read.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where the broker is.
    pub broker: BrokerUrl,
    /// Where the admin endpoint listens; port 0 picks one.
    pub admin: SocketAddr,
    /// First word of every name on the broker.
    pub prefix: Prefix,
    /// How long a stopping worker waits for calls in flight.
    pub drain: Duration,
    /// The broker connection's heartbeat.
    pub heartbeat: Duration,
    /// How much of what was decided a worker remembers.
    pub remember: Remember,
    /// How long the ledger is kept.
    pub ledger_max_age: Duration,
    /// How long dead letters are kept.
    pub dead_max_age: Duration,
    /// The accounts, by name.
    pub accounts: BTreeMap<Account, AccountConfig>,
}

/// Bounds on what a worker remembers of decided messages, for each lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remember {
    /// For how long.
    pub time: Duration,
    /// How many messages.
    pub messages: usize,
}

/// First word of every name on the broker, so that two fleets can share a vhost: 1 to 40 of `[a-z0-9._-]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// The prefix of a fleet that has a vhost to itself.
    pub const DEFAULT: &str = "tidings";

    /// The prefix's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl std::str::FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
        if text.is_empty() || text.len() > 40 || !text.bytes().all(allowed) {
            return Err(format!(
                "{text:?} is not a prefix: give 1 to 40 of a-z, 0-9, '.', '_' and '-'"
            ));
        }
        Ok(Self(text.into()))
    }
}

/// What overrides the file: the values of `TIDINGS_BROKER` and `TIDINGS_ADMIN`, where they are set.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// In place of `broker`.
    pub broker: Option<String>,
    /// In place of `admin`.
    pub admin: Option<String>,
}

/// All that is wrong with a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    file: String,
    problems: Vec<String>,
}

impl ConfigErrors {
    /// Each problem, with the key it is about.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let line = if index == 0 { "" } else { "\n" };
            write!(f, "{line}{}: {problem}", self.file)?;
        }
        Ok(())
    }
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

impl Config {
    /// Reads a configuration file's text; `file` is only named in errors.
    ///
    /// # Errors
    /// All problems of the file at once, each with its key and what would be valid.
    pub fn parse(file: &str, text: &str, overrides: &Overrides) -> Result<Self, ConfigErrors> {
        let fail = |problems| ConfigErrors {
            file: file.to_owned(),
            problems,
        };
        let table: toml::Table =
            toml::from_str(text).map_err(|error| fail(vec![syntax(text, &error)]))?;
        let mut problems = Vec::new();
        let config = Self::read(&mut Reader::new("", table, &mut problems), overrides);
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(fail(problems))
        }
    }

    fn read(reader: &mut Reader<'_>, overrides: &Overrides) -> Self {
        reader.replace("broker", "TIDINGS_BROKER", overrides.broker.as_deref());
        reader.replace("admin", "TIDINGS_ADMIN", overrides.admin.as_deref());
        let config = Self {
            broker: reader.text("broker", BrokerUrl::Sqlite("tidings.db".into())),
            admin: reader.text_with("admin", SocketAddr::from(([127, 0, 0, 1], 9464)), |text| {
                text.parse()
                    .map_err(|_| format!("{text:?} is not an address such as \"127.0.0.1:9464\""))
            }),
            prefix: reader.text("prefix", Prefix::default()),
            drain: reader.duration("drain", Duration::from_secs(30)),
            heartbeat: reader.duration("heartbeat", Duration::from_secs(6)),
            remember: reader.table("remember", |remember| Remember {
                time: remember.duration("time", HOUR),
                messages: remember.count("messages", 200_000),
            }),
            ledger_max_age: reader.table("ledger", |ledger| ledger.duration("max_age", 7 * DAY)),
            dead_max_age: reader.table("dead", |dead| dead.duration("max_age", 180 * DAY)),
            accounts: reader.table("accounts", |accounts| {
                accounts.each(|name, account| match name.parse::<Account>() {
                    Ok(name) => Some((name.clone(), AccountConfig::read(name.provider(), account))),
                    Err(error) => {
                        account.problem(&error.to_string());
                        None
                    }
                })
            }),
        };
        reader.finish();
        config
    }
}

fn syntax(text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| span.start);
    let line = text
        .get(..at)
        .map_or(0, |before| before.matches('\n').count())
        + 1;
    format!("line {line}: {}", error.message().trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Provider, Rate, RetryPolicy};

    fn parse(text: &str) -> Result<Config, ConfigErrors> {
        Config::parse("t.toml", text, &Overrides::default())
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        let config = parse("").unwrap();
        assert_eq!(config.broker.to_string(), "sqlite:tidings.db");
        assert_eq!(config.admin.to_string(), "127.0.0.1:9464");
        assert_eq!(
            config.remember,
            Remember {
                time: HOUR,
                messages: 200_000
            }
        );
        assert_eq!(
            (config.drain.as_secs(), config.heartbeat.as_secs()),
            (30, 6)
        );
        assert_eq!(
            (config.ledger_max_age, config.dead_max_age),
            (7 * DAY, 180 * DAY)
        );
    }

    #[test]
    fn an_account_has_its_providers_defaults() {
        let config = parse("[accounts.\"groupme.ops\"]\nsecret = { env = \"T\" }").unwrap();
        let account = &config.accounts[&"groupme.ops".parse().unwrap()];
        assert_eq!(account.base_url.as_str(), "https://api.groupme.com/v3");
        assert_eq!(account.rate, Provider::Groupme.default_rate());
        assert_eq!(account.destination_rate, Rate::Unlimited);
        assert_eq!((account.burst.get(), account.concurrency.get()), (1, 16));
        assert_eq!(account.retry, RetryPolicy::default());
        assert_eq!(account.on_unknown, OnUnknown::Retry);
    }

    #[test]
    fn every_key_of_the_contract_is_read() {
        let text = r#"
            broker = "amqp://u:p@h:1/%2f"
            admin = "0.0.0.0:0"
            prefix = "b"
            drain = "1m"
            heartbeat = "3s"
            remember = { time = "2h", messages = 5 }
            ledger = { max_age = "1d" }
            dead = { max_age = "2w" }
            [accounts."pingup.a"]
            base_url = "http://127.0.0.1:9/pingup"
            secret = { file = "/run/s" }
            business = "acme"
            rate = "90/m"
            burst = 3
            destination_rate = "1/2s"
            concurrency = 2
            timeout = "5s"
            on_unknown = "park"
            account_probe = "2s"
            events = true
            retry = { max_attempts = 2, base = "2s", cap = "4s", max_age = "1h" }
        "#;
        let config = parse(text).unwrap();
        let account = &config.accounts[&"pingup.a".parse().unwrap()];
        assert_eq!(account.secret, SecretSource::File("/run/s".into()));
        assert_eq!(account.business.as_deref(), Some("acme"));
        assert_eq!(account.on_unknown, OnUnknown::Park);
        assert_eq!(
            (account.timeout.as_secs(), account.account_probe.as_secs()),
            (5, 2)
        );
        assert_eq!(
            (account.retry.max_attempts, account.retry.cap.as_secs()),
            (2, 4)
        );
        assert!(account.events && config.prefix.as_str() == "b");
    }

    #[test]
    fn all_problems_come_at_once_each_with_file_key_and_what_would_be_valid() {
        let text = r#"
            brokr = "x"
            drain = "soon"
            [accounts."groupme.ops"]
            rate = "fast"
            burst = 0
            on_unknown = "guess"
            timeout = "1h"
            secret = { enf = "T" }
            [accounts."slack.x"]
            [accounts."grupo.site"]
            secret = { env = "T" }
            [accounts."pingup.a"]
            secret = { env = "T" }
        "#;
        let errors = parse(text).unwrap_err();
        let text = errors.to_string();
        for expected in [
            "`brokr`: is not a key that is known here: accounts, admin, broker, dead, drain, heartbeat, ledger, prefix, remember",
            "`drain`",
            "`accounts.\"groupme.ops\".rate`",
            "`accounts.\"groupme.ops\".burst`",
            "`accounts.\"groupme.ops\".on_unknown`",
            "`accounts.\"groupme.ops\".timeout`: 1h is more than 780 s",
            "`accounts.\"groupme.ops\".secret",
            "slack.x",
            "`accounts.\"grupo.site\".base_url`",
            "`accounts.\"pingup.a\".business`",
        ] {
            assert!(text.contains(expected), "{expected} in\n{text}");
        }
        assert!(
            text.lines().all(|line| line.starts_with("t.toml: ")),
            "{text}"
        );
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        assert!(
            parse("a = 1\nb = = 2")
                .unwrap_err()
                .to_string()
                .starts_with("t.toml: line 2: ")
        );
    }

    #[test]
    fn the_environment_overrides_and_is_named_when_it_is_wrong() {
        let overrides = Overrides {
            broker: Some("sqlite:x.db".into()),
            admin: Some("nowhere".into()),
        };
        let error = Config::parse("t.toml", "", &overrides)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("TIDINGS_ADMIN") && error.contains("nowhere"),
            "{error}"
        );
        let overrides = Overrides {
            broker: Some("sqlite:x.db".into()),
            admin: None,
        };
        assert_eq!(
            Config::parse("t.toml", "", &overrides)
                .unwrap()
                .broker
                .to_string(),
            "sqlite:x.db"
        );
    }
}
