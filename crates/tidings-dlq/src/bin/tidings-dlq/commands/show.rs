use futures::StreamExt;
use jiff::Timestamp;
use tidings_broker::{Broker, ReadFrom};
use tidings_dlq::{Filter, Letter, Name, Register, Retention, advice, read_with};
use tidings_model::{Attempt, LetterKey, LetterMessage, LetterState, Message, printable};

use crate::{
    exit::Exit,
    output::{Lines, json_line, say, short},
    which::Keeping,
};

/// As much of a body that is no message as is shown, in bytes.
const BODY: usize = 4096;

/// Show one message's dead letter: what was sent, what was tried, what the reason means and what usually helps
///
/// A message that was replayed and died again has a letter for each time, oldest first.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The message; a letter without an id goes by its place, such as @17
    #[arg(value_name = "ID")]
    id: Name,
    /// One JSON object a line instead of words
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    keeping: Keeping,
}

pub(crate) async fn run(broker: &dyn Broker, args: &Args) -> anyhow::Result<Exit> {
    let filter = Filter {
        names: vec![args.id.clone()],
        ..Filter::default()
    };
    let mut lines = Lines::to_stdout();
    let register = Register::read(broker, ReadFrom::First).await?;
    let mut letters = read_with(broker, register.clone(), filter).await?;
    let mut found = false;
    while let Some(letter) = letters.next().await {
        let letter = letter?;
        if args.json {
            lines.text(&json_line(&letter.letter)?)?;
        } else {
            if found {
                lines.text("")?;
            }
            let retention = args.keeping.retention();
            describe(&letter, &register, retention)
                .iter()
                .try_for_each(|line| lines.text(&printable(line)))?;
        }
        found = true;
    }
    lines.flush()?;
    if !found {
        say(&match &args.id {
            Name::Message(id) => format!(
                "no dead letter of {id}: `tidings outcomes --id {id}` tells whether it was delivered"
            ),
            place => format!("no dead letter without an id is at {place}, or it is no longer kept"),
        });
        return Ok(Exit::Failed);
    }
    Ok(Exit::Done)
}

/// The letter in words, a line each. Whoever writes them escapes what other people's text may hold.
fn describe(letter: &Letter, register: &Register, retention: Retention) -> Vec<String> {
    let Letter {
        key,
        letter,
        body,
        written_at,
        ..
    } = letter;
    let unknown = || "unknown".to_owned();
    let message = &letter.message;
    let mut lines = vec![
        format!(
            "message          {}",
            message
                .id()
                .map_or_else(|| Name::from(key).to_string(), ToString::to_string)
        ),
        format!(
            "account          {}",
            message.account().map_or_else(unknown, ToString::to_string)
        ),
        format!("dead since       {}", short(letter.dead_at)),
        format!("state            {}", state(key, letter.state, register)),
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
    let near = *written_at < retention.near(Timestamp::now());
    if near && letter.state == LetterState::Open {
        let end = retention.end(*written_at);
        lines.push(format!(
            "kept             until {}; `tidings-dlq renew` keeps it longer",
            short(end)
        ));
    }
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

/// Its state, who brought it there and what came of it.
fn state(key: &LetterKey, state: LetterState, register: &Register) -> String {
    let Some(standing) = register.standing(key) else {
        return state.to_string();
    };
    let operation = register.holder(key).or(standing.resolved_by);
    let Some(operation) = operation else {
        return state.to_string();
    };
    let began = register.operation(operation);
    let by = began
        .and_then(|operation| operation.began.as_ref())
        .map(|began| {
            let why = began.why.as_ref().map(|why| format!(": {why}"));
            format!(" by {}{}", began.by, why.unwrap_or_default())
        });
    let claimed = if register.holder(key).is_some() {
        ", claimed"
    } else {
        ""
    };
    let new_id = standing.new_id.as_ref();
    let new_id = new_id
        .map(|id| format!(", as message {id}"))
        .unwrap_or_default();
    format!(
        "{state}{new_id}{claimed}{} (operation {operation})",
        by.unwrap_or_default()
    )
}

fn about(message: &Message) -> Vec<String> {
    let mut lines = vec![format!("sent             {}", short(message.enqueued_at))];
    if message.due() > message.enqueued_at {
        lines.push(format!("due              {}", short(message.due())));
    }
    if let Some(expires) = message.expires() {
        lines.push(format!("expires          {}", short(expires)));
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
