use comfy_table::{Table, presets};
use futures::{Stream, StreamExt};
use jiff::Timestamp;
use tidings_broker::{Broker, BrokerError};
use tidings_dlq::{Letter, Shortlist, read};
use tidings_model::DeadLetter;

use crate::{
    exit::Exit,
    output::{Lines, json_line, last_words, say, short},
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
    let letters = read(broker, args.which.filter(Timestamp::now())).await?;
    if args.json {
        let line = |letter: &Letter| json_line(&letter.letter);
        each(letters, args, line, |line| Ok(lines.text(&line)?)).await?;
    } else {
        let mut rows = Vec::new();
        let retention = args.keeping.retention();
        let near = retention.near(Timestamp::now());
        let row = |letter: &Letter| {
            let end = (letter.written_at < near).then(|| retention.end(letter.written_at));
            Ok(row(&letter.letter, end))
        };
        each(letters, args, row, |row| {
            rows.push(row);
            Ok(())
        })
        .await?;
        match rows.len() {
            0 => say("no dead letters"),
            _ => lines.text(&table(rows).to_string())?,
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

fn table(rows: Vec<[String; 6]>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "id",
        "account",
        "reason",
        "dead at",
        "attempts",
        "the provider's last words",
    ]);
    table.add_rows(rows);
    table
}

/// `end` is when it is forgotten, where that is near.
fn row(letter: &DeadLetter, end: Option<Timestamp>) -> [String; 6] {
    let message = &letter.message;
    let id = message
        .id()
        .map_or("-".into(), |id| match letter.generation {
            0 => id.to_string(),
            generation => format!("{id} (replay {generation})"),
        });
    [
        id,
        message.account().map_or("-".into(), ToString::to_string),
        letter.reason.to_string(),
        match end {
            Some(end) => format!("{} (kept until {})", short(letter.dead_at), short(end)),
            None => short(letter.dead_at),
        },
        letter.attempts.len().to_string(),
        letter.attempts.last().map_or("-".into(), last_words),
    ]
}
