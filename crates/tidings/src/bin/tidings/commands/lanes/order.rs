use std::{num::NonZeroU32, time::Duration};

use anyhow::Context as _;
use clap::{ArgGroup, Subcommand};
use futures::StreamExt as _;
use jiff::Timestamp;
use tidings_broker::Broker;
use tidings_model::{
    Account, Delay, FleetView, LaneReport, LaneState, Order, Orders, Pause, Rate, Record, printable,
};
use tokio::time::{Instant, timeout_at};

use super::LISTEN;
use crate::{connection::Connection, exit::Exit, output::say};

/// How long the fleet may take: calls under way finish first, and a drain is 30 s unless it is configured.
const TAKEN_UP: Duration = Duration::from_secs(60);

/// The longest reason: it travels in every announcement.
const WHY: usize = 200;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Send nothing of an account, whoever serves it, over restarts too
    Pause {
        account: Account,
        /// For how long, such as 30m; else until `resume`
        #[arg(long = "for", value_name = "TIME")]
        time: Option<Delay>,
        /// What colleagues should know
        #[arg(long, value_name = "WORDS", value_parser = reason)]
        why: Option<String>,
    },
    /// End a `pause`. What the provider asked to wait for is waited for all the same
    Resume { account: Account },
    /// Change an account's limits, whoever serves it, over restarts and reloads too
    #[command(group = ArgGroup::new("what").required(true).multiple(true)
        .args(["rate", "burst", "destination_rate", "concurrency", "reset"]))]
    Set {
        account: Account,
        /// The account's limit for the whole fleet, such as 20/s or unlimited
        #[arg(long)]
        rate: Option<Rate>,
        /// How many calls may come at once after a quiet time
        #[arg(long, value_name = "CALLS")]
        burst: Option<NonZeroU32>,
        /// The limit of each group, user or phone
        #[arg(long, value_name = "RATE")]
        destination_rate: Option<Rate>,
        /// How many calls may be under way
        #[arg(long, value_name = "CALLS")]
        concurrency: Option<NonZeroU32>,
        /// Back to what the configuration says, except what is set here
        #[arg(long)]
        reset: bool,
    },
}

fn reason(text: &str) -> Result<String, String> {
    match text.chars().count() {
        0 => Err("is empty".into()),
        1..=WHY => Ok(text.to_owned()),
        size => Err(format!("has {size} characters, at most {WHY} are allowed")),
    }
}

impl Verb {
    /// Writes the order to the ledger, and waits until the lane's owner keeps to it.
    pub(super) async fn give(self, connection: &Connection) -> anyhow::Result<Exit> {
        let (account, orders) = self.spell_out(Timestamp::now());
        let broker = connection.broker("tidings-lanes").await?;
        broker.depth(&account).await.with_context(|| {
            format!("nothing is changed: account {account} has no lane that can be seen")
        })?;
        let exit = write(&*broker, account, orders).await;
        broker.close().await;
        exit
    }

    fn spell_out(self, at: Timestamp) -> (Account, Orders) {
        match self {
            Self::Pause { account, time, why } => {
                let until = time.map(|time| at + time.as_duration());
                let pause = order(at, Some(Pause { until, why }));
                (
                    account,
                    Orders {
                        pause,
                        ..Orders::default()
                    },
                )
            }
            Self::Resume { account } => (
                account,
                Orders {
                    pause: order(at, None),
                    ..Orders::default()
                },
            ),
            Self::Set {
                account,
                rate,
                burst,
                destination_rate,
                concurrency,
                reset,
            } => {
                let orders = Orders {
                    pause: None,
                    rate: limit(at, rate, reset),
                    burst: limit(at, burst, reset),
                    destination_rate: limit(at, destination_rate, reset),
                    concurrency: limit(at, concurrency, reset),
                };
                (account, orders)
            }
        }
    }
}

fn order<T>(at: Timestamp, wish: Option<T>) -> Option<Order<T>> {
    Some(Order { at, wish })
}

fn limit<T>(at: Timestamp, wish: Option<T>, reset: bool) -> Option<Order<T>> {
    (wish.is_some() || reset).then_some(Order { at, wish })
}

async fn write(broker: &dyn Broker, account: Account, orders: Orders) -> anyhow::Result<Exit> {
    let mut announcements = broker.observe().await?;
    let record = Record::Ordered {
        account: account.clone(),
        orders: Box::new(orders.clone()),
    };
    broker
        .append(vec![record])
        .await
        .context("the order may or may not be in the ledger: give it again")?;
    let given = Instant::now();
    let mut fleet = FleetView::default();
    loop {
        let is_served = can_be_served(&fleet, &account);
        let patience = if is_served { TAKEN_UP } else { LISTEN };
        match timeout_at(given + patience, announcements.next()).await {
            Ok(Some(announcement)) => fleet.hear(announcement, Instant::now().into_std()),
            Ok(None) => anyhow::bail!(
                "the order is in the ledger, and the fleet cannot be heard any more: `tidings lanes` shows what became of it"
            ),
            Err(_) if is_served => {
                say(&format!(
                    "the order is in the ledger, and no worker showed within {} s that it keeps to it: see `tidings lanes`",
                    TAKEN_UP.as_secs()
                ));
                return Ok(Exit::Failed);
            }
            Err(_) => {
                say(&format!(
                    "no worker serves {account} at the moment: the order is in the ledger, and whoever serves it next keeps to it"
                ));
                return Ok(Exit::Done);
            }
        }
        let mut reports = reports_of(&fleet, &account);
        if let Some(report) = reports.find(|report| report.orders.include(&orders)) {
            let what = match report.state {
                LaneState::Paused => printable(report.why.as_deref().unwrap_or("paused")),
                _ => format!("{} at {}", report.state.as_str(), report.rate).into(),
            };
            let owner = report.owner.as_ref().map_or("-", |owner| owner.as_str());
            say(&format!(
                "{account}: {what}; served by {}",
                printable(owner)
            ));
            return Ok(Exit::Done);
        }
    }
}

/// Whether any worker can serve the account.
fn can_be_served(fleet: &FleetView, account: &Account) -> bool {
    let mut workers = fleet.workers(Instant::now().into_std());
    workers.any(|worker| worker.accounts.contains(account))
}

/// What is told of an account's lane by those who do not merely stand by, or leave it.
fn reports_of<'f>(
    fleet: &'f FleetView,
    account: &'f Account,
) -> impl Iterator<Item = &'f LaneReport> {
    let workers = fleet.workers(Instant::now().into_std());
    let reports = workers.flat_map(|worker| &worker.lanes);
    reports.filter(move |report| {
        report.account == *account
            && !matches!(report.state, LaneState::Standby | LaneState::Draining)
    })
}
