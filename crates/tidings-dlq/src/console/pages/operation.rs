use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Html,
};
use jiff::Timestamp;
use maud::{Markup, html};
use tidings_model::{OperationId, Verb};

use super::plan::capital;
use crate::{
    Operation,
    console::{
        desk::{Desk, Running},
        page::{Failure, Place, ago, letters, number, page, span, words},
    },
    operator::{Stage, Tally},
};

/// An operation: what it is for, and how far it has come.
pub(in crate::console) async fn operation(
    State(desk): State<Desk>,
    Path(operation): Path<OperationId>,
) -> Result<Html<String>, Failure> {
    let progress = shown(&desk, operation).await?;
    let known = desk
        .look(|seen| seen.register.operation(operation).cloned())
        .await;
    let running = desk.running(operation);
    let began = known.as_ref().and_then(|known| known.began.as_ref());
    let verb = began
        .map(|began| began.verb)
        .or(running.as_ref().map(|running| running.verb));
    let title = verb.map_or("Operation", capital);
    let from = format!("/operations/{operation}/progress");
    let content = html! {
        h1 { (title) }
        p.lead { code { (operation) } }
        @if let Some(began) = began {
            div.sheet.padded { dl.facts {
                dt { "Which" } dd { (words(&began.which)) }
                dt { "Who" } dd { (words(&began.by)) }
                dt { "Began" } dd { (ago(began.at, Timestamp::now())) }
                @if let Some(why) = &began.why { dt { "Why" } dd { (words(why)) } }
                dt { "Planned" } dd { (letters(began.planned)) }
            } }
        }
        h2 { "Progress" }
        div.sheet.padded id="progress" data-from=(from) { (progress) }
        @if running.is_some_and(|running| running.over().is_none()) { (stop(&desk, operation)) }
    };
    Ok(page(&desk, Place::Audit, title, &content))
}

/// The part of the page that changes.
pub(in crate::console) async fn progress(
    State(desk): State<Desk>,
    Path(operation): Path<OperationId>,
) -> Result<Html<String>, Failure> {
    Ok(Html(shown(&desk, operation).await?.into_string()))
}

/// How far it has come. Once it was cut off here, it may have gone on and ended elsewhere.
async fn shown(desk: &Desk, operation: OperationId) -> Result<Markup, Failure> {
    let running = desk.running(operation);
    let over = running.as_ref().map(|running| running.over());
    let known = desk
        .look(|seen| seen.register.operation(operation).cloned())
        .await;
    let ended_elsewhere = known.as_ref().is_some_and(|known| known.ended.is_some());
    Ok(match (&running, over, &known) {
        (Some(running), Some(None), _) => under_way(running),
        (Some(running), Some(Some(over)), _) if is_through(&over) || !ended_elsewhere => {
            ended(desk, operation, running.verb, over.as_ref())
        }
        (_, _, Some(known)) => elsewhere(desk, operation, known),
        _ => {
            return Err(Failure::new(
                StatusCode::NOT_FOUND,
                "That operation is unknown, or no longer kept.",
            ));
        }
    })
}

fn is_through(over: &Result<Tally, String>) -> bool {
    over.as_ref().is_ok_and(|tally| !tally.interrupted)
}

fn under_way(running: &Running) -> Markup {
    let progress = running.progress();
    let (rate, left) = (progress.rate(running.began.elapsed()), progress.remaining());
    let stage = match progress.stage {
        Stage::Claiming => "Claiming the letters",
        Stage::Acting => "Under way",
        Stage::Waiting => "Waiting for the outcomes of what was sent",
    };
    html! {
        p { strong { (stage) } @if left > 0 && rate > 0.0 {
            ", about " (span(seconds(left, rate))) " to go at " (format!("{rate:.0}")) " a second"
        } }
        progress max=(progress.planned.max(1)) value=(progress.through()) aria-label="letters dealt with" {}
        (tally(progress.planned, progress.done, progress.failed, progress.skipped))
        noscript { p.quiet { "Reload the page to see how it goes on." } }
    }
}

fn ended(desk: &Desk, operation: OperationId, verb: Verb, over: Result<&Tally, &String>) -> Markup {
    let tally_ = match over {
        Ok(tally) => tally,
        Err(error) => {
            return html! {
                p.problem data-over role="alert" { "It broke off: " (words(error)) }
                (resume(desk, operation, verb))
            };
        }
    };
    let planned = tally_.done + tally_.failed + tally_.skipped;
    html! {
        p data-over role="status" {
            @if tally_.interrupted { span.badge.stopped { "stopped" } " It can go on where it was." }
            @else if let Some(why) = &tally_.stopped { span.badge.stopped { "stopped" } " " (words(why)) }
            @else if tally_.failed > 0 { span.badge.failed { "some failed" } }
            @else { span.badge.done { "done" } }
        }
        (tally(planned, tally_.done, tally_.failed, tally_.skipped))
        @for (failure, count) in &tally_.failures { p.problem { (number(*count)) ": " (words(failure)) } }
        @for (winner, count) in &tally_.lost {
            p.notice { (letters(*count)) " belonged to " a href={ "/operations/" (winner) } { "another operation" } }
        }
        @if tally_.interrupted { (resume(desk, operation, verb)) }
    }
}

/// One that was not begun here, or before the console was started anew.
fn elsewhere(desk: &Desk, operation: OperationId, known: &Operation) -> Markup {
    let planned = known
        .began
        .as_ref()
        .map_or(known.claimed, |began| began.planned);
    let verb = known.began.as_ref().map(|began| began.verb);
    html! {
        @if let Some(end) = &known.ended {
            @let tally_ = Tally::from(end);
            (ended(desk, operation, verb.unwrap_or(Verb::Replay), Ok(&tally_)))
        } @else {
            p data-over { span.badge.stopped { "not ended" } " It is under way elsewhere, or was cut off." }
            (tally(planned, known.resolved, 0, 0))
            (resume(desk, operation, verb.unwrap_or(Verb::Replay)))
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "for people"
)]
fn seconds(left: u64, rate: f64) -> u64 {
    (left as f64 / rate).ceil() as u64
}

/// How it goes on. What still runs elsewhere sends nothing twice by that, but it is confusing.
fn resume(desk: &Desk, operation: OperationId, verb: Verb) -> Markup {
    html! {
        @if verb == Verb::Replay {
            form.actions action={ "/operations/" (operation) "/resume" } method="post" {
                input type="hidden" name="token" value=(desk.guard().token());
                button.main { "Go on" }
                span.quiet { "or on the command line: " code { "tidings-dlq replay --resume " (operation) } }
            }
        } @else {
            p.quiet { "To do the rest: do it again, with " code { "--take-over" } " on the command line." }
        }
    }
}

fn tally(planned: u64, done: u64, failed: u64, skipped: u64) -> Markup {
    let part = |name: &str, count: u64| html! { div { dt { (name) } dd { (number(count)) } } };
    html! {
        dl.tally { (part("planned", planned)) (part("done", done)) (part("failed", failed)) (part("left alone", skipped)) }
    }
}

fn stop(desk: &Desk, operation: OperationId) -> Markup {
    html! {
        form.actions id="stop" action={ "/operations/" (operation) "/stop" } method="post" {
            input type="hidden" name="token" value=(desk.guard().token());
            button { "Stop" }
            span.quiet { "It runs on when you leave this page." }
        }
    }
}
