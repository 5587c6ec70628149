use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use clap::Subcommand;
use comfy_table::{Table, presets};
use futures::StreamExt as _;
use serde::Serialize;
use tidings_broker::{Broker, DeadRecord, DelayLevel, Delays, Moves, ReadFrom, ReadUntil};
use tidings_model::{Delay, Reason};

use crate::{
    connection::Connection,
    exit::Exit,
    output::{Lines, say},
};

/// Look after the delays
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Tell how much waits at which level, what stands still, and what found no lane; exit 1 if anything stands still
    Verify {
        /// How long to look: a level is tried where it holds a message for three seconds less than this
        #[arg(long, value_name = "TIME", default_value = "12s")]
        wait: Delay,
        /// A JSON object for each level, and one for what found no lane, instead of a table
        #[arg(long)]
        json: bool,
    },
}

/// What found no lane when its time had come.
#[derive(Debug, Serialize)]
struct Unroutable {
    /// What a worker has not made a dead letter of yet.
    unroutable: u64,
    /// Dead letters, by account.
    dead: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
struct Row {
    level: u32,
    holds_seconds: u64,
    waiting: u64,
    moves: &'static str,
}

impl From<&DelayLevel> for Row {
    fn from(level: &DelayLevel) -> Self {
        let moves = match level.moves {
            Moves::Yes => "yes",
            Moves::No => "no",
            Moves::Untried => "untried",
        };
        Self {
            level: level.holds.as_secs().max(1).ilog2(),
            holds_seconds: level.holds.as_secs(),
            waiting: level.waiting,
            moves,
        }
    }
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let Verb::Verify { wait, json } = args.verb;
    let broker = args.connection.broker("tidings-delays").await?;
    let delays = broker.delays(wait.as_duration()).await?;
    let unroutable = Unroutable {
        unroutable: delays.unroutable,
        dead: dead(&*broker).await?,
    };
    broker.close().await;
    let rows: Vec<Row> = delays.levels.iter().map(Row::from).collect();
    let mut lines = Lines::to_stdout();
    if json {
        rows.iter().try_for_each(|row| lines.json(row))?;
        lines.json(&unroutable)?;
    } else {
        lines.text(&table(&rows).to_string())?;
    }
    lines.flush()?;
    Ok(judge(&delays, &unroutable))
}

/// The dead letters of messages that found no lane.
async fn dead(broker: &dyn Broker) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut entries = broker.dead(ReadFrom::First, ReadUntil::Now).await?;
    let (mut dead, mut told) = (BTreeMap::new(), HashSet::new());
    while let Some(entry) = entries.next().await {
        let DeadRecord::Letter { head, .. } = entry?.record else {
            continue;
        };
        // After a crash a letter can be there twice.
        let first = head.id.is_none_or(|id| told.insert((id, head.generation)));
        if head.reason == Reason::Unroutable && first {
            let account = head.account.map(|account| account.to_string());
            *dead.entry(account.unwrap_or_default()).or_default() += 1;
        }
    }
    Ok(dead)
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["level", "holds for", "waiting", "moves"]);
    for row in rows {
        table.add_row([
            format!("{:02}", row.level),
            about(row.holds_seconds),
            row.waiting.to_string(),
            row.moves.to_owned(),
        ]);
    }
    table
}

/// A time in its largest unit, roughly.
fn about(seconds: u64) -> String {
    let units = [(31_536_000, 'y'), (86_400, 'd'), (3_600, 'h'), (60, 'm')];
    let (size, unit) = units
        .into_iter()
        .find(|(size, _)| seconds >= *size)
        .unwrap_or((1, 's'));
    format!("{}{unit}", seconds / size)
}

fn judge(delays: &Delays, unroutable: &Unroutable) -> Exit {
    if unroutable.unroutable > 0 {
        say(&format!(
            "{} messages found no lane, and wait for a worker that makes dead letters of them",
            unroutable.unroutable
        ));
    }
    for (account, count) in &unroutable.dead {
        say(&format!(
            "{count} dead letters found no lane of {account:?}: add the account, `tidings topology apply`, and replay them"
        ));
    }
    let still: Vec<Duration> = delays.standing_still().map(|level| level.holds).collect();
    for holds in &still {
        say(&format!(
            "the level of {} s stands still, for every account: something behind it takes no message (a lane with a length limit, a queue without a majority)",
            holds.as_secs()
        ));
    }
    if still.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    }
}
