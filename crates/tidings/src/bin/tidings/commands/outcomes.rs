use std::pin::pin;

use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use tidings::{Account, MessageId, Outcome, Outcomes};
use tidings_model::{Moment, printable};
use tokio::signal::ctrl_c;

use crate::{connection::Connection, exit::Exit, output::Lines};

/// Tell what became of messages: one JSON outcome a line, from the ledger, each once
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Only of these messages
    #[arg(long = "id", value_name = "ID", num_args = 1..)]
    ids: Vec<MessageId>,
    /// Only of these accounts
    #[arg(long = "account", value_name = "ACCOUNT", num_args = 1..)]
    accounts: Vec<Account>,
    /// Only those decided since then: a time such as 2026-01-01T09:00:00Z, or how long ago, such as 10m
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Go on with what is decided later, until interrupted
    #[arg(long)]
    follow: bool,
    /// Columns for people instead of JSON
    #[arg(long, conflicts_with = "json")]
    table: bool,
    /// JSON, as without it
    #[arg(long)]
    json: bool,
}

impl Args {
    fn which(&self) -> Outcomes {
        let which = Outcomes::default();
        let which = self.ids.iter().cloned().fold(which, Outcomes::id);
        let which = self.accounts.iter().cloned().fold(which, Outcomes::account);
        let which = match self.since {
            Some(moment) => which.since(moment.before(Timestamp::now())),
            None => which,
        };
        if self.follow { which.follow() } else { which }
    }
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    tokio::select! {
        printed = print(&args) => printed,
        _ = ctrl_c() => Ok(Exit::Done),
    }
}

async fn print(args: &Args) -> anyhow::Result<Exit> {
    let tidings = args.connection.tidings("tidings-outcomes").await?;
    let mut outcomes = pin!(tidings.outcomes(args.which()).await?);
    let mut lines = Lines::to_stdout();
    if args.table {
        lines.text(&columns("outcome", "account", "id", "attempts", "how"))?;
    }
    loop {
        let next = match outcomes.next().now_or_never() {
            Some(next) => next,
            None => {
                lines.flush()?;
                outcomes.next().await
            }
        };
        match next {
            Some(outcome) if args.table => lines.text(&row(&outcome?))?,
            Some(outcome) => lines.json(&outcome?)?,
            None => break,
        }
    }
    lines.flush()?;
    tidings.close().await;
    Ok(Exit::Done)
}

fn columns(outcome: &str, account: &str, id: &str, attempts: &str, how: &str) -> String {
    format!("{outcome:<10} {account:<20} {id:<36} {attempts:>8}  {how}")
        .trim_end()
        .to_owned()
}

/// Widths are fixed, since rows are printed as they come.
fn row(outcome: &Outcome) -> String {
    let (word, attempts, how) = match outcome {
        Outcome::Delivered {
            attempts,
            provider_message_id,
            deduplicated,
            ..
        } => {
            let id = provider_message_id
                .as_ref()
                .map(|id| format!("as {}", printable(id)));
            let before = deduplicated.then(|| "the provider had it already".to_owned());
            (
                "delivered",
                attempts,
                id.into_iter().chain(before).collect::<Vec<_>>().join(", "),
            )
        }
        Outcome::Dead {
            attempts,
            reason,
            last,
            ..
        } => {
            let last = last
                .map(|verdict| format!(", last attempt: {verdict}"))
                .unwrap_or_default();
            ("dead", attempts, format!("{reason}{last}"))
        }
    };
    columns(
        word,
        outcome.account().as_str(),
        outcome.id().as_str(),
        &attempts.to_string(),
        &how,
    )
}
