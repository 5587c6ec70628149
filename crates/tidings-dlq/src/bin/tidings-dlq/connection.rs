use std::{path::PathBuf, sync::Arc};

use clap::Args;
use tidings_broker::{Broker, Options};
use tidings_dlq::{Cache, Operator};
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
    pub(crate) async fn open(&self) -> anyhow::Result<Arc<dyn Broker>> {
        let missing = || Usage("no broker: give --broker URL, or set TIDINGS_BROKER".into());
        let url: BrokerUrl = self.broker.as_deref().ok_or_else(missing)?.parse()?;
        let name = format!("tidings-dlq-{}", Uuid::now_v7().simple());
        let options = Options {
            prefix: self.prefix.clone(),
            ..Options::new(name.into())
        };
        Ok(tidings_broker::connect(&url, options).await?)
    }

    /// Where the index of the broker's dead letters is kept.
    pub(crate) fn cache(&self, broker: &dyn Broker) -> Cache {
        let stream = format!("{} {}", broker.place(), self.prefix.as_str());
        Cache::new(&caches().join("tidings"), stream)
    }
}

/// Where the user's programs keep what can be made anew.
fn caches() -> PathBuf {
    let named = env("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || env("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let absolute = named.filter(|folder| folder.is_absolute());
    absolute.or_else(home).unwrap_or_else(std::env::temp_dir)
}

pub(crate) fn operator(broker: &Arc<dyn Broker>) -> Operator {
    Operator::new(Arc::clone(broker), who())
}

/// Who acts, as the audit has it: `user@host`.
pub(crate) fn who() -> String {
    let user = ["USER", "LOGNAME"].into_iter().find_map(env);
    let user = user.unwrap_or_else(|| "somebody".into());
    let host = hostname::get().unwrap_or_default();
    format!("{user}@{}", host.to_string_lossy())
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
