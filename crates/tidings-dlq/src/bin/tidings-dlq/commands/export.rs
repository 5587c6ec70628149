use futures::StreamExt;
use jiff::Timestamp;
use tidings_broker::Broker;
use tidings_dlq::{Export, Exported, Shortlist, read};

use crate::{
    exit::Exit,
    output::{Lines, json_line, say},
    which::{First, Which},
};

/// Write the messages of dead letters as JSON lines that `tidings send --file` takes, to be edited and sent as new ones
///
/// A line has the message without its id, without its delay, and without an expiry that has passed. The letters stay
/// as they are: to send the same messages again, `replay` is the safer way.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    first: First,
}

pub(crate) async fn run(broker: &dyn Broker, args: &Args) -> anyhow::Result<Exit> {
    let now = Timestamp::now();
    let mut letters = read(broker, args.which.filter(now)).await?;
    let mut export = Export::default();
    let mut lines = Lines::to_stdout();
    let mut chosen = args
        .first
        .sort
        .map(|order| Shortlist::new(order, args.first.limit));
    let mut room = args.first.limit.unwrap_or(usize::MAX);
    while room > 0
        && let Some(letter) = letters.next().await
    {
        let letter = letter?;
        match &mut chosen {
            Some(chosen) => {
                let shown = letter.clone();
                chosen.push(&letter.letter, shown);
            }
            None => {
                room -= 1;
                write(&mut lines, export.take(&letter, now))?;
            }
        }
    }
    for letter in chosen.map(Shortlist::finish).unwrap_or_default() {
        write(&mut lines, export.take(&letter, now))?;
    }
    lines.flush()?;
    export.remarks().iter().for_each(|remark| say(remark));
    Ok(match export.left_out() {
        0 => Exit::Done,
        _ => Exit::Failed,
    })
}

fn write(lines: &mut Lines, line: Option<Exported>) -> anyhow::Result<()> {
    if let Some(line) = line {
        lines.text(&json_line(&line)?)?;
    }
    Ok(())
}
