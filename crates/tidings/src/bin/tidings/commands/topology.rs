use std::{path::PathBuf, sync::Arc};

use anyhow::Context;
use clap::Subcommand;
use tidings::Topology;
use tidings_broker::Broker;
use tidings_model::{Config, config::Overrides};

use crate::{
    connection::{open, variable},
    exit::{Exit, Usage},
    output::{Lines, say},
};

/// Declare what Tidings needs on the broker, or check it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Declare what is missing; name what differs
    Apply(File),
    /// Change nothing; name what is missing or differs, and exit 1 if anything does. Bindings cannot be asked for: `apply` makes
    /// them anew
    Verify(File),
}

#[derive(Debug, clap::Args)]
struct File {
    /// The fleet's configuration; TIDINGS_BROKER takes the place of its `broker`
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    match args.verb {
        Verb::Apply(file) => apply(&file.read()?).await,
        Verb::Verify(file) => verify(&file.read()?).await,
    }
}

impl File {
    fn read(&self) -> anyhow::Result<Config> {
        let name = self.config.display().to_string();
        let text = std::fs::read_to_string(&self.config)
            .map_err(|error| Usage(format!("cannot read the configuration {name}: {error}")))?;
        let overrides = Overrides {
            broker: variable("TIDINGS_BROKER"),
            admin: variable("TIDINGS_ADMIN"),
        };
        Ok(Config::parse(&name, &text, &overrides)?)
    }
}

async fn connect(config: &Config) -> anyhow::Result<Arc<dyn Broker>> {
    Ok(open(&config.broker, config.prefix.clone(), "tidings-topology").await?)
}

async fn apply(config: &Config) -> anyhow::Result<Exit> {
    let broker = connect(config).await?;
    let topology = Topology::from(config);
    let applied = broker.apply(&topology).await;
    if applied.is_err() {
        // What stands in the way has more to tell than the first thing that did.
        report(&broker.verify(&topology).await.unwrap_or_default())?;
    }
    applied.context("the topology is not declared as a whole")?;
    let (lanes, place) = (topology.accounts.len(), broker.place());
    say(&format!(
        "declared: {lanes} lanes and what serves them, on {place}"
    ));
    broker.close().await;
    Ok(Exit::Done)
}

async fn verify(config: &Config) -> anyhow::Result<Exit> {
    let broker = connect(config).await?;
    let differences = broker.verify(&Topology::from(config)).await?;
    report(&differences)?;
    let place = broker.place();
    broker.close().await;
    if differences.is_empty() {
        say(&format!("nothing differs on {place}"));
        return Ok(Exit::Done);
    }
    let count = differences.len();
    say(&format!(
        "{count} differences on {place}: `tidings topology apply` declares what is missing; what differs must be deleted first"
    ));
    Ok(Exit::Failed)
}

fn report(differences: &[tidings::Difference]) -> std::io::Result<()> {
    let mut lines = Lines::to_stdout();
    for difference in differences {
        lines.text(&difference.to_string())?;
    }
    lines.flush()
}
