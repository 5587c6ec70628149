use futures::StreamExt;
use tidings_broker::Broker;
use tidings_dlq::{Filter, Letter, advice, read};
use tidings_model::{Attempt, LetterMessage, Message, MessageId, printable};

use crate::{
    exit::Exit,
    output::{Lines, json_line, say},
};

/// As much of a body that is no message as is shown, in bytes.
const BODY: usize = 4096;

/// Show one message's dead letter: what was sent, what was tried, what the reason means and what usually helps
///
/// A message that was replayed and died again has a letter for each time, oldest first.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The message
    #[arg(value_name = "ID")]
    id: MessageId,
    /// One JSON object a line instead of words
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(broker: &dyn Broker, args: &Args) -> anyhow::Result<Exit> {
    let filter = Filter {
        ids: vec![args.id.clone()],
        ..Filter::default()
    };
    let mut lines = Lines::to_stdout();
    let mut letters = read(broker, filter).await?;
    let mut found = false;
    while let Some(letter) = letters.next().await {
        let letter = letter?;
        if args.json {
            lines.text(&json_line(&letter.letter)?)?;
        } else {
            if found {
                lines.text("")?;
            }
            describe(&letter)
                .iter()
                .try_for_each(|line| lines.text(&printable(line)))?;
        }
        found = true;
    }
    lines.flush()?;
    if !found {
        say(&format!(
            "no dead letter of {}: `tidings outcomes --id {}` tells whether it was delivered",
            args.id, args.id
        ));
        return Ok(Exit::Failed);
    }
    Ok(Exit::Done)
}

/// The letter in words, a line each. Whoever writes them escapes what other people's text may hold.
fn describe(Letter { letter, body, .. }: &Letter) -> Vec<String> {
    let unknown = || "unknown".to_owned();
    let message = &letter.message;
    let mut lines = vec![
        format!(
            "message          {}",
            message.id().map_or_else(unknown, ToString::to_string)
        ),
        format!(
            "account          {}",
            message.account().map_or_else(unknown, ToString::to_string)
        ),
        format!("dead since       {}", letter.dead_at),
        format!(
            "reason           {}: {}",
            letter.reason,
            advice::meaning(letter.reason)
        ),
        format!("what helps       {}", advice::what_helps(letter.reason)),
        format!(
            "may have arrived {}",
            if letter.maybe_delivered { "yes" } else { "no" }
        ),
    ];
    if letter.generation > 0 {
        lines.push(format!("replay           {}", letter.generation));
    }
    if let LetterMessage::Whole(message) = message {
        lines.extend(about(message));
    }
    lines.push(String::new());
    lines.push(match letter.attempts.len() {
        0 => "no attempt was made".into(),
        count => format!("attempts ({count})"),
    });
    lines.extend(letter.attempts.iter().map(attempt));
    lines.push(String::new());
    lines.extend(content(message, body));
    lines
}

fn about(message: &Message) -> Vec<String> {
    let mut lines = vec![format!("sent             {}", message.enqueued_at)];
    if message.due() > message.enqueued_at {
        lines.push(format!("due              {}", message.due()));
    }
    if let Some(expires) = message.expires() {
        lines.push(format!("expires          {expires}"));
    }
    let metadata = message.metadata.iter();
    lines.extend(metadata.map(|(key, value)| format!("metadata         {key} = {value}")));
    lines
}

fn attempt(attempt: &Attempt) -> String {
    let Attempt {
        at,
        verdict,
        status,
        error,
        took_ms,
        worker,
    } = attempt;
    let status = status.map_or("no answer".into(), |status| format!("HTTP {status}"));
    let words = error.as_deref().unwrap_or_default();
    format!("  {at}  {verdict}, {status}, {took_ms} ms, {worker}  {words}")
        .trim_end()
        .to_owned()
}

fn content(message: &LetterMessage, body: &[u8]) -> Vec<String> {
    if let LetterMessage::Whole(message) = message {
        // Plain data with string keys: writing it as text cannot fail.
        let json = serde_json::to_string_pretty(&message.payload).unwrap_or_default();
        let lines = json.lines().map(|line| format!("  {line}"));
        return std::iter::once("payload".to_owned()).chain(lines).collect();
    }
    let why = Message::decode(body).map_or_else(|error| error.to_string(), |_| String::new());
    let shown = String::from_utf8_lossy(&body[..body.len().min(BODY)]).into_owned();
    let mut lines = vec![format!("body, {} bytes, {why}", body.len())];
    lines.extend(shown.lines().map(|line| format!("  {line}")));
    if body.len() > BODY {
        lines.push(format!("  … the first {BODY} bytes"));
    }
    lines
}
