use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::Html,
};
use jiff::Timestamp;
use maud::{Markup, html};
use tidings_model::{
    Attempt, LetterKey, LetterMessage, LetterState, Message, MessageId, OperationId,
};

use super::Pairs;
use crate::{
    Letter, Name, Register, Retention, advice,
    console::{
        asked::Asked,
        desk::Desk,
        page::{Failure, Place, ago, day, letter_href, lines, moment, page, state, words},
    },
};

/// As much of a body that is no message as is shown, in bytes.
const BODY: usize = 64 * 1024;

/// Who did what about a letter last.
struct Done {
    operation: OperationId,
    by: String,
    at: Option<Timestamp>,
    why: Option<String>,
    new_id: Option<MessageId>,
}

/// One letter: what was sent, what was tried, and what usually helps.
pub(in crate::console) async fn letter(
    State(desk): State<Desk>,
    Query(pairs): Query<Pairs>,
) -> Result<Html<String>, Failure> {
    let asked = Asked::new(pairs);
    let key = key(&asked).map_err(Failure::asked)?;
    let letter = desk.letter(&key).await?;
    let letter = letter.ok_or_else(|| {
        Failure::new(
            StatusCode::NOT_FOUND,
            format!("There is no dead letter of {key}, or it is no longer kept."),
        )
    })?;
    let done = desk.look(|seen| done(&seen.register, &key)).await;
    let again = desk
        .look(|seen| again(&key).filter(|again| seen.index.letter(again).is_some()))
        .await;
    let now = Timestamp::now();
    let content = html! {
        h1 { (key) }
        p.lead { (state(letter.letter.state))
            @if letter.letter.maybe_delivered { " " span.badge.maybe { "maybe delivered" } }
            " died " (ago(letter.letter.dead_at, now))
        }
        @if let Some(done) = &done { (what_was_done(done, letter.letter.state, now)) }
        @if let Some(again) = &again {
            p.notice { "Its replay died as well: " a href=(letter_href(again)) { (again) } }
        }
        (ending(&letter, &key, desk.retention(), now))
        (advised(&letter))
        (actions(&key, letter.letter.state))
        h2 { "Message" }
        div.sheet.padded { (about(&letter, now)) }
        h2 { "Attempts" }
        div.sheet.padded { (attempts(&letter.letter.attempts)) }
        h2 { (if matches!(letter.letter.message, LetterMessage::Whole(_)) { "Payload" } else { "Body" }) }
        div.sheet.padded { (body(&letter)) }
    };
    Ok(page(&desk, Place::Elsewhere, &key.to_string(), &content))
}

fn key(asked: &Asked) -> Result<LetterKey, String> {
    let generation = asked.value("generation")?.unwrap_or(0);
    match asked.value("id")? {
        Some(Name::Message(id)) => Ok(LetterKey::Message { id, generation }),
        Some(Name::Place(position)) => Ok(LetterKey::Place { position }),
        None => Err("id: which letter?".into()),
    }
}

fn done(register: &Register, key: &LetterKey) -> Option<Done> {
    let standing = register.standing(key)?;
    let operation = standing.resolved_by?;
    let began = register
        .operation(operation)
        .and_then(|known| known.began.as_ref());
    Some(Done {
        operation,
        by: began.map_or("somebody".into(), |began| began.by.clone()),
        at: began.map(|began| began.at),
        why: began.and_then(|began| began.why.clone()),
        new_id: standing.new_id.clone(),
    })
}

fn again(key: &LetterKey) -> Option<LetterKey> {
    match key {
        LetterKey::Message { id, generation } => Some(LetterKey::Message {
            id: id.clone(),
            generation: generation.checked_add(1)?,
        }),
        LetterKey::Place { .. } => None,
    }
}

fn what_was_done(done: &Done, now_is: LetterState, now: Timestamp) -> Markup {
    let what = match now_is {
        LetterState::Open => "Opened again",
        LetterState::Replayed => "Sent again",
        LetterState::Edited => "Sent as a mended message",
        LetterState::Discarded => "Discarded",
    };
    html! {
        p { (what) " by " (words(&done.by))
            @if let Some(at) = done.at { " " (ago(at, now)) }
            @if let Some(why) = &done.why { ": “" (words(why)) "”" }
            @if let Some(id) = &done.new_id { ", as " code { (id) } }
            ". " a href={ "/operations/" (done.operation) } { "The operation" }
        }
    }
}

/// The stream forgets what is too old.
fn ending(letter: &Letter, key: &LetterKey, retention: Retention, now: Timestamp) -> Markup {
    let open = letter.letter.state == LetterState::Open;
    let near = open && letter.written_at < retention.near(now);
    html! {
        @if near {
            p.notice { "It is kept until " (day(retention.end(letter.written_at))) ". "
                a href={ "/plan?verb=renew&id=" (Name::from(key)) } { "Keep it longer" } }
        }
    }
}

fn advised(letter: &Letter) -> Markup {
    let reason = letter.letter.reason;
    html! {
        div.sheet.padded.advice {
            p { strong { (reason) } ": " (advice::meaning(reason)) "." }
            p { "What usually helps: " (advice::what_helps(reason)) "." }
        }
    }
}

fn actions(key: &LetterKey, now_is: LetterState) -> Markup {
    let id = Name::from(key);
    let link = |verb: &str, class: &str, words: &str| {
        let state = now_is.as_str();
        let href = format!("/plan?verb={verb}&id={id}&state={state}");
        html! { a class={ "button " (class) } href=(href) { (words) } }
    };
    html! {
        div.actions {
            @match now_is {
                LetterState::Open => {
                    (link("replay", "main", "Replay…"))
                    (link("discard", "", "Discard…"))
                    span.quiet.right { "To mend it: " code { "tidings-dlq edit " (id) } }
                }
                LetterState::Discarded | LetterState::Edited => (link("restore", "main", "Restore…")),
                LetterState::Replayed => {},
            }
        }
    }
}

fn about(letter: &Letter, now: Timestamp) -> Markup {
    let message = &letter.letter.message;
    html! {
        dl.facts {
            dt { "Account" }
            dd { @match message.account() { Some(account) => (account), None => "unknown" } }
            @if let LetterMessage::Whole(message) = message {
                dt { "To" } dd { (words(message.payload.destination())) }
                dt { "Sent" } dd { (moment(message.enqueued_at)) }
                @if message.due() > message.enqueued_at { dt { "Due" } dd { (moment(message.due())) } }
                @if let Some(expires) = message.expires() {
                    dt { "Expires" } dd { (moment(expires)) @if expires <= now { ": it is not replayed without an edit" } }
                }
                @for (key, value) in &message.metadata { dt { (words(key)) } dd { (words(value)) } }
            }
            dt { "Died" } dd { (moment(letter.letter.dead_at)) }
            @if letter.letter.generation > 0 { dt { "Replay" } dd { (letter.letter.generation) } }
        }
    }
}

fn attempts(attempts: &[Attempt]) -> Markup {
    if attempts.is_empty() {
        return html! { p.quiet { "None was made." } };
    }
    html! {
        ol.timeline {
            @for attempt in attempts {
                li {
                    span.when { (moment(attempt.at)) " · " (attempt.took_ms) " ms · " (words(attempt.worker.as_str())) }
                    div {
                        span class={ "badge " (attempt.verdict) } { (attempt.verdict) } " "
                        @match attempt.status { Some(status) => { "HTTP " (status) }, None => "no answer" }
                    }
                    @if let Some(error) = &attempt.error { div.said { (words(error)) } }
                }
            }
        }
    }
}

fn body(letter: &Letter) -> Markup {
    if let LetterMessage::Whole(message) = &letter.letter.message {
        // Plain data with string keys: writing it as text cannot fail.
        let json = serde_json::to_string_pretty(&message.payload).unwrap_or_default();
        return html! { pre tabindex="0" aria-label="payload" { (lines(&json)) } };
    }
    let why = Message::decode(&letter.body)
        .err()
        .map(|error| error.to_string());
    let shown = &letter.body[..letter.body.len().min(BODY)];
    html! {
        p { (letter.body.len()) " bytes. " @if let Some(why) = &why { (words(why)) } }
        pre tabindex="0" aria-label="body" { (lines(&String::from_utf8_lossy(shown))) }
        @if letter.body.len() > BODY { p.quiet { "The first " (BODY) " bytes." } }
    }
}
