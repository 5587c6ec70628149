//! Grupo: a form to a PHP page, which says everything with status 200.

use std::borrow::Cow;

use reqwest::{
    Body,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
    multipart::{Form, Part},
};
use serde::{Deserialize, de::IgnoredAny};
use tidings_model::{
    Verdict, object,
    payload::grupo::{File, Text},
};

use crate::{
    answer::Answer,
    reply::{End, Reply},
    request::{Base, Request},
};

pub(crate) fn request(base: &Base, secret: &str, text: &Text) -> Request {
    // PHP knows no encoded names: they are written as they are.
    let mut form = Form::new()
        .percent_encode_noop()
        .text("api_secret_key", secret.to_owned())
        .text("add", "message");
    if let Some(user) = &text.user {
        form = form.text("user", user.clone());
    }
    if let Some(group) = &text.group {
        form = form.text("group", group.clone());
    }
    form = form
        .text("sender", text.sender.clone())
        .text("message", escaped(&text.message).into_owned());
    // An empty one would make the page forget the file.
    if let Some(gif_url) = &text.gif_url {
        form = form.text("gif_url", gif_url.clone());
    }
    // Of several fields with one name PHP keeps the last, unless the name ends in brackets.
    let field = if text.file_attachments.len() > 1 {
        "file_attachments[]"
    } else {
        "file_attachments"
    };
    for file in &text.file_attachments {
        form = form.part(field, part(file));
    }
    Request::form(base.at("api_request/"), form)
}

/// Grupo takes a message for HTML.
fn escaped(message: &str) -> Cow<'_, str> {
    if !message.contains(['&', '<', '>']) {
        return message.into();
    }
    message
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .into()
}

fn part(file: &File) -> Part {
    let size = file.data.len() as u64;
    let part =
        Part::stream_with_length(Body::from(file.data.clone()), size).file_name(file.name.clone());
    // As it was given: a type that the model takes but MIME does not is the site's to judge.
    match HeaderValue::from_str(&file.content_type) {
        Ok(content_type) => part.headers(HeaderMap::from_iter([(CONTENT_TYPE, content_type)])),
        Err(_) => part,
    }
}

/// What Grupo says of a message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said<'a> {
    success: Option<Truth>,
    #[serde(borrow)]
    error_key: Option<Cow<'a, str>>,
    alert: Option<IgnoredAny>,
    refresh: Option<Truth>,
}

/// PHP's ways to write a truth.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Truth {
    Bool(bool),
    Number(u64),
    Text(String),
    Other(IgnoredAny),
}

impl Truth {
    fn is_true(&self) -> bool {
        match self {
            Self::Bool(truth) => *truth,
            Self::Number(number) => *number == 1,
            Self::Text(text) => text == "true",
            Self::Other(_) => false,
        }
    }

    fn is_false(&self) -> bool {
        match self {
            Self::Bool(truth) => !truth,
            Self::Number(number) => *number == 0,
            Self::Text(text) => text == "false",
            Self::Other(_) => false,
        }
    }
}

pub(crate) fn answer(reply: &Reply) -> Answer {
    // Every answer of the application is a 200: another status comes from what stands in front of it.
    if reply.status != 200 {
        return reply.judged(reply.by_status());
    }
    let body = reply.body.trim_ascii();
    if body.is_empty() && reply.end == End::Whole {
        let words = "an empty answer: the site does not take the API secret key, or its API is off";
        return reply.with_error(Verdict::AccountProblem, words.into());
    }
    if body == b"[]" {
        return reply.judged(Verdict::Rejected);
    }
    let Some((json, said)) = said(body) else {
        return reply.unreadable("success");
    };
    match said.verdict() {
        Some(Verdict::Delivered) => reply.delivered(None),
        Some(verdict) => reply.with_error(verdict, crate::words::words(json)),
        None => reply.unreadable("success"),
    }
}

/// The JSON that a body ends in, and what it says. A site that shows its PHP warnings writes them before the JSON, with
/// every answer: taken for unreadable, each message would be sent again and again.
fn said(body: &[u8]) -> Option<(&[u8], Said<'_>)> {
    let starts = body.iter().enumerate().filter(|(_, byte)| **byte == b'{');
    let mut ends = starts.map(|(start, _)| &body[start..]);
    ends.find_map(|json| Some((json, object::read(json).ok()?)))
}

impl Said<'_> {
    fn verdict(&self) -> Option<Verdict> {
        if self.success.as_ref().is_some_and(Truth::is_true) {
            return Some(Verdict::Delivered);
        }
        let failed = self.success.as_ref().is_some_and(Truth::is_false);
        match self.error_key.as_deref() {
            Some("invalid_api_secret_key") => Some(Verdict::AccountProblem),
            Some("something_went_wrong") if !failed => Some(Verdict::Unknown),
            Some(_) => Some(Verdict::Rejected),
            None if failed || self.alert.is_some() => Some(Verdict::Rejected),
            None => self
                .refresh
                .as_ref()
                .filter(|refresh| refresh.is_true())
                .map(|_| Verdict::Rejected),
        }
    }
}

#[cfg(test)]
mod tests;
