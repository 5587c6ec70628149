mod input;
mod lines;
mod output;
mod pump;
mod report;

use std::{
    fs::File,
    io::{BufReader, IsTerminal, Read, stdin},
    path::PathBuf,
};

use futures::{Stream, StreamExt, stream};
use tidings::{Account, Delay, Draft, MessageId, payload::Payload};

use self::{lines::Line, report::Report};
use crate::{
    connection::Connection,
    exit::{Exit, Usage},
    output::say,
};

/// Send messages: JSON lines from a file or stdin, or one from the arguments
///
/// Each message that the broker confirmed is a line of JSON on stdout, in the order of the input. A line that is no
/// message is reported with its number, the others are sent, and the exit status is 1.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// The messages, a JSON object a line; `-` is stdin, and the default
    #[arg(long, value_name = "FILE", conflicts_with = "account")]
    file: Option<PathBuf>,
    /// Who sends: one message, with --payload
    #[arg(long, requires = "payload")]
    account: Option<Account>,
    /// The provider's own JSON
    #[arg(long, value_name = "JSON", requires = "account")]
    payload: Option<String>,
    /// Not before so long from now, such as 10m
    #[arg(long, requires = "account")]
    delay: Option<Delay>,
    /// The message's id; a new one without it
    #[arg(long, requires = "account")]
    id: Option<MessageId>,
    /// Check the messages, and send nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let report = Report::default();
    let done = if args.dry_run {
        pump::check(args.lines()?, &report).await
    } else {
        let tidings = args.connection.tidings("tidings-send").await?;
        let sent = pump::send(&tidings, args.lines()?, &report).await;
        if sent.is_ok() {
            tidings.close().await;
        }
        sent
    };
    let exit = report.finish();
    done.map(|()| exit)
}

impl Args {
    fn lines(&self) -> anyhow::Result<impl Stream<Item = std::io::Result<Line>> + use<>> {
        match self.draft() {
            Some(draft) => Ok(stream::iter([Ok(Line { number: 1, draft })]).left_stream()),
            None => {
                Ok(lines::read(BufReader::with_capacity(256 * 1024, self.input()?)).right_stream())
            }
        }
    }

    /// The message of the arguments, where they have one.
    fn draft(&self) -> Option<Result<Draft, String>> {
        let (account, json) = (self.account.clone()?, self.payload.as_deref()?);
        let draft = Payload::parse(account.provider(), json).map(|payload| {
            let draft = Draft::new(account, payload);
            let draft = self.delay.into_iter().fold(draft, Draft::delay);
            self.id.iter().cloned().fold(draft, Draft::id)
        });
        Some(draft.map_err(|error| error.to_string()))
    }

    fn input(&self) -> anyhow::Result<Box<dyn Read + Send>> {
        match &self.file {
            Some(path) if path.as_os_str() != "-" => {
                let cannot = |error| Usage(format!("cannot read {}: {error}", path.display()));
                Ok(Box::new(File::open(path).map_err(cannot)?))
            }
            _ => {
                if stdin().is_terminal() {
                    say("reading messages from the terminal, a JSON object a line; Ctrl-D ends");
                }
                Ok(Box::new(stdin()))
            }
        }
    }
}
