use axum::{extract::State, response::Html};
use jiff::Timestamp;
use maud::{Markup, html};
use tidings_model::LetterState;

use crate::{
    Filter, Group, Groups,
    console::{
        asked::Asked,
        desk::Desk,
        fleet::Lane,
        page::{Place, ago, bars, day, letters, number, page, words},
    },
};

/// As many groups as are shown at once.
const SHOWN: usize = 100;

/// What is wrong, at a glance.
pub(in crate::console) async fn overview(State(desk): State<Desk>) -> Html<String> {
    let open = Filter {
        states: vec![LetterState::Open],
        ..Filter::default()
    };
    let (lanes, now) = (desk.lanes(), Timestamp::now());
    let look = desk.look(|seen| {
        let letters = || seen.index.letters(&open);
        let groups: Groups<'_> = letters().map(|letter| letter.member).collect();
        let ends = letters().filter_map(|letter| seen.ends(&letter, desk.retention(), now));
        (groups.list(), ends.collect::<Vec<_>>())
    });
    let (groups, ends) = look.await;
    let content = html! {
        (headline(&groups, now))
        @if let Some(first) = ends.iter().min() { (ending(ends.len() as u64, *first)) }
        h2 id="groups" { "What they died of" }
        div.sheet { (table(&groups, now)) }
        h2 id="lanes" { "Lanes" }
        div.sheet { (fleet(&lanes, now)) }
    };
    page(&desk, Place::Overview, "Overview", &content)
}

fn headline(groups: &[Group], now: Timestamp) -> Markup {
    let count = |of: fn(&Group) -> u64| groups.iter().map(of).sum::<u64>();
    let (open, maybe) = (
        count(|group| group.count),
        count(|group| group.maybe_delivered),
    );
    let last = groups.iter().map(|group| group.last_seen).max();
    html! {
        @if let Some(last) = last {
            h1 { (letters(open)) @if open == 1 { " is open" } @else { " are open" } }
            p.lead {
                "The last one died " (ago(last, now)) ". "
                @if maybe > 0 {
                    strong { (number(maybe)) " of them may have been delivered all the same." }
                } @else { "None of them may have been delivered." }
            }
        } @else {
            h1 { "No letter is open" }
            p.lead { "Everything that was sent is delivered, on its way, or dealt with." }
        }
    }
}

/// The stream forgets what is too old.
fn ending(near: u64, first: Timestamp) -> Markup {
    html! {
        p.notice {
            (letters(near)) " will be forgotten soon, the first on " (day(first)) ". "
            a href="/plan?verb=renew&near=yes" { "Keep them longer" }
        }
    }
}

fn table(groups: &[Group], now: Timestamp) -> Markup {
    if groups.is_empty() {
        return html! { p.empty { "Nothing died." } };
    }
    html! {
        table.cards aria-labelledby="groups" {
            thead { tr {
                th.n scope="col" { "Letters" }
                th scope="col" { "Account" }
                th scope="col" { "Reason and error" }
                th scope="col" { "Over time" }
                th scope="col" { "First" }
                th scope="col" { "Last" }
            } }
            tbody {
                @for group in groups.iter().take(SHOWN) {
                    tr {
                        td.n.count {
                            a.row.many href=(href(group)) aria-label=(label(group)) { (number(group.count)) }
                        }
                        td { @match &group.account { Some(account) => (account), None => span.quiet { "unknown" } } }
                        td.w {
                            (group.reason)
                            @if group.maybe_delivered > 0 { " " span.badge.maybe { (number(group.maybe_delivered)) " maybe delivered" } }
                            span.sub { (words(&group.signature)) }
                        }
                        td { (bars(&group.over_time)) }
                        td.t data-name="first" { (ago(group.first_seen, now)) }
                        td.t data-name="last" { (ago(group.last_seen, now)) }
                    }
                }
            }
        }
        @if groups.len() > SHOWN {
            p.empty { "and " (number((groups.len() - SHOWN) as u64)) " smaller groups: " code { "tidings-dlq groups" } " has them all" }
        }
    }
}

fn label(group: &Group) -> String {
    let account = group
        .account
        .as_ref()
        .map_or("unknown", |account| account.as_str());
    format!("{} of {account}, {}", letters(group.count), group.reason)
}

fn href(group: &Group) -> String {
    let account = group.account.as_ref().map(ToString::to_string);
    Asked::default()
        .with("account", account.as_deref())
        .with("reason", Some(group.reason.as_str()))
        .with(
            "signature",
            Some(&group.signature)
                .filter(|text| !text.is_empty())
                .map(String::as_str),
        )
        .href("/letters")
}

fn fleet(lanes: &[Lane], now: Timestamp) -> Markup {
    if lanes.is_empty() {
        return html! { p.empty { "No worker has announced itself in the last seconds: is " code { "tidings-worker" } " running?" } };
    }
    html! {
        table.cards aria-labelledby="lanes" {
            thead { tr {
                th scope="col" { "Account" }
                th scope="col" { "State" }
                th.n scope="col" { "Waiting" }
                th.n scope="col" { "In flight" }
                th.n scope="col" { "Rate" }
                th scope="col" { "Owner" }
            } }
            tbody {
                @for lane in lanes {
                    @let report = lane.report.as_ref();
                    tr {
                        td { (lane.account) }
                        td.w {
                            span class={ "badge " (lane.state()) } { (lane.state()) }
                            @if let Some(why) = report.and_then(|report| report.why.as_deref()) {
                                span.sub { (words(why))
                                    @if let Some(until) = lane.paused_until() { ", tried again " (ago(until, now)) }
                                }
                            }
                        }
                        td.n data-name="waiting" { (report.and_then(|report| report.ready).map_or("–".into(), number)) }
                        td.n data-name="in flight" { (report.map_or("–".into(), |report| report.in_flight.to_string())) }
                        td.n data-name="rate" { (report.map_or("–".into(), |report| report.rate.to_string())) }
                        td.id { @if let Some(owner) = report.and_then(|report| report.owner.as_ref()) { (words(owner.as_str())) } @else { "–" } }
                    }
                }
            }
        }
    }
}
