use comfy_table::{ColumnConstraint, Table};
use futures::{Stream, StreamExt};
use jiff::Timestamp;
use tidings_broker::{Broker, BrokerError};
use tidings_dlq::{Letter, Shortlist, read};

use crate::{
    exit::Exit,
    output::{self, Lines, json_line, last_words, say, short},
    which::{First, Keeping, Which},
};

/// List the dead letters: a table, or one JSON object a line
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One JSON object a line instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    keeping: Keeping,
    #[command(flatten)]
    first: First,
}

pub(crate) async fn run(broker: &dyn Broker, args: &Args) -> anyhow::Result<Exit> {
    let mut lines = Lines::to_stdout();
    let filter = args.which.filter(Timestamp::now());
    let one_state = filter.states.len() == 1;
    let letters = read(broker, filter).await?;
    if args.json {
        let line = |letter: &Letter| json_line(&letter.letter);
        each(letters, args, line, |line| Ok(lines.text(&line)?)).await?;
    } else {
        let mut rows = Vec::new();
        let retention = args.keeping.retention();
        let near = retention.near(Timestamp::now());
        let row = |letter: &Letter| {
            let end = (letter.written_at < near).then(|| retention.end(letter.written_at));
            Ok(row(letter, end))
        };
        each(letters, args, row, |row| {
            rows.push(row);
            Ok(())
        })
        .await?;
        match rows.len() {
            0 => say("no dead letters"),
            _ => lines.text(&table(rows, one_state).to_string())?,
        }
    }
    lines.flush()?;
    Ok(Exit::Done)
}

/// Shows the letters in the order that was asked for; where none was, each as it comes, so that nothing is kept.
async fn each<T>(
    mut letters: impl Stream<Item = Result<Letter, BrokerError>> + Unpin,
    args: &Args,
    render: impl Fn(&Letter) -> anyhow::Result<T>,
    mut show: impl FnMut(T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let Some(order) = args.first.sort else {
        let mut letters = letters.take(args.first.limit.unwrap_or(usize::MAX));
        while let Some(letter) = letters.next().await {
            show(render(&letter?)?)?;
        }
        return Ok(());
    };
    let mut list = Shortlist::new(order, args.first.limit);
    while let Some(letter) = letters.next().await {
        let letter = letter?;
        list.push(&letter.letter, render(&letter)?);
    }
    list.finish().into_iter().try_for_each(show)
}

/// The state is told where it is not the same for all.
fn table(rows: Vec<[String; 7]>, one_state: bool) -> Table {
    let mut table = output::table([
        "id",
        "account",
        "state",
        "reason",
        "dead at",
        "attempts",
        "the provider's last words",
    ]);
    table.add_rows(rows);
    if let Some(state) = table.column_mut(2).filter(|_| one_state) {
        state.set_constraint(ColumnConstraint::Hidden);
    }
    table
}

/// `end` is when it is forgotten, where that is near.
fn row(letter: &Letter, end: Option<Timestamp>) -> [String; 7] {
    let Letter { key, letter, .. } = letter;
    let account = letter.message.account();
    let maybe = match letter.maybe_delivered {
        true => ", maybe delivered",
        false => "",
    };
    [
        key.to_string(),
        account.map_or("-".into(), ToString::to_string),
        letter.state.to_string(),
        format!("{}{maybe}", letter.reason),
        match end {
            Some(end) => format!("{} (kept until {})", short(letter.dead_at), short(end)),
            None => short(letter.dead_at),
        },
        letter.attempts.len().to_string(),
        letter.attempts.last().map_or("-".into(), last_words),
    ]
}
