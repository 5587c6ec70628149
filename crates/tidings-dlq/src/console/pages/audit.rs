use axum::{extract::State, response::Html};
use jiff::Timestamp;
use maud::{Markup, html};
use tidings_model::OperationId;

use crate::{
    Operation,
    console::{
        desk::Desk,
        page::{Place, ago, number, page, words},
    },
};

/// As many operations as are shown.
const SHOWN: usize = 200;

/// Who did what, when, to which letters, and what came of it.
pub(in crate::console) async fn audit(State(desk): State<Desk>) -> Html<String> {
    let operations: Vec<_> = desk
        .look(|seen| {
            let newest = seen.register.operations().rev().take(SHOWN);
            newest
                .map(|(id, operation)| (id, operation.clone()))
                .collect()
        })
        .await;
    let now = Timestamp::now();
    let content = html! {
        h1 { "Audit" }
        p.lead { "What was done about dead letters, the newest first. It is part of the dead stream, as they are." }
        div.sheet {
            @if operations.is_empty() { p.empty { "Nothing has been done about any dead letter." } }
            @else { (table(&operations, now)) }
        }
    };
    page(&desk, Place::Audit, "Audit", &content)
}

fn table(operations: &[(OperationId, Operation)], now: Timestamp) -> Markup {
    html! {
        table.cards {
            thead { tr {
                th scope="col" { "What" }
                th scope="col" { "Which letters" }
                th scope="col" { "Who" }
                th scope="col" { "When" }
                th.n scope="col" { "Planned" }
                th scope="col" { "Result" }
            } }
            tbody {
                @for (id, operation) in operations {
                    @let began = operation.began.as_ref();
                    tr {
                        td { a.row href={ "/operations/" (id) } {
                            @match began { Some(began) => (began.verb), None => "unknown" } } }
                        td.w { @if let Some(began) = began {
                            (words(&began.which))
                            @if let Some(why) = &began.why { span.sub { (words(why)) } }
                        } }
                        td { @if let Some(began) = began { (words(&began.by)) } }
                        td.t { @if let Some(began) = began { (ago(began.at, now)) } }
                        td.n data-name="planned" { @if let Some(began) = began { (number(began.planned)) } }
                        td { (result(operation)) }
                    }
                }
            }
        }
    }
}

fn result(operation: &Operation) -> Markup {
    html! {
        @match &operation.ended {
            Some(ended) => {
                @if ended.stopped.is_some() { span.badge.stopped { "stopped" } }
                @else if ended.failed > 0 { span.badge.failed { "some failed" } }
                @else { span.badge.done { "done" } }
                span.sub { (number(ended.done)) " done"
                    @if ended.failed > 0 { ", " (number(ended.failed)) " failed" }
                    @if ended.skipped > 0 { ", " (number(ended.skipped)) " left alone" }
                }
            },
            None => { span.badge.stopped { "not ended" } span.sub { (number(operation.resolved)) " done" } },
        }
    }
}
