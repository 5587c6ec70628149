use std::{io::Write as _, process::Command, str::FromStr};

use serde_json::json;
use tidings_dlq::{
    Name, Operator,
    operator::{Edition, OperatorError},
};

use crate::{
    exit::{Exit, Usage},
    output::{Lines, json_line, say},
};

/// Send a mended copy of a message, as a new message with an id of its own
///
/// Without `--set` it opens `$EDITOR` (`$VISUAL`), and sends what was saved there; what was not changed is not sent.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The message; a letter without an id goes by its place, such as @17
    #[arg(value_name = "ID")]
    id: Name,
    /// Set a field and send at once, such as /payload/text=Hello: text where the field is one, else JSON
    #[arg(long = "set", value_name = "POINTER=VALUE", num_args = 1..)]
    set: Vec<Setting>,
    /// Remove a field, such as /expires_at
    #[arg(long = "remove", value_name = "POINTER", num_args = 1..)]
    remove: Vec<String>,
    /// Also where an operation has claimed the letter which was abandoned
    #[arg(long)]
    take_over: bool,
    /// One JSON object when it is sent
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone)]
struct Setting {
    pointer: String,
    value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((pointer, value)) if pointer.starts_with('/') => Ok(Self {
                pointer: pointer.into(),
                value: value.into(),
            }),
            _ => Err(format!(
                "{text:?} is not POINTER=VALUE, such as /payload/text=Hello"
            )),
        }
    }
}

pub(crate) async fn run(operator: &Operator, args: &Args) -> anyhow::Result<Exit> {
    let Some(mut edition) = operator.edition(&args.id, args.take_over).await? else {
        say(&format!(
            "no open letter is of {}: `tidings-dlq show {}` tells more",
            args.id, args.id
        ));
        return Ok(Exit::Failed);
    };
    if edition.maybe_delivered {
        say("the old message may have been delivered: the new one is sent all the same");
    }
    let usage = |error: tidings_dlq::operator::SetError| Usage(error.to_string());
    for Setting { pointer, value } in &args.set {
        edition.set(pointer, value).map_err(usage)?;
    }
    for pointer in &args.remove {
        edition.remove(pointer).map_err(usage)?;
    }
    let message = if args.set.is_empty() && args.remove.is_empty() {
        match in_editor(&edition)? {
            Some(message) => message,
            None => {
                say("nothing was changed, and nothing is sent");
                return Ok(Exit::Failed);
            }
        }
    } else {
        serde_json::to_vec(&edition.message)?
    };
    let edited = match operator.edit(edition, &message).await {
        Ok(edited) => edited,
        Err(OperatorError::Invalid(invalid)) => {
            say(&format!("error: the message cannot be sent: {invalid}"));
            return Ok(Exit::Failed);
        }
        Err(error) => return Err(error.into()),
    };
    let mut lines = Lines::to_stdout();
    lines.text(&json_line(&json!({
        "operation": edited.operation,
        "id": edited.id,
        "edited": args.id,
        "status": "queued",
    }))?)?;
    lines.flush()?;
    Ok(Exit::Done)
}

/// What was saved; `None` where that is what was there.
fn in_editor(edition: &Edition) -> anyhow::Result<Option<Vec<u8>>> {
    let before = serde_json::to_string_pretty(&edition.message)? + "\n";
    let mut file = tempfile::Builder::new()
        .prefix("tidings-")
        .suffix(".json")
        .tempfile()?;
    file.write_all(before.as_bytes())?;
    file.flush()?;
    let named = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let editor = named("VISUAL").or_else(|| named("EDITOR"));
    let editor = editor.unwrap_or_else(|| "vi".into());
    // As git does: the variable may hold arguments.
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg(&editor)
        .arg(file.path())
        .status()?;
    anyhow::ensure!(
        status.success(),
        "the editor {editor:?} ended with {status}, and nothing is sent"
    );
    let after = std::fs::read(file.path())?;
    Ok((after != before.as_bytes()).then_some(after))
}
