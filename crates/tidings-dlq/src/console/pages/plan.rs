use axum::{
    extract::{Query, State},
    response::Html,
};
use jiff::Timestamp;
use maud::{Markup, html};
use tidings_model::{LetterState, Verb};

use super::Pairs;
use crate::{
    Plan, Skip,
    console::{
        asked::Asked,
        desk::Desk,
        page::{Failure, Place, letters, number, page, words},
    },
};

/// What an operation would do, and the form that does it.
pub(in crate::console) async fn plan(
    State(desk): State<Desk>,
    Query(pairs): Query<Pairs>,
) -> Result<Html<String>, Failure> {
    let asked = Asked::new(pairs);
    let verb = verb(asked.get("verb")).map_err(Failure::asked)?;
    let request = asked.request(Timestamp::now(), desk.retention());
    let request = request.map_err(Failure::asked)?;
    let plan = desk.plan(verb, request).await?;
    let title = format!("{} {}?", capital(verb), letters(plan.planned()));
    let content = html! {
        h1 { (title) }
        p.lead { "Nothing has been done yet." }
        div.sheet.padded { (planned(&plan)) }
        @if !plan.skipped.is_empty() {
            h2 { "Left alone" }
            div.sheet.padded { dl.facts { @for (skip, count) in &plan.skipped { dt { (number(*count)) } dd { (why(*skip)) } } } }
        }
        @if verb == Verb::Replay && (plan.maybe_delivered > 0 || plan.skipped.contains_key(&Skip::MaybeDelivered)) {
            (consent(&asked, plan.request.including_unknown))
        }
        @if plan.planned() > 0 { (form(&desk, &plan)) }
    };
    Ok(page(&desk, Place::Elsewhere, &title, &content))
}

pub(super) fn verb(word: Option<&str>) -> Result<Verb, String> {
    match word {
        Some("replay") => Ok(Verb::Replay),
        Some("discard") => Ok(Verb::Discard),
        Some("restore") => Ok(Verb::Restore),
        Some("renew") => Ok(Verb::Renew),
        _ => Err("verb: none of replay, discard, restore, renew".into()),
    }
}

pub(super) fn capital(verb: Verb) -> &'static str {
    match verb {
        Verb::Replay => "Replay",
        Verb::Edit => "Edit",
        Verb::Discard => "Discard",
        Verb::Restore => "Restore",
        Verb::Renew => "Renew",
    }
}

fn planned(plan: &Plan) -> Markup {
    html! {
        dl.facts {
            dt { "Which" } dd { (words(&plan.request.to_string())) }
            @if plan.planned() > 0 {
                dt { "Accounts" }
                dd { @for (account, count) in &plan.accounts {
                    div { @match account { Some(account) => (account), None => "unknown" } " · " (number(*count)) }
                } }
                dt { "Reasons" }
                dd { @for (reason, count) in &plan.reasons { div { (reason) " · " (number(*count)) } } }
                dt { "May have been delivered" } dd { (number(plan.maybe_delivered)) }
            }
        }
    }
}

fn why(skip: Skip) -> Markup {
    html! {
        @match skip {
            Skip::MaybeDelivered => "may have been delivered already",
            Skip::Expired => { "have expired: " code { "tidings-dlq edit" } " sends a new message" },
            Skip::Undecodable => { "have a body that is no message: " code { "tidings-dlq edit" } " sends a new one" },
            Skip::Superseded => "were replayed, and that replay died as well: its letter is the one to act on",
            Skip::State(LetterState::Replayed) => "were sent again",
            Skip::State(state) => { "are " (state) },
            Skip::Claimed(operation) => {
                "are claimed by " a href={ "/operations/" (operation) } { "an operation" } " that has not ended"
            },
        }
    }
}

fn consent(asked: &Asked, given: bool) -> Markup {
    let href = |value| asked.with("including-unknown", value).href("/plan");
    html! {
        p.notice {
            @if given {
                "Letters that may have been delivered are included: some people may get a second copy. "
                "GroupMe is asked first, so that it gets none. " a href=(href(None)) { "Leave them alone" }
            } @else {
                "Letters that may have been delivered are left alone. " a href=(href(Some("yes"))) { "Include them" }
            }
        }
    }
}

fn form(desk: &Desk, plan: &Plan) -> Markup {
    // Plain data with string keys: writing it as text cannot fail.
    let request = serde_json::to_string(&plan.request).unwrap_or_default();
    html! {
        form.sheet.padded action="/operations" method="post" {
            input type="hidden" name="token" value=(desk.guard().token());
            input type="hidden" name="verb" value=(plan.verb);
            input type="hidden" name="request" value=(request);
            @match plan.verb {
                Verb::Replay => div.filters {
                    label title="The rest follows once these were delivered." { "Canary: so many go first"
                        input name="canary" type="number" min="1" value=[(plan.planned() > 10).then_some("5")]; }
                    label { "Rate" input name="rate" placeholder="20/s" title="The lanes have limits of their own."; }
                    label { "Stop after so many failures" input name="stop-after-failures" type="number" min="1" value="10"; }
                },
                Verb::Discard => label { "Why (for the audit)" input name="why" required maxlength="500"; },
                _ => {},
            }
            div.actions {
                button.main { (capital(plan.verb)) " " (letters(plan.planned())) }
                a.button href="/letters" { "Cancel" }
            }
        }
    }
}
