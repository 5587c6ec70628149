use jiff::Timestamp;
use serde_json::json;
use tidings_dlq::{
    Operator, Plan, Request,
    operator::{Pace, Replay, Resumed, Tally},
};
use tidings_model::{OperationId, Rate, Verb};

use crate::{
    exit::{Exit, Usage},
    output::{Lines, json_line, say},
    plan,
    progress::{Telling, conclude},
    which::Chosen,
};

/// Send messages again, each with its id: says first how many of which, and asks
///
/// A replay is written down before it begins and after it has ended. One that was cut off is resumed; nothing is sent
/// twice by that.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Say only what would be done
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Also messages that may have been delivered; GroupMe's are looked up first
    #[arg(long)]
    including_unknown: bool,
    /// At most so many in a time, such as 20/s or 90/m
    #[arg(long, value_name = "RATE")]
    rate: Option<Rate>,
    /// Send so many first, and the others only once these were delivered
    #[arg(long, value_name = "N")]
    canary: Option<usize>,
    /// Stop when so many could not be sent or died again
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    stop_after_failures: Option<u64>,
    /// Go on with a replay that was cut off, as it was begun; somebody else's needs `--take-over`
    #[arg(long, value_name = "OPERATION", conflicts_with_all = [
        "dry_run", "including_unknown", "rate", "canary", "stop_after_failures", "names", "more", "Which", "First",
    ])]
    resume: Option<OperationId>,
    /// One JSON object when it begins, and one when it has ended
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    chosen: Chosen,
}

pub(crate) async fn run(operator: &Operator, args: &Args) -> anyhow::Result<Exit> {
    if let Some(operation) = args.resume {
        return resume(operator, operation, args).await;
    }
    let now = Timestamp::now();
    let request = Request {
        including_unknown: args.including_unknown,
        ..args.chosen.request(now)
    };
    let plan = operator.plan(Verb::Replay, request, now).await?;
    plan::tell(&plan);
    if args.dry_run {
        if args.json {
            print(&plan::json(&plan))?;
        }
        return Ok(Exit::Done);
    }
    if plan.planned() == 0 {
        return nothing(args, &plan);
    }
    let agreed = args.yes.then_some(true).or_else(|| plan::agreed("replay"));
    match agreed {
        None => Err(Usage("nobody is there to be asked: give --yes, or --dry-run".into()).into()),
        Some(false) => Ok(Exit::Failed),
        Some(true) => {
            let pace = Pace {
                rate: args.rate,
                canary: args.canary,
                stop_after_failures: args.stop_after_failures,
            };
            go(operator.replay(plan, pace).await?, args).await
        }
    }
}

/// What was asked for by name and cannot be done is a failure.
fn nothing(args: &Args, plan: &Plan) -> anyhow::Result<Exit> {
    let named = args.chosen.names_messages();
    if named && plan.left_alone() == 0 {
        say("no open letter is of these messages: `tidings-dlq show ID` tells more");
    }
    if args.json {
        print(&json!({"operation": null, "planned": 0}))?;
        let tally = Tally {
            skipped: plan.left_alone(),
            ..Tally::default()
        };
        print(&ended(None, &tally))?;
    }
    Ok(if named { Exit::Failed } else { Exit::Done })
}

async fn resume(operator: &Operator, operation: OperationId, args: &Args) -> anyhow::Result<Exit> {
    match operator.resume(operation, args.chosen.takes_over()).await? {
        Resumed::Replay(replay) => go(*replay, args).await,
        Resumed::Ended(tally) => {
            say(&format!("operation {operation} has ended already"));
            if args.json {
                print(&json!({"operation": operation, "planned": 0}))?;
                print(&ended(Some(operation), &tally))?;
            }
            Ok(conclude(operation, &tally))
        }
    }
}

async fn go(replay: Replay, args: &Args) -> anyhow::Result<Exit> {
    let operation = replay.operation();
    if args.json {
        print(&json!({"operation": operation, "planned": replay.planned()}))?;
    } else {
        say(&format!("operation {operation}"));
    }
    let telling = Telling::start();
    let tally = replay.run(&telling.watch).await;
    drop(telling);
    let tally = tally.inspect_err(|_| {
        say(&format!(
            "`tidings-dlq replay --resume {operation}` goes on once that is mended"
        ));
    })?;
    if args.json {
        print(&ended(Some(operation), &tally))?;
    }
    let exit = conclude(operation, &tally);
    // Also with a canary: those that were sent last are still on their way.
    if tally.done > 0 {
        say("done means sent: `tidings-dlq list` shows what dies again");
    }
    Ok(exit)
}

fn ended(operation: Option<OperationId>, tally: &Tally) -> serde_json::Value {
    json!({
        "operation": operation,
        "replayed": tally.done,
        "failed": tally.failed,
        "skipped": tally.skipped,
    })
}

/// At once: whoever kills this process later has read it.
fn print(value: &serde_json::Value) -> anyhow::Result<()> {
    let mut lines = Lines::to_stdout();
    lines.text(&json_line(value)?)?;
    Ok(lines.flush()?)
}
