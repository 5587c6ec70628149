use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use url::Url;

use super::reader::Reader;
use crate::{Provider, Rate, RetryPolicy};

/// How one account is served.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountConfig {
    /// Where the provider's API is, without a slash at the end.
    pub base_url: String,
    /// Where the account's secret is found.
    pub secret: SecretSource,
    /// Pingup's name of the business; required there.
    pub business: Option<String>,
    /// The account's limit, for the whole fleet.
    pub rate: Rate,
    /// How many calls may come at once after a quiet time.
    pub burst: NonZeroU32,
    /// The limit of each group, user or phone.
    pub destination_rate: Rate,
    /// How many calls may be under way.
    pub concurrency: NonZeroU32,
    /// The bound on one attempt.
    pub timeout: Duration,
    /// What to do where an attempt may have delivered the message and the provider cannot tell.
    pub on_unknown: OnUnknown,
    /// How often an account that does not work is tried.
    pub account_probe: Duration,
    /// Whether outcome events are published.
    pub events: bool,
    /// How a message is tried again.
    pub retry: RetryPolicy,
}

/// What to do where an attempt may have delivered the message and the provider cannot tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnknown {
    /// Send it again: at least once.
    Retry,
    /// Let a person decide: at most once.
    Park,
}

impl std::str::FromStr for OnUnknown {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "retry" => Ok(Self::Retry),
            "park" => Ok(Self::Park),
            other => Err(format!("{other:?} is neither \"retry\" nor \"park\"")),
        }
    }
}

/// Where an account's secret is found. The secret itself is never here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file; read again when the account is probed.
    File(PathBuf),
}

impl std::fmt::Display for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

const ONE: NonZeroU32 = NonZeroU32::MIN;
/// RabbitMQ takes the lane from who holds a message for 30 minutes, and this one may have been held for 15 before its
/// call, and for one more before GroupMe is asked a second question.
const LONGEST_CALL: Duration = Duration::from_secs(13 * 60);
const SECRET: &str = "give { env = \"NAME\" } or { file = \"/path\" }";

impl AccountConfig {
    pub(super) fn read(provider: Provider, reader: &mut Reader<'_>) -> Self {
        Self {
            base_url: base_url(provider, reader),
            secret: secret(reader),
            business: business(provider, reader),
            rate: reader.text("rate", provider.default_rate()),
            burst: reader.non_zero("burst", ONE),
            destination_rate: reader.text("destination_rate", provider.default_destination_rate()),
            concurrency: reader.non_zero("concurrency", ONE.saturating_add(15)),
            timeout: reader.duration_up_to("timeout", Duration::from_secs(10), LONGEST_CALL),
            on_unknown: reader.text("on_unknown", OnUnknown::Retry),
            account_probe: reader.duration("account_probe", Duration::from_secs(60)),
            events: reader.flag("events", false),
            retry: retry(reader),
        }
    }

    /// How many messages an owner holds: twice what may be in calls, about two seconds of the rate, at least one.
    #[must_use]
    pub fn window(&self) -> u16 {
        let calls = u64::from(self.concurrency.get()) * 2;
        let two_seconds = self.rate.interval().map_or(u64::MAX, |interval| {
            u64::try_from(Duration::from_secs(2).as_nanos() / interval.as_nanos().max(1))
                .unwrap_or(u64::MAX)
        });
        // Quorum queues cap a consumer's prefetch at 2,000.
        u16::try_from(calls.min(two_seconds).clamp(1, 2000)).unwrap_or(2000)
    }
}

fn base_url(provider: Provider, reader: &mut Reader<'_>) -> String {
    let given = reader.has("base_url");
    let url = reader.optional("base_url", |text| {
        let url = Url::parse(text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.query().is_none()
                && url.username().is_empty()
        });
        match url {
            Some(_) => Ok(text.trim_end_matches('/').to_owned()),
            None => Err(format!(
                "{text:?} is not a URL such as \"https://host/path\", without a query or a user"
            )),
        }
    });
    let url = url.or_else(|| provider.default_base_url().map(str::to_owned));
    if url.is_none() && !given {
        reader.missing(
            "base_url",
            "every Grupo site has its own, such as \"https://chat.example.com\"",
        );
    }
    url.unwrap_or_default()
}

fn secret(reader: &mut Reader<'_>) -> SecretSource {
    let nowhere = SecretSource::Env(String::new());
    if !reader.has("secret") {
        reader.missing("secret", SECRET);
        return nowhere;
    }
    reader.table("secret", |secret| {
        let not_empty = |text: &str| {
            if text.is_empty() {
                Err("is empty".to_owned())
            } else {
                Ok(text.to_owned())
            }
        };
        match (
            secret.optional("env", not_empty),
            secret.optional("file", not_empty),
        ) {
            (Some(name), None) => SecretSource::Env(name),
            (None, Some(path)) => SecretSource::File(path.into()),
            _ => {
                secret.problem(SECRET);
                nowhere
            }
        }
    })
}

fn business(provider: Provider, reader: &mut Reader<'_>) -> Option<String> {
    if provider != Provider::Pingup {
        return None;
    }
    if !reader.has("business") {
        reader.missing("business", "Pingup's URL needs the name of the business");
    }
    reader.optional("business", |text| match text.len() {
        1..=128 => Ok(text.to_owned()),
        size => Err(format!("has {size} characters, 1 to 128 are allowed")),
    })
}

fn retry(reader: &mut Reader<'_>) -> RetryPolicy {
    let default = RetryPolicy::default();
    reader.table("retry", |retry| RetryPolicy {
        max_attempts: retry.count("max_attempts", default.max_attempts),
        base: retry.duration("base", default.base),
        cap: retry.duration("cap", default.cap),
        max_age: retry.duration("max_age", default.max_age),
    })
}
