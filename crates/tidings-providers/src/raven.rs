//! Raven, by Ginalne: JSON with a bearer token. Its 404s are about what the message says, not about the address.

use serde::Deserialize;
use tidings_model::{object, payload::raven::Text};

use crate::{
    answer::Answer,
    reply::Reply,
    request::{Base, Request},
};

pub(crate) fn request(base: &Base, text: &Text) -> Request {
    Request::json(base.at("message:send"), text)
}

#[derive(Deserialize)]
struct Sent {
    /// The chat's id.
    data: serde_json::Number,
}

pub(crate) fn answer(reply: &Reply) -> Answer {
    if !reply.is_success() {
        return reply.judged(reply.by_status());
    }
    match object::read::<Sent>(&reply.body) {
        Ok(sent) => reply.delivered(Some(sent.data.to_string())),
        Err(_) => reply.unreadable("numeric data"),
    }
}

#[cfg(test)]
mod tests;
