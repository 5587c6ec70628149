//! Raven of Ginalne: a message as a user.

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{given, read_json};
use crate::Provider;
use crate::answer::Answer;
use crate::call::{Arrival, Call, Refusal, Request};

const ME: Provider = Provider::Raven;
const MOST_NAME: usize = 255;
const MOST_MESSAGE: usize = 4096;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    username: Option<String>,
    topic: Topic,
    recipient: Vec<Recipient>,
    message: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Topic {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Recipient {
    name: String,
    contact: Vec<Contact>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Contact {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    key: String,
}

/// `POST /message:send`
pub(crate) fn send(arrival: &Arrival) -> Call {
    let mut call = Call::new(ME, Request::Send, arrival.bearer(), arrival);
    match read_json::<Body>(arrival) {
        Err(wrong) => call.refuse(ME.refusal(StatusCode::BAD_REQUEST, wrong)),
        Ok(body) => {
            // The phone that the first contact names.
            call.destination = body
                .recipient
                .first()
                .and_then(|one| one.contact.first())
                .map_or("", |it| &it.key)
                .into();
            if let Some(refusal) = body.not_found().or_else(|| body.wrong()) {
                call.refuse(refusal);
            }
        }
    }
    call
}

impl Body {
    /// What the page answers with 404, though it is validation.
    fn not_found(&self) -> Option<Refusal> {
        let words = if given(self.username.as_deref()).is_none() {
            "User is not found!"
        } else if self.recipient.is_empty() {
            "Recipients must have at least one."
        } else if !["persona", "group", "mass"].contains(&self.topic.kind.as_str()) {
            "Topic Type is invalid!"
        } else {
            return None;
        };
        Some(ME.refusal(StatusCode::NOT_FOUND, words))
    }

    fn wrong(&self) -> Option<Refusal> {
        let many = self.recipient.len() > 1;
        let words = match self.topic.kind.as_str() {
            "persona" if many => {
                Some("Persona Topic-type recipients are only allowed one.".to_owned())
            }
            "group" if many => Some("Group as recipients are only allowed one.".to_owned()),
            _ => self
                .recipient
                .iter()
                .enumerate()
                .find_map(|(a, one)| one.wrong(a)),
        };
        words
            .or_else(|| self.wrong_text())
            .map(|words| ME.refusal(StatusCode::BAD_REQUEST, words))
    }

    fn wrong_text(&self) -> Option<String> {
        match given(self.message.as_deref()) {
            None => Some("message is required".into()),
            Some(message) => longer("message", message, MOST_MESSAGE),
        }
        .or_else(|| {
            longer(
                "topic.name",
                self.topic.name.as_deref().unwrap_or_default(),
                MOST_NAME,
            )
        })
    }
}

impl Recipient {
    fn wrong(&self, a: usize) -> Option<String> {
        if self.contact.is_empty() {
            return Some(format!(
                "The Recipient index {a} must have at least one contact."
            ));
        }
        let contact = |(b, contact): (usize, &Contact)| {
            if contact.kind.is_empty() {
                return Some(format!(
                    "Invalid ContactType at recipient index {a} and contact index {b}."
                ));
            }
            if contact.key.is_empty() {
                return Some(format!(
                    "The contact at recipient index {a} and contact index {b} must have a key."
                ));
            }
            longer("contact.name", &contact.name, MOST_NAME)
        };
        self.contact
            .iter()
            .enumerate()
            .find_map(contact)
            .or_else(|| longer("recipient.name", &self.name, MOST_NAME))
    }
}

fn longer(name: &str, text: &str, most: usize) -> Option<String> {
    let count = text.chars().count();
    (count > most).then(|| format!("{name} has {count} characters, and at most {most} are allowed"))
}

/// The key of the words is on no page.
pub(crate) fn error(status: StatusCode, words: &str) -> Answer {
    Answer::value(status, &json!({"message": words}))
}

/// 200 and the number of the chat.
pub(crate) fn accepted(id: u64) -> Answer {
    Answer::value(
        StatusCode::OK,
        &json!({"data": id, "notification": "Chat Sent Successfully"}),
    )
}
