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

/// How far it has come.
async fn shown(desk: &Desk, operation: OperationId) -> Result<Markup, Failure> {
    if let Some(running) = desk.running(operation) {
        return Ok(match running.over() {
            Some(over) => ended(operation, running.verb, over.as_ref()),
            None => html! { (under_way(&running)) (stop(desk, operation)) },
        });
    }
    let known = desk
        .look(|seen| seen.register.operation(operation).cloned())
        .await;
    let known = known.ok_or_else(|| {
        Failure::new(
            StatusCode::NOT_FOUND,
            "That operation is unknown, or no longer kept.",
        )
    })?;
    Ok(elsewhere(operation, &known))
}

fn under_way(running: &Running) -> Markup {
    let progress = running.progress();
    let through = progress.done + progress.failed + progress.skipped;
    let left = progress.planned.saturating_sub(through);
    let took = running.began.elapsed();
    let remains = u64::try_from(took.as_millis())
        .unwrap_or(u64::MAX)
        .saturating_mul(left);
    let remains = remains / (1_000 * through.max(1)) + 1;
    let rate = through as f64 / took.as_secs_f64().max(0.1);
    let stage = match progress.stage {
        Stage::Claiming => "Claiming the letters",
        Stage::Acting => "Under way",
        Stage::Waiting => "Waiting for the outcomes of what was sent",
    };
    html! {
        p { strong { (stage) } @if left > 0 && through > 0 {
            ", about " (span(remains)) " to go at " (format!("{rate:.0}")) " a second"
        } }
        progress max=(progress.planned.max(1)) value=(through) aria-label="letters dealt with" {}
        (tally(progress.planned, progress.done, progress.failed, progress.skipped))
        noscript { p.quiet { "Reload the page to see how it goes on." } }
    }
}

fn ended(operation: OperationId, verb: Verb, over: Result<&Tally, &String>) -> Markup {
    let tally_ = match over {
        Ok(tally) => tally,
        Err(error) => {
            return html! {
                p.problem data-over role="alert" { "It broke off: " (words(error)) }
                (resume(operation, verb))
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
        @if tally_.interrupted { (resume(operation, verb)) }
    }
}

/// One that was not begun here, or before the console was started anew.
fn elsewhere(operation: OperationId, known: &Operation) -> Markup {
    let planned = known
        .began
        .as_ref()
        .map_or(known.claimed, |began| began.planned);
    let verb = known.began.as_ref().map(|began| began.verb);
    html! {
        @if let Some(end) = &known.ended {
            @let tally_ = Tally::from(end);
            (ended(operation, verb.unwrap_or(Verb::Replay), Ok(&tally_)))
        } @else {
            p data-over { span.badge.stopped { "not ended" } " It is under way elsewhere, or was cut off." }
            (tally(planned, known.resolved, 0, 0))
            (resume(operation, verb.unwrap_or(Verb::Replay)))
        }
    }
}

fn resume(operation: OperationId, verb: Verb) -> Markup {
    html! {
        p.quiet { @if verb == Verb::Replay {
            "To go on with it: " code { "tidings-dlq replay --resume " (operation) }
        } @else { "To do the rest: do it again, with " code { "--take-over" } " on the command line." } }
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
        form.actions action={ "/operations/" (operation) "/stop" } method="post" {
            input type="hidden" name="token" value=(desk.guard().token());
            button { "Stop" }
            span.quiet { "It runs on when you leave this page." }
        }
    }
}
