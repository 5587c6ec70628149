use comfy_table::Table;
use serde_json::{Value, json};
use tidings_broker::{Broker, ReadFrom};
use tidings_dlq::{Operation, Register};
use tidings_model::{OperationId, printable};

use crate::{
    exit::Exit,
    output::{self, Lines, json_line, say, short},
};

/// List what was done about dead letters: who, when, what, to which, and what came of it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One JSON object a line instead of a table
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(broker: &dyn Broker, args: &Args) -> anyhow::Result<Exit> {
    let register = Register::read(broker, ReadFrom::First).await?;
    let mut lines = Lines::to_stdout();
    if args.json {
        for (id, operation) in register.operations() {
            lines.text(&json_line(&object(id, operation))?)?;
        }
    } else if register.operations().next().is_none() {
        say("nothing has been done about any dead letter");
    } else {
        lines.text(&table(&register).to_string())?;
    }
    lines.flush()?;
    Ok(Exit::Done)
}

fn object(id: OperationId, operation: &Operation) -> Value {
    let (began, ended) = (operation.began.as_ref(), operation.ended.as_ref());
    json!({
        "operation": id,
        "verb": began.map(|began| began.verb),
        "by": began.map(|began| &began.by),
        "at": began.map(|began| began.at),
        "which": began.map(|began| &began.which),
        "why": began.and_then(|began| began.why.as_ref()),
        "planned": began.map(|began| began.planned),
        "resolved": operation.resolved,
        "ended_at": ended.map(|ended| ended.at),
        "ended_by": ended.map(|ended| &ended.by),
        "done": ended.map(|ended| ended.done),
        "failed": ended.map(|ended| ended.failed),
        "skipped": ended.map(|ended| ended.skipped),
        "stopped": ended.and_then(|ended| ended.stopped.as_ref()),
    })
}

fn table(register: &Register) -> Table {
    let mut table = output::table([
        "operation",
        "began",
        "by",
        "verb",
        "which",
        "planned",
        "result",
    ]);
    for (id, operation) in register.operations() {
        let began = operation.began.as_ref();
        let cell = |text: Option<String>| printable(text.as_deref().unwrap_or("-")).into_owned();
        let which = began.map(|began| match &began.why {
            Some(why) => format!("{} ({why})", began.which),
            None => began.which.clone(),
        });
        table.add_row([
            id.to_string(),
            cell(began.map(|began| short(began.at))),
            cell(began.map(|began| began.by.clone())),
            cell(began.map(|began| began.verb.to_string())),
            cell(which),
            cell(began.map(|began| began.planned.to_string())),
            cell(Some(result(operation))),
        ]);
    }
    table
}

fn result(operation: &Operation) -> String {
    let Some(ended) = &operation.ended else {
        return format!("not ended, {} done", operation.resolved);
    };
    let counts = format!(
        "{} done, {} failed, {} left alone",
        ended.done, ended.failed, ended.skipped
    );
    match &ended.stopped {
        Some(why) => format!("{counts}; stopped: {why}"),
        None => counts,
    }
}
