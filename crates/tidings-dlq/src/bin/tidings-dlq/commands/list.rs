use comfy_table::{Table, presets};
use futures::{Stream, StreamExt};
use jiff::Timestamp;
use tidings_broker::{Broker, BrokerError};
use tidings_dlq::{Filter, Letter, Order, Shortlist, read};
use tidings_model::{
    Account, Attempt, DeadLetter, LetterState, Moment, Provider, Reason, printable,
};

use crate::{
    exit::Exit,
    output::{Lines, json_line, say},
};

/// As much of the provider's words as a table has room for, in characters.
const WORDS: usize = 60;

/// List the dead letters: a table, or one JSON object a line
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One JSON object a line instead of a table
    #[arg(long)]
    json: bool,
    /// Only of these accounts
    #[arg(long = "account", value_name = "ACCOUNT", num_args = 1..)]
    accounts: Vec<Account>,
    /// Only of these providers
    #[arg(long = "provider", value_name = "PROVIDER", num_args = 1..)]
    providers: Vec<Provider>,
    /// Only for these reasons, such as rejected or expired
    #[arg(long = "reason", value_name = "REASON", num_args = 1..)]
    reasons: Vec<Reason>,
    /// Only those dead since then: a time such as 2026-01-01T09:00:00Z, or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Only those dead before then
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// Only in this state: open, replayed, edited, discarded, or all
    #[arg(long, value_name = "STATE", default_value = "open")]
    state: States,
    /// Which come first: oldest, newest, account or reason; without it they come as they were written
    #[arg(long, value_name = "ORDER")]
    sort: Option<Order>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// The states of `--state`; none of them means all.
#[derive(Debug, Clone)]
struct States(Vec<LetterState>);

impl std::str::FromStr for States {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let state = match text {
            "all" => return Ok(Self(Vec::new())),
            "open" => LetterState::Open,
            "replayed" => LetterState::Replayed,
            "edited" => LetterState::Edited,
            "discarded" => LetterState::Discarded,
            other => {
                return Err(format!(
                    "state {other:?} is none of open, replayed, edited, discarded, all"
                ));
            }
        };
        Ok(Self(vec![state]))
    }
}

impl Args {
    fn filter(&self, now: Timestamp) -> Filter {
        Filter {
            ids: Vec::new(),
            accounts: self.accounts.clone(),
            providers: self.providers.clone(),
            reasons: self.reasons.clone(),
            states: self.state.0.clone(),
            since: self.since.map(|moment| moment.before(now)),
            until: self.until.map(|moment| moment.before(now)),
        }
    }
}

pub(crate) async fn run(broker: &dyn Broker, args: &Args) -> anyhow::Result<Exit> {
    let mut lines = Lines::to_stdout();
    let letters = read(broker, args.filter(Timestamp::now())).await?;
    if args.json {
        each(letters, args, json_line, |line| Ok(lines.text(&line)?)).await?;
    } else {
        let mut rows = Vec::new();
        let row = |letter: &DeadLetter| Ok(row(letter));
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
    render: impl Fn(&DeadLetter) -> anyhow::Result<T>,
    mut show: impl FnMut(T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let Some(order) = args.sort else {
        let mut letters = letters.take(args.limit.unwrap_or(usize::MAX));
        while let Some(letter) = letters.next().await {
            show(render(&letter?.letter)?)?;
        }
        return Ok(());
    };
    let mut list = Shortlist::new(order, args.limit);
    while let Some(letter) = letters.next().await {
        let letter = letter?.letter;
        list.push(&letter, render(&letter)?);
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

fn row(letter: &DeadLetter) -> [String; 6] {
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
        letter.dead_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        letter.attempts.len().to_string(),
        letter.attempts.last().map_or("-".into(), last_words),
    ]
}

fn last_words(attempt: &Attempt) -> String {
    let status = attempt
        .status
        .map_or_else(|| attempt.verdict.to_string(), |status| status.to_string());
    let words = printable(attempt.error.as_deref().unwrap_or_default()).into_owned();
    let mut characters = words.chars();
    let start: String = characters.by_ref().take(WORDS).collect();
    let more = if characters.next().is_some() {
        "…"
    } else {
        ""
    };
    format!("{status} {start}{more}").trim_end().to_owned()
}
