mod order;
mod row;
mod table;

use std::{
    io::{IsTerminal, stdout},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures::StreamExt;
use jiff::Timestamp;
use terminal_size::{Height, Width, terminal_size};
use tidings_broker::Broker;
use tidings_model::FleetView;
use tokio::{
    signal::ctrl_c,
    time::{interval_at, timeout},
};

use self::{
    order::Verb,
    row::LaneRow,
    table::{Size, screen, table},
};
use crate::{
    connection::Connection,
    exit::{Exit, Usage},
    output::{Lines, say},
};

/// Workers announce themselves each second or two: who is silent for so long is not there.
const LISTEN: Duration = Duration::from_millis(2500);

/// How often the live table is drawn.
const DRAW: Duration = Duration::from_secs(1);

const NOBODY: &str =
    "no worker announced itself: is `tidings-worker` running on this broker, with this prefix?";

/// On RabbitMQ nobody is heard either while the broker is away.
const NOBODY_ANY_MORE: &str = "no worker is heard any more: either all have ended, or the broker is away (what comes back is shown)";

/// Show the fleet's lanes: who serves each, and how it does; or ask something of one
///
/// On a terminal the table is drawn anew each second until it is interrupted; elsewhere it is printed once.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Option<Verb>,
    /// One JSON object a lane instead of a table, once
    #[arg(long)]
    json: bool,
    /// Print the table once on a terminal too
    #[arg(long)]
    once: bool,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    if let Some(verb) = args.verb {
        if args.json || args.once {
            let words = "--json and --once are for the table, and not for what is asked of a lane";
            return Err(Usage(words.into()).into());
        }
        return verb.give(&args.connection).await;
    }
    tokio::select! {
        shown = show(&args) => shown,
        _ = ctrl_c() => Ok(Exit::Done),
    }
}

async fn show(args: &Args) -> anyhow::Result<Exit> {
    let broker = args.connection.broker("tidings-lanes").await?;
    if stdout().is_terminal() && !args.json && !args.once {
        watch(&*broker).await?;
    } else {
        print(&listen(&*broker).await?, args.json)?;
    }
    broker.close().await;
    Ok(Exit::Done)
}

/// Draws the table again and again, for ever.
async fn watch(broker: &dyn Broker) -> anyhow::Result<()> {
    let mut fleet = FleetView::default();
    let mut announcements = broker.observe().await?;
    // By then everybody spoke, who is there.
    let first = tokio::time::Instant::now() + DRAW * 3 / 2;
    let mut draw = interval_at(first, DRAW);
    let mut lines = Lines::to_stdout();
    let mut anybody = false;
    loop {
        tokio::select! {
            _ = draw.tick() => {
                let now = Instant::now();
                let rows = LaneRow::all(&fleet, now);
                let nobody = if anybody { NOBODY_ANY_MORE } else { NOBODY };
                let workers = match fleet.workers(now).count() {
                    0 => Err(nobody),
                    some => Ok(some),
                };
                lines.raw(&screen(&rows, workers, Timestamp::now(), size()))?;
                lines.flush()?;
            }
            heard = announcements.next() => {
                let heard = heard.context("the fleet cannot be heard any more")?;
                fleet.hear(heard, Instant::now());
                anybody = true;
            }
        }
    }
}

fn size() -> Size {
    let (Width(columns), Height(lines)) = terminal_size().unwrap_or((Width(80), Height(24)));
    Size { columns, lines }
}

async fn listen(broker: &dyn Broker) -> anyhow::Result<FleetView> {
    let mut fleet = FleetView::default();
    let mut announcements = broker.observe().await?;
    let hearing = async {
        while let Some(heard) = announcements.next().await {
            fleet.hear(heard, Instant::now());
        }
    };
    // Where it ends earlier, there is nothing more to be heard.
    let _ = timeout(LISTEN, hearing).await;
    Ok(fleet)
}

fn print(fleet: &FleetView, json: bool) -> anyhow::Result<()> {
    let rows = LaneRow::all(fleet, Instant::now());
    let mut lines = Lines::to_stdout();
    if json {
        for row in &rows {
            lines.json(row)?;
        }
    } else if rows.is_empty() {
        say(NOBODY);
    } else {
        lines.text(&table(&rows).to_string())?;
    }
    Ok(lines.flush()?)
}
