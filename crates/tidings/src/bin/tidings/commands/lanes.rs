mod fleet;
mod order;

use std::{
    io::{IsTerminal, stdout},
    time::Duration,
};

use comfy_table::{Table, presets};
use futures::StreamExt;
use jiff::Timestamp;
use tidings_broker::Broker;
use tidings_model::printable;
use tokio::{
    signal::ctrl_c,
    time::{Instant, sleep_until},
};

use self::{
    fleet::{Fleet, LaneRow, Report},
    order::Verb,
};
use crate::{
    connection::Connection,
    exit::Exit,
    output::{Lines, say},
};

/// Workers announce themselves each second or two: who is silent for so long is not there.
const LISTEN: Duration = Duration::from_millis(2500);

/// Show the fleet's lanes: who serves each, and how it does; or ask something of one
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Option<Verb>,
    /// One JSON object a lane instead of a table
    #[arg(long)]
    json: bool,
    /// Show them again and again, until interrupted
    #[arg(long)]
    watch: bool,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    if let Some(verb) = args.verb {
        return verb.give(&args.connection).await;
    }
    tokio::select! {
        shown = show(&args) => shown,
        _ = ctrl_c() => Ok(Exit::Done),
    }
}

async fn show(args: &Args) -> anyhow::Result<Exit> {
    let broker = args.connection.broker("tidings-lanes").await?;
    loop {
        let fleet = listen(&*broker).await?;
        print(args, &fleet)?;
        if !args.watch {
            break;
        }
    }
    broker.close().await;
    Ok(Exit::Done)
}

async fn listen(broker: &dyn Broker) -> anyhow::Result<Fleet> {
    let mut fleet = Fleet::default();
    let mut announcements = broker.observe().await?;
    let enough = sleep_until(Instant::now() + LISTEN);
    tokio::pin!(enough);
    loop {
        tokio::select! {
            () = &mut enough => return Ok(fleet),
            heard = announcements.next() => match heard {
                Some(announcement) => fleet.hear(announcement),
                None => return Ok(fleet),
            },
        }
    }
}

fn print(args: &Args, fleet: &Fleet) -> anyhow::Result<()> {
    let rows = fleet.rows();
    let mut lines = Lines::to_stdout();
    if args.json {
        for row in &rows {
            lines.json(row)?;
        }
        return Ok(lines.flush()?);
    }
    if args.watch && stdout().is_terminal() {
        lines.text("\u{1b}[H\u{1b}[2J")?;
    }
    if rows.is_empty() {
        say(
            "no worker announced itself: is `tidings-worker` running on this broker, with this prefix?",
        );
        return Ok(());
    }
    lines.text(&table(&rows).to_string())?;
    Ok(lines.flush()?)
}

fn table(rows: &[LaneRow<'_>]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "account",
        "state",
        "rate",
        "in flight",
        "ready",
        "paused until",
        "why",
        "owner",
    ]);
    for row in rows {
        let report = row.report;
        let cell = |text: Option<String>| printable(text.as_deref().unwrap_or("-")).into_owned();
        let paused = report.and_then(|report| report.paused_until);
        table.add_row([
            row.account.to_string(),
            row.state.to_owned(),
            cell(report.map(rate)),
            cell(report.map(|report| report.in_flight.to_string())),
            cell(
                report
                    .and_then(|report| report.ready)
                    .map(|ready| ready.to_string()),
            ),
            cell(paused.map(short)),
            cell(report.and_then(|report| report.why.clone())),
            cell(row.owner.map(ToString::to_string)),
        ]);
    }
    table
}

/// A lane's limit, with a word where it is not the configuration's.
fn rate(report: Report<'_>) -> String {
    let set = if report.orders.set_limits() {
        " (set)"
    } else {
        ""
    };
    format!("{}{set}", report.rate)
}

fn short(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
