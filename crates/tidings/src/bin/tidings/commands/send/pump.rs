//! Moves lines into the broker and confirmations out, both in the input's order.

use std::{io, pin::pin, time::Duration};

use futures::{FutureExt, Stream, StreamExt};
use jiff::Timestamp;
use tidings::Tidings;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval},
};
use uuid::Uuid;

use super::{input::Input, lines::Line, output::Output, report::Report};

const SHOW_EVERY: Duration = Duration::from_millis(200);

/// Sends the lines. An interrupt, or a broker that stays away, ends the reading; what is on its way is waited for.
pub(super) async fn send(
    tidings: &Tidings,
    lines: impl Stream<Item = io::Result<Line>>,
    report: &Report,
) -> anyhow::Result<()> {
    let input = Input::default();
    let drafts = lines
        .take_until(input.stopped())
        .filter_map(|line| std::future::ready(input.draft(line, report)));
    let mut results = pin!(tidings.send_all(drafts));
    let mut output = Output::new();
    let mut showing = interval(SHOW_EVERY);
    showing.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut interrupts = signal(SignalKind::interrupt())?;
    loop {
        let next = match results.next().now_or_never() {
            Some(next) => next,
            None => {
                output.flush()?;
                tokio::select! {
                    next = results.next() => next,
                    _ = showing.tick(), if report.is_live() => {
                        report.show();
                        continue;
                    }
                    _ = interrupts.recv() => {
                        if input.was_interrupted() {
                            break;
                        }
                        input.interrupt();
                        report.say("interrupted: waiting for what is on its way; interrupt again to stop at once");
                        continue;
                    }
                }
            }
        };
        let Some(result) = next else { break };
        input.settled(&result, report);
        if let Ok(receipt) = result {
            output.line(&receipt.id, &receipt.account, "queued")?;
        }
    }
    output.flush()?;
    input.end()
}

/// Checks the lines as `send` would, and sends nothing.
pub(super) async fn check(
    lines: impl Stream<Item = io::Result<Line>>,
    report: &Report,
) -> anyhow::Result<()> {
    let mut lines = pin!(lines);
    let mut output = Output::new();
    while let Some(line) = lines.next().await {
        let Line { number, draft } = line?;
        let message = draft.and_then(|draft| {
            let accepted = draft.accept(Timestamp::now(), || Uuid::now_v7().into());
            accepted.map_err(|error| error.to_string())
        });
        match message {
            Ok(message) => {
                report.queued();
                output.line(&message.id, &message.account, "valid")?;
            }
            Err(why) => report.failed(number, &why),
        }
    }
    Ok(output.flush()?)
}
