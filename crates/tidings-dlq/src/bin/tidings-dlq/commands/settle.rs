//! Discarding, restoring and renewing: what changes letters and sends nothing.

use jiff::Timestamp;
use serde_json::json;
use tidings_dlq::{Filter, Operator, Request};
use tidings_model::{LetterState, Verb};

use crate::{
    exit::{Exit, Usage},
    output::{Lines, json_line, say},
    plan,
    progress::{Telling, conclude},
    which::{Chosen, Keeping},
};

/// Settle that messages need not be sent: `restore` takes that back
#[derive(Debug, clap::Args)]
pub(crate) struct Discard {
    /// Why, for the audit
    #[arg(long, value_name = "REASON")]
    why: String,
    #[command(flatten)]
    how: How,
}

/// Open letters again that were discarded or edited
#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    /// Why, for the audit
    #[arg(long, value_name = "REASON")]
    why: Option<String>,
    #[command(flatten)]
    how: How,
}

/// Keep open letters: they are written again, before the stream forgets them
#[derive(Debug, clap::Args)]
pub(crate) struct Renew {
    /// Only those that are in the last tenth of their time
    #[arg(long)]
    near: bool,
    #[command(flatten)]
    keeping: Keeping,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct How {
    /// Say only what would be done
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// One JSON object when it has ended
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    chosen: Chosen,
}

impl Discard {
    pub(crate) async fn run(&self, operator: &Operator) -> anyhow::Result<Exit> {
        if self.why.trim().is_empty() {
            return Err(Usage("--why wants a reason: the next one will ask for it".into()).into());
        }
        let why = Some(self.why.clone());
        let request = self.how.chosen.request(Timestamp::now());
        self.how.run(operator, Verb::Discard, request, why).await
    }
}

impl Restore {
    pub(crate) async fn run(&self, operator: &Operator) -> anyhow::Result<Exit> {
        let mut request = self.how.chosen.request(Timestamp::now());
        if request.filter.states == [LetterState::Open] {
            request.filter.states = vec![LetterState::Discarded, LetterState::Edited];
        }
        let why = self.why.clone();
        self.how.run(operator, Verb::Restore, request, why).await
    }
}

impl Renew {
    pub(crate) async fn run(&self, operator: &Operator) -> anyhow::Result<Exit> {
        let now = Timestamp::now();
        let near = self.near.then(|| self.keeping.retention().near(now));
        let request = Request {
            written_before: near,
            ..self.how.chosen.request(now)
        };
        self.how.run(operator, Verb::Renew, request, None).await
    }
}

impl How {
    async fn run(
        &self,
        operator: &Operator,
        verb: Verb,
        request: Request,
        why: Option<String>,
    ) -> anyhow::Result<Exit> {
        let chosen = chooses(&request);
        let plan = operator.plan(verb, request, Timestamp::now()).await?;
        plan::tell(&plan);
        if self.dry_run {
            return self.print(&plan::json(&plan)).map(|()| Exit::Done);
        }
        if plan.planned() == 0 {
            self.print(
                &json!({"operation": null, "done": 0, "failed": 0, "skipped": plan.left_alone()}),
            )?;
            return Ok(match self.chosen.names_messages() {
                true => Exit::Failed,
                false => Exit::Done,
            });
        }
        // It can be taken back: a script that says which need not say yes.
        let agreed = self
            .yes
            .then_some(true)
            .or_else(|| plan::agreed(verb.as_str()));
        match agreed.or(chosen.then_some(true)) {
            None => return Err(Usage(
                "all letters are meant, and nobody is there to be asked: say which, or give --yes"
                    .into(),
            )
            .into()),
            Some(false) => return Ok(Exit::Failed),
            Some(true) => {}
        }
        let settling = operator.settle(plan, why).await?;
        let operation = settling.operation();
        let telling = Telling::start();
        let tally = settling.run(&telling.watch).await;
        drop(telling);
        let tally = tally.inspect_err(|_| {
            say(&format!(
                "operation {operation} was cut off: do it again with --take-over"
            ));
        })?;
        self.print(&json!({
            "operation": operation,
            "done": tally.done,
            "failed": tally.failed,
            "skipped": tally.skipped,
        }))?;
        Ok(conclude(operation, &tally))
    }

    fn print(&self, value: &serde_json::Value) -> anyhow::Result<()> {
        if !self.json {
            return Ok(());
        }
        let mut lines = Lines::to_stdout();
        lines.text(&json_line(value)?)?;
        Ok(lines.flush()?)
    }
}

/// Whether it says which letters, and not only in which state.
fn chooses(request: &Request) -> bool {
    let all = Filter {
        states: request.filter.states.clone(),
        ..Filter::default()
    };
    request.filter != all || request.limit.is_some() || request.written_before.is_some()
}
