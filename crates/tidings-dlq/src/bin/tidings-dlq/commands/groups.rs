use std::collections::HashSet;

use comfy_table::{CellAlignment, Table};
use futures::StreamExt;
use jiff::Timestamp;
use tidings_broker::Broker;
use tidings_dlq::{Cache, Filter, Group, Groups, Index, Order, read, sparkline};
use tidings_model::{LetterKey, printable};

use crate::{
    exit::Exit,
    output::{self, Lines, json_line, say, short},
    which::Which,
};

/// Count the dead letters that died of the same: by account, reason and signature
///
/// A signature is the last attempt's HTTP status (or verdict) and words, with … for numbers, ids and names.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One JSON object a group instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
    /// Which come first: oldest, newest, account or reason; without it the largest
    #[arg(long, value_name = "ORDER")]
    sort: Option<Order>,
    /// At most so many groups
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

pub(crate) async fn run(broker: &dyn Broker, cache: &Cache, args: &Args) -> anyhow::Result<Exit> {
    let filter = args.which.filter(Timestamp::now());
    let index = cache.index(broker).await?;
    let mut groups = grouped(broker, &index, &filter).await?;
    if let Some(order) = args.sort {
        order.sort(&mut groups);
    }
    groups.truncate(args.limit.unwrap_or(usize::MAX));
    let mut lines = Lines::to_stdout();
    if args.json {
        groups
            .iter()
            .try_for_each(|group| anyhow::Ok(lines.text(&json_line(group)?)?))?;
    } else if groups.is_empty() {
        say("no dead letters");
    } else {
        lines.text(&table(&groups).to_string())?;
    }
    lines.flush()?;
    Ok(Exit::Done)
}

async fn grouped(
    broker: &dyn Broker,
    index: &Index,
    filter: &Filter,
) -> anyhow::Result<Vec<Group>> {
    let letters = index.letters(filter);
    if !filter.asks_content() {
        return Ok(letters
            .map(|letter| letter.member)
            .collect::<Groups<'_>>()
            .list());
    }
    let mut holding: HashSet<LetterKey> = HashSet::new();
    let mut read = read(broker, filter.clone()).await?;
    while let Some(letter) = read.next().await {
        holding.insert(letter?.key);
    }
    let holding = letters.filter(|letter| holding.contains(&letter.key));
    Ok(holding
        .map(|letter| letter.member)
        .collect::<Groups<'_>>()
        .list())
}

fn table(groups: &[Group]) -> Table {
    let mut table = output::table([
        "letters",
        "maybe delivered",
        "account",
        "reason",
        "signature",
        "first",
        "last",
        "over time",
    ]);
    for group in groups {
        table.add_row([
            group.count.to_string(),
            match group.maybe_delivered {
                0 => "-".into(),
                count => count.to_string(),
            },
            group
                .account
                .as_ref()
                .map_or("-".into(), ToString::to_string),
            group.reason.to_string(),
            printable(&group.signature).into_owned(),
            short(group.first_seen),
            short(group.last_seen),
            sparkline(&group.over_time),
        ]);
    }
    for number in [0, 1] {
        if let Some(column) = table.column_mut(number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
