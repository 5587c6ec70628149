use futures::StreamExt;
use jiff::Timestamp;
use tidings_broker::Broker;
use tidings_dlq::{Letter, follow};
use tidings_model::printable;
use tokio::signal::ctrl_c;

use crate::{
    exit::Exit,
    output::{Lines, json_line, last_words, short},
    which::Which,
};

/// Show dead letters as they come, a line each, until interrupted
///
/// With `--since` those that died since then come first.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
    /// End after so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

pub(crate) async fn run(broker: &dyn Broker, args: &Args) -> anyhow::Result<Exit> {
    tokio::select! {
        shown = show(broker, args) => shown,
        _ = ctrl_c() => Ok(Exit::Done),
    }
}

async fn show(broker: &dyn Broker, args: &Args) -> anyhow::Result<Exit> {
    let filter = args.which.filter(Timestamp::now());
    let mut letters = follow(broker, filter)
        .await?
        .take(args.limit.unwrap_or(usize::MAX));
    let mut lines = Lines::to_stdout();
    while let Some(letter) = letters.next().await {
        let letter = letter?;
        lines.text(&match args.json {
            true => json_line(&letter.letter)?,
            false => line(&letter),
        })?;
        lines.flush()?;
    }
    Ok(Exit::Done)
}

/// Widths are fixed, since lines are printed as they come.
fn line(letter: &Letter) -> String {
    let Letter { key, letter, .. } = letter;
    let account = letter
        .message
        .account()
        .map_or("-", |account| account.as_str());
    let id = key.to_string();
    let words = letter.attempts.last().map_or_else(String::new, last_words);
    let (dead_at, reason) = (short(letter.dead_at), letter.reason.as_str());
    let line = format!("{dead_at}  {reason:<18} {account:<20} {id:<36}  {words}");
    printable(line.trim_end()).into_owned()
}
