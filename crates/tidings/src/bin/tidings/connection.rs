use std::{ffi::OsStr, sync::Arc};

use clap::Args;
use tidings::{Options, Tidings};
use tidings_broker::{Broker, BrokerError};
use tidings_model::{BrokerUrl, config::Prefix};
use uuid::Uuid;

use crate::exit::Usage;

/// Where the broker is. The URL is parsed here and not by clap, which would repeat a wrong one with its password.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// The broker: `sqlite:PATH`, or `amqp://user:password@host:5672/vhost` (`amqps://` for TLS)
    #[arg(
        long,
        value_name = "URL",
        env = "TIDINGS_BROKER",
        hide_env_values = true,
        global = true
    )]
    broker: Option<String>,
    /// First word of every name on the broker
    #[arg(long, env = "TIDINGS_PREFIX", default_value = Prefix::DEFAULT, global = true)]
    prefix: Prefix,
}

impl Connection {
    fn url(&self) -> anyhow::Result<&str> {
        let missing = || Usage("no broker: give --broker URL, or set TIDINGS_BROKER".into());
        Ok(self.broker.as_deref().ok_or_else(missing)?)
    }

    /// Connects as a producer.
    pub(crate) async fn tidings(&self, name: &str) -> anyhow::Result<Tidings> {
        let options = Options::default().prefix(self.prefix.clone()).name(name);
        match Tidings::connect_with(self.url()?, options).await {
            Ok(tidings) => Ok(tidings),
            Err(tidings::ConnectError::Url(error)) => Err(error.into()),
            Err(tidings::ConnectError::Broker(error)) => Err(error.into()),
        }
    }

    /// Connects for what producers do not do.
    pub(crate) async fn broker(&self, name: &str) -> anyhow::Result<Arc<dyn Broker>> {
        Ok(open(&self.url()?.parse()?, self.prefix.clone(), name).await?)
    }
}

pub(crate) async fn open(
    url: &BrokerUrl,
    prefix: Prefix,
    name: &str,
) -> Result<Arc<dyn Broker>, BrokerError> {
    let name = format!("{name}-{}", Uuid::now_v7().simple());
    let options = tidings_broker::Options {
        prefix,
        ..tidings_broker::Options::new(name.into())
    };
    tidings_broker::connect(url, options).await
}

/// An environment variable that is set to something.
pub(crate) fn variable(name: impl AsRef<OsStr>) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
