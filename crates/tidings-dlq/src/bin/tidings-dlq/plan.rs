//! A plan in words, and the question whether to go on.

use std::io::{self, IsTerminal as _, Write as _};

use serde_json::json;
use tidings_dlq::{Plan, Skip};
use tidings_model::LetterState;

use crate::output::say;

/// Tells people what would be done.
pub(crate) fn tell(plan: &Plan) {
    let verb = plan.verb;
    say(&format!("to {verb}: {}", letters(plan.planned())));
    let counts = |counts: Vec<String>| counts.join(", ");
    if plan.planned() > 0 {
        let accounts = plan.accounts.iter().map(|(account, count)| {
            let account = account.as_ref().map(ToString::to_string);
            format!("{} {count}", account.unwrap_or_else(|| "unknown".into()))
        });
        let reasons = plan.reasons.iter();
        let reasons = reasons.map(|(reason, count)| format!("{reason} {count}"));
        say(&format!("  accounts: {}", counts(accounts.collect())));
        say(&format!("  reasons: {}", counts(reasons.collect())));
        say(&format!(
            "  may have been delivered: {}",
            plan.maybe_delivered
        ));
    }
    for (skip, count) in &plan.skipped {
        say(&format!("  left alone: {count}, {}", why(plan, *skip)));
    }
}

/// The plan for a script.
pub(crate) fn json(plan: &Plan) -> serde_json::Value {
    let accounts = plan.accounts.iter().map(|(account, count)| {
        let account = account.as_ref().map(ToString::to_string);
        (account.unwrap_or_else(|| "unknown".into()), json!(count))
    });
    let reasons = plan.reasons.iter();
    let reasons = reasons.map(|(reason, count)| (reason.to_string(), json!(count)));
    json!({
        "operation": null,
        "planned": plan.planned(),
        "accounts": accounts.collect::<serde_json::Map<_, _>>(),
        "reasons": reasons.collect::<serde_json::Map<_, _>>(),
        "maybe_delivered": plan.maybe_delivered,
        "skipped": plan.left_alone(),
    })
}

fn letters(count: u64) -> String {
    match count {
        1 => "1 letter".into(),
        count => format!("{count} letters"),
    }
}

fn why(plan: &Plan, skip: Skip) -> String {
    match skip {
        Skip::MaybeDelivered => {
            "since they may have been delivered: `--including-unknown` sends them as well".into()
        }
        Skip::Expired => "since they have expired: `edit` sends a new message".into(),
        Skip::Undecodable => "since their body is no message: `edit` sends a new one".into(),
        Skip::Superseded => "since a later replay of the same message died as well".into(),
        Skip::State(LetterState::Replayed) => "since they were sent again".into(),
        Skip::State(state) => format!("since they are {state}"),
        Skip::Claimed(operation) => {
            let began = plan.register().operation(operation);
            let by = began.and_then(|operation| Some(operation.began.as_ref()?.by.as_str()));
            format!(
                "since operation {operation} of {} has claimed them and has not ended: `replay --resume` goes on with it, \
                 and once it is abandoned for sure, `--take-over` takes them over",
                by.unwrap_or("somebody")
            )
        }
    }
}

/// Asks on the terminal; `None` where there is nobody to ask.
pub(crate) fn agreed(verb: &str) -> Option<bool> {
    if !io::stdin().is_terminal() {
        return None;
    }
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{verb} them? [y/N] ");
    let _ = stderr.flush();
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    Some(read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes"))
}
