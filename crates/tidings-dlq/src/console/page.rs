//! What pages have in common: their frame, and how times, numbers and other people's words are written.

use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};
use tidings_broker::BrokerError;
use tidings_model::{LetterKey, LetterState, printable};

use super::desk::Desk;
use crate::operator::OperatorError;

/// Which page of the navigation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Letters,
    Audit,
    /// None of them.
    Elsewhere,
}

/// A whole page.
pub(super) fn page(desk: &Desk, place: Place, title: &str, content: &Markup) -> Html<String> {
    let link = |to: Place, path: &str, key: &str, name: &str| {
        let current = (to == place).then_some("page");
        html! { a href=(path) aria-current=[current] aria-keyshortcuts=(key) data-key=(key) { (name) } }
    };
    let body = html! {
        a.skip href="#main" { "Skip to the content" }
        header.top {
            (brand())
            nav aria-label="Pages" {
                (link(Place::Overview, "/", "o", "Overview"))
                (link(Place::Letters, "/letters", "l", "Letters"))
                (link(Place::Audit, "/audit", "a", "Audit"))
            }
            span.place title="the broker" { (words(&desk.place())) }
        }
        main id="main" tabindex="-1" { (content) }
        footer {
            "Keys: " kbd { "o" } " overview, " kbd { "l" } " letters, " kbd { "a" } " audit, " kbd { "/" }
            " filter, " kbd { "j" } " " kbd { "k" } " down and up, " kbd { "Enter" } " open."
        }
    };
    document(title, &body)
}

fn brand() -> Markup {
    html! { a.brand href="/" { "Tidings" span { " dead letters" } } }
}

fn document(title: &str, body: &Markup) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Tidings" }
                link rel="icon" href="/icon.svg";
                link rel="stylesheet" href="/style.css";
                script src="/script.js" defer {}
            }
            body { (body) }
        }
    };
    Html(page.into_string())
}

/// Why there is no page.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    why: String,
}

impl Failure {
    pub(super) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { status, why }
    }

    /// What was asked for cannot be read.
    pub(super) fn asked(why: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }
}

impl From<BrokerError> for Failure {
    fn from(error: BrokerError) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, error.to_string())
    }
}

impl From<OperatorError> for Failure {
    fn from(error: OperatorError) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, error.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = html! {
            header.top { (brand()) }
            main {
                h1 { "That did not work" }
                p.problem role="alert" { (words(&self.why)) }
                p { a href="/" { "To the overview" } }
            }
        };
        (self.status, document("That did not work", &body)).into_response()
    }
}

/// Other people's words: nothing in them acts, and they keep their direction of writing to themselves.
pub(super) fn words(text: &str) -> Markup {
    html! { bdi { (printable(text)) } }
}

/// Several lines of other people's words.
pub(super) fn lines(text: &str) -> Markup {
    html! { @for line in text.split('\n') { bdi { (printable(line)) } "\n" } }
}

/// A number with its thousands apart.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut apart = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart
}

/// `1 letter`, `4,000 letters`.
pub(super) fn letters(count: u64) -> String {
    match count {
        1 => "1 letter".into(),
        count => format!("{} letters", number(count)),
    }
}

/// How long ago, with the moment itself at hand.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> Markup {
    let seconds = now.duration_since(at).as_secs();
    let ago = match seconds {
        ..0 => format!("in {}", span(seconds.unsigned_abs())),
        0 => "just now".into(),
        _ => format!("{} ago", span(seconds.unsigned_abs())),
    };
    html! { time datetime=(at) title=(moment(at)) { (ago) } }
}

/// A length of time in its largest unit.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The day of a moment.
pub(super) fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

pub(super) fn state(state: LetterState) -> Markup {
    let word = state.as_str();
    html! { span class={ "badge " (word) } { (word) } }
}

/// The page of a letter.
pub(super) fn letter_href(key: &LetterKey) -> String {
    match key {
        LetterKey::Message { id, generation: 0 } => format!("/letter?id={id}"),
        LetterKey::Message { id, generation } => format!("/letter?id={id}&generation={generation}"),
        LetterKey::Place { position } => format!("/letter?id=@{position}"),
    }
}

/// How many over time, as bars.
pub(super) fn bars(over_time: &[u64]) -> Markup {
    const HEIGHT: u64 = 22;
    let most = over_time.iter().copied().max().unwrap_or(0).max(1);
    let bar = |count: u64| match count {
        0 => 1,
        count => (count * HEIGHT).div_ceil(most).max(3),
    };
    html! {
        svg.bars width="120" height="22" viewBox="0 0 120 22" aria-hidden="true" {
            @for (place, count) in over_time.iter().enumerate() {
                @let height = bar(*count);
                rect.none[*count == 0] x=(place * 5) y=(HEIGHT - height) width="4" height=(height) rx="1" {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_peoples_words_are_text() {
        let shown = words("<b onclick=x>\u{202e}&amp;").into_string();
        assert_eq!(shown, "<bdi>&lt;b onclick=x&gt;\\u202e&amp;amp;</bdi>");
    }

    #[test]
    fn numbers_and_spans_are_readable() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(number),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [5, 120, 7_200, 200_000].map(span),
            ["5 s", "2 min", "2 h", "2 days"]
        );
    }
}
