//! WhatsPie: JSON with a bearer token, to WhatsApp groups. Its body has a status of its own.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, de::IgnoredAny};
use tidings_model::{
    Verdict,
    object::{self, Object},
    payload::whatspie::{Params, Text},
};

use crate::{
    answer::Answer,
    id::Id,
    reply::Reply,
    request::{Base, Request},
};

#[derive(Serialize)]
struct Body<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    params: Params<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
}

pub(crate) fn request(base: &Base, text: &Text) -> Request {
    let body = Body {
        message: &text.message,
        kind: text.kind(),
        params: text.params(),
        device: text.device.as_deref(),
    };
    Request::json(base.join(["groups", &text.group_id, "send"]), &body)
}

/// The status of the body, in either envelope.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Envelope {
    status: Option<Status>,
    code: Option<Status>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Status {
    Number(u16),
    Other(IgnoredAny),
}

impl Envelope {
    fn status(&self) -> Option<u16> {
        let number = |status: &Option<Status>| match status {
            Some(Status::Number(number)) => Some(*number),
            Some(Status::Other(IgnoredAny)) | None => None,
        };
        number(&self.status).max(number(&self.code))
    }
}

#[derive(Deserialize)]
struct Accepted<'a> {
    #[serde(borrow)]
    data: Object<Data<'a>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    id: Option<Id>,
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow)]
    failed_reason: Option<&'a serde_json::value::RawValue>,
}

impl Data<'_> {
    fn has_failed(&self) -> bool {
        let status = self.status.as_deref().unwrap_or_default();
        let reason = self.failed_reason.map_or("null", |reason| reason.get());
        ["ERROR", "FAILED"]
            .iter()
            .any(|failed| status.eq_ignore_ascii_case(failed))
            || !matches!(reason, "null" | "\"\"" | "false")
    }
}

pub(crate) fn answer(reply: &Reply) -> Answer {
    let envelope: Envelope = object::read(&reply.body).unwrap_or_default();
    match worse(reply.status, envelope.status()) {
        Some(200..=299) => accepted(reply),
        Some(status) => refused(reply, status),
        None => reply.unreadable("status"),
    }
}

/// The worse of the two statuses; nothing where the outer one is good and the body does not agree.
fn worse(outer: u16, inner: Option<u16>) -> Option<u16> {
    match (outer, inner) {
        (200.., Some(inner @ 200..=599)) => Some(outer.max(inner)),
        (200..=299, _) => None,
        _ => Some(outer),
    }
}

/// Accepted, not delivered to a phone: what follows is not told.
fn accepted(reply: &Reply) -> Answer {
    match object::read::<Accepted<'_>>(&reply.body) {
        Ok(Accepted { data: Object(data) }) if data.has_failed() => reply.judged(Verdict::Rejected),
        Ok(Accepted {
            data: Object(Data { id: Some(id), .. }),
        }) => reply.delivered(Some(id.into())),
        _ => reply.unreadable("id"),
    }
}

fn refused(reply: &Reply, status: u16) -> Answer {
    let words = reply.words();
    let said = words.to_lowercase();
    let offline = [
        "device not connected",
        "device is not connected",
        "device disconnected",
    ];
    let verdict = match status {
        400 if offline.iter().any(|offline| said.contains(offline)) => {
            // WhatsPie did nothing with it, and will do nothing with the next one either.
            return Answer {
                pauses_lane: true,
                ..reply.with_error(Verdict::NotSent, words)
            };
        }
        403 if said.contains("not a member") => Verdict::Rejected,
        403 => Verdict::AccountProblem,
        404 if said.contains("device not found") => Verdict::AccountProblem,
        status => Reply::verdict_of(status),
    };
    reply.with_error(verdict, words)
}

#[cfg(test)]
mod tests;
