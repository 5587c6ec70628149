use std::{fmt, str::FromStr};

/// Where the broker is: `sqlite:PATH` for one host, `amqp://` or `amqps://` for a fleet.
///
/// It can hold a password, which neither `Debug` nor `Display` shows.
#[derive(Clone, PartialEq, Eq)]
pub enum BrokerUrl {
    /// The embedded broker's file.
    Sqlite(String),
    /// RabbitMQ's URL, with its credentials.
    Amqp(url::Url),
}

/// Why a text names no broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}: give `sqlite:PATH`, or `amqp://user:password@host:5672/vhost` (`amqps://` for TLS)")]
pub struct BrokerUrlError(&'static str);

impl FromStr for BrokerUrl {
    type Err = BrokerUrlError;

    fn from_str(text: &str) -> Result<Self, BrokerUrlError> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            return match path {
                "" => Err(BrokerUrlError(
                    "the broker's URL has no path after `sqlite:`",
                )),
                path => Ok(Self::Sqlite(path.to_owned())),
            };
        }
        match url::Url::parse(text) {
            Ok(url) if !matches!(url.scheme(), "amqp" | "amqps") => Err(BrokerUrlError(
                "the broker's URL begins with none of sqlite:, amqp:// and amqps://",
            )),
            Ok(url) if url.host_str().is_none_or(str::is_empty) => {
                Err(BrokerUrlError("the broker's URL names no host"))
            }
            Ok(url) => Ok(Self::Amqp(url)),
            Err(_) => Err(BrokerUrlError("the broker's URL is not a URL")),
        }
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{path}"),
            Self::Amqp(url) => {
                write!(f, "{}://", url.scheme())?;
                if !url.username().is_empty() {
                    write!(f, "{}:***@", url.username())?;
                }
                f.write_str(url.host_str().unwrap_or_default())?;
                if let Some(port) = url.port() {
                    write!(f, ":{port}")?;
                }
                f.write_str(url.path())
            }
        }
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let url: BrokerUrl = "amqp://user:hunter2@mq:5673/%2f?heartbeat=5"
            .parse()
            .unwrap();
        assert_eq!(
            format!("{url} {url:?}"),
            "amqp://user:***@mq:5673/%2f amqp://user:***@mq:5673/%2f"
        );
    }

    #[test]
    fn what_is_no_broker_says_what_would_be() {
        for text in ["", "sqlite:", "http://x", "amqp://", "redis://x"] {
            let error = text.parse::<BrokerUrl>().unwrap_err().to_string();
            assert!(error.contains("amqps://"), "{error}");
        }
    }
}
