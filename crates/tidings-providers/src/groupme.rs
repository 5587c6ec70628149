//! GroupMe: JSON with a token in a header, to groups. It knows duplicates by their `source_guid`, and has an index in
//! which an unknown outcome can be looked up.

pub(crate) mod index;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use tidings_model::{
    Message, Verdict,
    object::{self, Object},
    payload::groupme::{Attachment, Text},
};

use crate::{
    answer::{Answer, Check},
    id::Id,
    reply::Reply,
    request::{Base, Request},
};

/// The header of the token. In the URL, where GroupMe's page has it, it would end up in logs.
pub(crate) const TOKEN: &str = "x-access-token";

#[derive(Serialize)]
struct Body<'a> {
    message: Posting<'a>,
}

#[derive(Serialize)]
struct Posting<'a> {
    source_guid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    attachments: &'a [Attachment],
}

pub(crate) fn request(base: &Base, message: &Message, text: &Text) -> Request {
    let posting = Posting {
        source_guid: message.source_guid(),
        text: text.text.as_deref(),
        attachments: &text.attachments,
    };
    Request::json(
        base.join(["groups", &text.group_id, "messages"]),
        &Body { message: posting },
    )
}

/// The harmless call that tells whether a token works.
pub(crate) fn who_am_i(base: &Base) -> Request {
    Request::bare(Method::GET, base.at("users/me"))
}

pub(crate) fn delete(base: &Base, group: &str, message_id: &str) -> Request {
    Request::bare(
        Method::DELETE,
        base.join(["conversations", group, "messages", message_id]),
    )
}

/// The page shows the message bare, clients see it in an envelope.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Sent {
    response: Option<Object<Enveloped>>,
    message: Option<Object<Posted>>,
}

#[derive(Deserialize)]
struct Enveloped {
    message: Option<Object<Posted>>,
}

#[derive(Deserialize)]
struct Posted {
    id: Id,
}

pub(crate) fn answer(reply: &Reply) -> Answer {
    match reply.status {
        201 => {
            let sent: Sent = object::read(&reply.body).unwrap_or_default();
            let posted = sent
                .response
                .and_then(|Object(response)| response.message)
                .or(sent.message);
            match posted {
                Some(Object(posted)) => reply.delivered(Some(posted.id.into())),
                None => reply.unreadable("message id"),
            }
        }
        409 => reply.judged(Verdict::Duplicate),
        420 => reply.judged(Verdict::RateLimited),
        403 if is_banned(&reply.words()) => reply.judged(Verdict::AccountProblem),
        _ => reply.judged(reply.by_status()),
    }
}

/// Whether the words of a 403 are about the account's limits or a ban, and not about this group.
fn is_banned(words: &str) -> bool {
    const BANS: [&str; 10] = [
        "ban",
        "banned",
        "autoban",
        "autobanned",
        "limit",
        "limits",
        "limited",
        "suspended",
        "spam",
        "abuse",
    ];
    let words = words.to_lowercase();
    let mut words = words.split(|c: char| !c.is_alphanumeric());
    words.any(|word| BANS.contains(&word))
}

/// What a 401 meant, now that the token was tried: GroupMe says 401 to "not your group" too. Only where the token is
/// known to work is the message at fault; in doubt the account pauses, which burns no message.
pub(crate) fn confirmed(unauthorized: Answer, token: &Check) -> Answer {
    match token {
        Check::Works => Answer {
            verdict: Verdict::Rejected,
            pauses_lane: false,
            ..unauthorized
        },
        _ => unauthorized,
    }
}

/// What the answer to [`who_am_i`] tells of the token.
pub(crate) fn check(reply: &Reply) -> Check {
    match reply.status {
        200 => Check::Works,
        401 | 403 => Check::Refused(reply.words()),
        _ => Check::CannotTell(reply.words()),
    }
}

#[cfg(test)]
mod tests;
