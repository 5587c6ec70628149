//! Pingup: JSON with a bearer token, to the clients of a business. It keeps delays itself.

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Serialize};
use tidings_model::{
    Verdict,
    object::{self, Object},
    payload::pingup::Text,
};

use crate::{
    answer::Answer,
    id::Id,
    reply::Reply,
    request::{Base, Request},
};

#[derive(Serialize)]
struct Body<'a> {
    message_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_phone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<Cow<'a, str>>,
}

/// `elapsed` is the time since the message was sent to Tidings: the delay counts from there. The business is part of
/// the base already.
pub(crate) fn request(base: &Base, text: &Text, elapsed: Duration) -> Request {
    let body = Body {
        message_type: text.message_type(),
        client: text.client.as_deref(),
        client_phone: text.client_phone.as_deref(),
        client_name: text.client_name.as_deref(),
        text_message: text.text_message.as_deref(),
        delay: text
            .delay
            .as_ref()
            .and_then(|delay| delay.remaining(elapsed)),
    };
    Request::json(base.at("messages"), &body)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    success: Option<bool>,
    data: Option<Object<Data>>,
}

#[derive(Deserialize)]
struct Data {
    message_id: Option<Id>,
}

/// What `success` says, where the answer is Pingup's own and it alone is readable.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Failed {
    success: Option<bool>,
}

pub(crate) fn answer(reply: &Reply) -> Answer {
    if reply.is_success() {
        return accepted(reply);
    }
    if !reply.is_client_error() {
        return reply.judged(reply.by_status());
    }
    let words = reply.words();
    match (reply.status, reply.by_status()) {
        (_, verdict @ (Verdict::RateLimited | Verdict::Unknown)) => {
            reply.with_error(verdict, words)
        }
        (403 | 404, _) if is_about_the_message(reply, &words) => rejected(reply, &words),
        (401 | 403 | 404, _) => reply.with_error(Verdict::AccountProblem, words),
        _ => rejected(reply, &words),
    }
}

fn accepted(reply: &Reply) -> Answer {
    let failed =
        object::read::<Failed>(&reply.body).is_ok_and(|failed| failed.success == Some(false));
    if failed {
        return rejected(reply, &reply.words());
    }
    let said: Said = object::read(&reply.body).unwrap_or_default();
    match (
        said.success,
        said.data.and_then(|Object(data)| data.message_id),
    ) {
        (Some(true), Some(id)) => reply.delivered(Some(id.into())),
        _ => reply.unreadable("success and message_id"),
    }
}

/// Whether a 403 or 404 is about this client or conversation, so that other messages of the account may well pass. Where
/// it names the business, or is not Pingup's own answer, the account's address or rights are wrong.
fn is_about_the_message(reply: &Reply, words: &str) -> bool {
    let failed =
        object::read::<Failed>(&reply.body).is_ok_and(|failed| failed.success == Some(false));
    let words = words.to_lowercase();
    let named = ["conversation", "client"]
        .iter()
        .any(|named| words.contains(named));
    failed && named && !words.contains("business")
}

fn rejected(reply: &Reply, words: &str) -> Answer {
    let hint = "Pingup takes a message only while the conversation with the client is open";
    reply.with_error(Verdict::Rejected, format!("{words} ({hint})"))
}

#[cfg(test)]
mod tests;
