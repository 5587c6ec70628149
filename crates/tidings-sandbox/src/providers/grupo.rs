//! Grupo: a multipart form to a PHP page, which says everything with status 200 and calls its JSON HTML.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Shape;
use crate::Provider;
use crate::answer::{Answer, HTML};
use crate::call::{Arrival, Call, Refusal, Request};
use crate::received::Part;

const ME: Provider = Provider::Grupo;
const SECRET: &str = "api_secret_key";
const GIF_HOSTS: [&str; 3] = ["tenor.com", "gfycat.com", "giphy.com"];

/// `POST /api_request/`; `parts` is what the form holds, or why it does not read.
pub(crate) fn send(parts: Result<Vec<Part>, String>, arrival: &Arrival) -> Call {
    let mut parts = parts.unwrap_or_else(|wrong| {
        tracing::debug!(wrong, "a form to grupo does not read");
        Vec::new()
    });
    let value = |name: &str| {
        parts
            .iter()
            .find(|part| part.name == name)
            .and_then(|part| part.text.as_deref())
    };
    let text = |name: &str| value(name).filter(|text| !text.is_empty());
    let token = text(SECRET).map(str::to_owned);
    let destination = text("user").or(text("group")).unwrap_or_default().into();
    let problem = wrong(text);
    let swallows = value("gif_url") == Some("");
    for part in &mut parts {
        if part.name == SECRET {
            part.text = None;
        }
        // Seen in the wild: an empty gif_url makes the page forget the file.
        part.swallowed = swallows && part.name == "file_attachments";
    }
    let mut call = Call {
        destination,
        parts: parts.into(),
        ..Call::new(ME, Request::Send, token.as_deref(), arrival)
    };
    if let Some(refusal) = problem {
        call.refuse(refusal);
    }
    call
}

fn wrong<'a>(text: impl Fn(&str) -> Option<&'a str>) -> Option<Refusal> {
    if text("add") != Some("message") {
        // The page knows no such request, and PHP prints its empty result.
        return Some(Refusal {
            why: "add is not message".into(),
            answer: php(&json!([])),
        });
    }
    let missing = [
        (
            text("user").or(text("group")).is_some(),
            "invalid_user",
            "user or group is required",
        ),
        (
            text("sender").is_some(),
            "invalid_sender",
            "sender is required",
        ),
        (
            text("message").is_some(),
            "empty_message",
            "message is required",
        ),
        (
            text("gif_url").is_none_or(is_gif_url),
            "invalid_gif_url",
            "gif_url must be of tenor.com, gfycat.com or giphy.com",
        ),
    ];
    let (_, key, words) = missing.into_iter().find(|(right, ..)| !right)?;
    Some(Refusal {
        why: words.into(),
        answer: failure(key, words),
    })
}

fn is_gif_url(url: &str) -> bool {
    let host = url.split_once("://").map_or("", |(_, rest)| {
        rest.split(['/', '?', '#', ':']).next().unwrap_or_default()
    });
    GIF_HOSTS.iter().any(|gif| {
        host.strip_suffix(gif)
            .is_some_and(|sub| sub.is_empty() || sub.ends_with('.'))
    })
}

/// An error of the application: 200 and `success` false.
pub(crate) fn failure(key: &str, words: &str) -> Answer {
    php(&json!({"success": false, "error_message": words, "error_key": key}))
}

/// An error of the web server in front of it: a page for people.
pub(crate) fn error(status: StatusCode, words: &str) -> Answer {
    let page = format!(
        "<html><head><title>{status}</title></head><body><h1>{status}</h1><p>{words}</p></body></html>\n"
    );
    Answer::html(status, page)
}

/// 200 and `success`; there is no id.
pub(crate) fn accepted(shape: Shape) -> Answer {
    php(&match shape {
        Shape::Page => json!({"success": true}),
        Shape::Other => json!({"success": "true"}),
    })
}

fn php(body: &Value) -> Answer {
    Answer {
        content_type: HTML,
        ..Answer::value(StatusCode::OK, body)
    }
}

#[cfg(test)]
mod tests {
    use super::is_gif_url;

    #[test]
    fn only_the_three_hosts_and_what_is_under_them_have_gifs() {
        for url in [
            "https://tenor.com/a",
            "https://media.giphy.com/x.gif",
            "http://gfycat.com",
        ] {
            assert!(is_gif_url(url), "{url}");
        }
        for url in [
            "https://eviltenor.com/a",
            "tenor.com/a",
            "https://tenor.com.example.org/",
            "https://example.org/?tenor.com",
        ] {
            assert!(!is_gif_url(url), "{url}");
        }
    }
}
