use std::collections::HashSet;

use axum::{
    extract::{Query, State},
    response::Html,
};
use jiff::Timestamp;
use maud::{Markup, html};
use tidings_model::{Account, LetterKey, LetterState, Provider, Reason, Verdict};

use super::Pairs;
use crate::{
    Filter, Indexed,
    console::{
        asked::Asked,
        desk::Desk,
        page::{Failure, Place, ago, day, letter_href, letters as counted, page, state, words},
    },
};

/// As many letters as a page has.
const PAGE: usize = 50;

/// One letter of the list.
struct Row {
    key: LetterKey,
    account: Option<Account>,
    reason: Reason,
    signature: String,
    dead_at: Timestamp,
    state: LetterState,
    maybe_delivered: bool,
    /// Until when it is kept, where that is near.
    ends: Option<Timestamp>,
}

/// The letters that a filter lets through, the newest first.
pub(in crate::console) async fn letters(
    State(desk): State<Desk>,
    Query(pairs): Query<Pairs>,
) -> Result<Html<String>, Failure> {
    let (asked, now) = (Asked::new(pairs), Timestamp::now());
    let number: usize = asked
        .value("page")
        .map_err(Failure::asked)?
        .unwrap_or(1)
        .max(1);
    let filter = asked.filter(now).map_err(Failure::asked)?;
    let (count, rows) = rows(&desk, &filter, number, now).await?;
    let accounts = desk
        .look(|seen| seen.index.accounts().cloned().collect::<Vec<_>>())
        .await;
    let asked = asked.with("page", None);
    let content = html! {
        h1 { (counted(count as u64)) }
        (filters(&asked, &accounts))
        @if count > 0 { (actions(&asked, count as u64)) }
        div.sheet { (table(&rows, now)) }
        (pages(&asked, number, count.div_ceil(PAGE)))
    };
    Ok(page(&desk, Place::Letters, "Letters", &content))
}

async fn rows(
    desk: &Desk,
    filter: &Filter,
    number: usize,
    now: Timestamp,
) -> Result<(usize, Vec<Row>), Failure> {
    let holding: Option<HashSet<LetterKey>> = match filter.asks_content() {
        true => Some(desk.holding(filter.clone()).await?.into_iter().collect()),
        false => None,
    };
    let found = desk.look(|seen| {
        let holds = |letter: &Indexed<'_>| {
            let holding = holding.as_ref();
            holding.is_none_or(|holding| holding.contains(&letter.key))
        };
        let found = || seen.index.letters(filter).filter(holds);
        let page = found()
            .rev()
            .skip((number - 1).saturating_mul(PAGE))
            .take(PAGE);
        let row = |letter: Indexed<'_>| {
            let ends = seen.ends(&letter, desk.retention(), now);
            Row::of(letter, ends)
        };
        (found().count(), page.map(row).collect())
    });
    Ok(found.await)
}

impl Row {
    fn of(letter: Indexed<'_>, ends: Option<Timestamp>) -> Self {
        Self {
            key: letter.key,
            account: letter.member.account.cloned(),
            reason: letter.member.reason,
            signature: letter.member.signature.to_owned(),
            dead_at: letter.member.dead_at,
            state: letter.state,
            maybe_delivered: letter.member.maybe_delivered,
            ends,
        }
    }
}

fn filters(asked: &Asked, accounts: &[Account]) -> Markup {
    let text = |name: &'static str, label: &str, hint: &str| {
        html! { label { (label) input name=(name) value=[asked.get(name)] placeholder=(hint) autocomplete="off"; } }
    };
    let choice = |name: &'static str, label: &str, values: &[&str], none: Option<&str>| {
        let chosen = asked.get(name).or(none.is_none().then_some(values[0]));
        html! {
            label { (label)
                select name=(name) {
                    @if let Some(none) = none { option value="" { (none) } }
                    @for value in values { option value=(value) selected[chosen == Some(*value)] { (value) } }
                }
            }
        }
    };
    let rarely = [
        "provider", "verdict", "status", "until", "error", "where", "id",
    ];
    let more = rarely.iter().any(|name| asked.get(name).is_some());
    let accounts: Vec<_> = accounts.iter().map(Account::as_str).collect();
    let states = ["open", "replayed", "edited", "discarded", "all"];
    html! {
        form.filters.sheet.padded action="/letters" method="get" role="search" {
            label { "Text in the payload"
                input name="text" value=[asked.get("text")] data-filter autocomplete="off"; }
            (choice("account", "Account", &accounts, Some("any")))
            (choice("reason", "Reason", &Reason::ALL.map(Reason::as_str), Some("any")))
            (choice("state", "State", &states, None))
            (text("since", "Dead since", "2h, or a time"))
            button.main { "Filter" }
            @if let Some(signature) = asked.get("signature") {
                input type="hidden" name="signature" value=(signature);
                div { span.chip { span { "Error: " (words(signature)) }
                    a href=(asked.with("signature", None).href("/letters")) aria-label="any error" { "✕" } } }
            }
            details.more open[more] {
                summary { "More" }
                div {
                    (text("error", "Words of the error", ""))
                    (text("status", "HTTP status", "404"))
                    (choice("verdict", "Verdict of the last attempt", &Verdict::ALL.map(Verdict::as_str), Some("any")))
                    (choice("provider", "Provider", &Provider::ALL.map(Provider::as_str), Some("any")))
                    (text("until", "Dead before", "30m, or a time"))
                    (text("where", "Metadata", "order=42"))
                    (text("id", "Id", ""))
                }
            }
        }
    }
}

/// Everything here is for all letters of the filter, not only for those on the screen.
fn actions(asked: &Asked, count: u64) -> Markup {
    let link = |verb: &str, class: &str, words: &str| {
        let href = asked.with("verb", Some(verb)).href("/plan");
        html! { a class={ "button " (class) } href=(href) { (words) } }
    };
    let all = match count {
        1 => "it".into(),
        count => format!("all {}", super::super::page::number(count)),
    };
    html! {
        div.actions {
            @match asked.get("state").unwrap_or("open") {
                "open" => {
                    (link("replay", "main", &format!("Replay {all}…")))
                    (link("discard", "", "Discard…"))
                    (link("renew", "", "Renew…"))
                }
                "discarded" | "edited" => (link("restore", "main", &format!("Restore {all}…"))),
                _ => span.quiet { "Choose a state to act on letters." },
            }
        }
    }
}

fn table(rows: &[Row], now: Timestamp) -> Markup {
    if rows.is_empty() {
        return html! { p.empty { "No letter is like that." } };
    }
    html! {
        table.cards {
            thead { tr {
                th scope="col" { "Message" }
                th scope="col" { "Account" }
                th scope="col" { "Reason and error" }
                th scope="col" { "State" }
                th scope="col" { "Died" }
            } }
            tbody {
                @for row in rows {
                    tr {
                        td.id { a.row href=(letter_href(&row.key)) { (row.key) } }
                        td { @match &row.account { Some(account) => (account), None => span.quiet { "unknown" } } }
                        td.w { (row.reason) span.sub { (words(&row.signature)) } }
                        td { (state(row.state)) @if row.maybe_delivered { " " span.badge.maybe { "maybe delivered" } } }
                        td.t { (ago(row.dead_at, now))
                            @if let Some(ends) = row.ends { " " span.badge.maybe { "kept until " (day(ends)) } } }
                    }
                }
            }
        }
    }
}

fn pages(asked: &Asked, number: usize, last: usize) -> Markup {
    let link = |to: usize, name: &str| {
        let href = asked.with("page", Some(&to.to_string())).href("/letters");
        html! { a.button href=(href) { (name) } }
    };
    html! {
        @if last > 1 {
            nav.actions aria-label="More letters" {
                @if number > 1 { (link(number - 1, "Newer")) }
                span.quiet { "Page " (number) " of " (last) }
                @if number < last { (link(number + 1, "Older")) }
            }
        }
    }
}
