//! GroupMe: send, index, delete and whose token this is.

use axum::extract::Query;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Shape, given, read_json};
use crate::Provider;
use crate::answer::Answer;
use crate::call::{Arrival, Call, From, Page, Request};
use crate::number;

const ME: Provider = Provider::GroupMe;
const MOST_TEXT: usize = 1000;

#[derive(Debug, Default, Deserialize)]
struct Parameters {
    token: Option<String>,
    limit: Option<String>,
    before_id: Option<String>,
    since_id: Option<String>,
    after_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    message: Option<Draft<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct Draft<'a> {
    source_guid: Option<String>,
    text: Option<String>,
    #[serde(borrow)]
    attachments: Option<&'a RawValue>,
}

/// `POST /groups/{group}/messages`
pub(crate) fn send(group: &str, arrival: &Arrival) -> Call {
    let mut call = call(Request::Send, group, arrival, &parameters(arrival));
    match read_json::<Body<'_>>(arrival) {
        Err(wrong) => call.refuse(ME.refusal(StatusCode::BAD_REQUEST, wrong)),
        Ok(Body { message: None }) => {
            call.refuse(ME.refusal(StatusCode::BAD_REQUEST, "message is required"));
        }
        Ok(Body {
            message: Some(draft),
        }) => {
            if let Some(wrong) = draft.wrong() {
                call.refuse(ME.refusal(StatusCode::BAD_REQUEST, wrong));
            }
            call.source_guid = draft.source_guid.map(Into::into);
        }
    }
    call
}

/// `GET /groups/{group}/messages`
pub(crate) fn index(group: &str, arrival: &Arrival) -> Call {
    let parameters = parameters(arrival);
    let page = page(&parameters);
    let from = page.as_ref().copied().unwrap_or(Page {
        from: From::Newest,
        limit: 20,
    });
    let mut call = call(Request::Index(from), group, arrival, &parameters);
    if let Err(wrong) = page {
        call.refuse(ME.refusal(StatusCode::BAD_REQUEST, wrong));
    }
    call
}

/// `GET /users/me`
pub(crate) fn me(arrival: &Arrival) -> Call {
    call(Request::Me, "", arrival, &parameters(arrival))
}

/// `DELETE /conversations/{group}/messages/{message}`
pub(crate) fn delete(group: &str, message: &str, arrival: &Arrival) -> Call {
    call(
        Request::Delete { id: message.into() },
        group,
        arrival,
        &parameters(arrival),
    )
}

pub(crate) fn error(status: StatusCode, words: &str) -> Answer {
    let body =
        serde_json::json!({"meta": {"code": status.as_u16(), "errors": [words]}, "response": null});
    Answer::value(status, &body)
}

fn call(request: Request, group: &str, arrival: &Arrival, parameters: &Parameters) -> Call {
    let token = arrival
        .header("x-access-token")
        .or(parameters.token.as_deref());
    Call {
        destination: group.into(),
        ..Call::new(ME, request, token, arrival)
    }
}

fn parameters(arrival: &Arrival) -> Parameters {
    // What is not known is ignored, as everywhere in query strings; what does not decode counts as not given.
    Query::try_from_uri(&arrival.uri)
        .map(|Query(parameters)| parameters)
        .unwrap_or_default()
}

fn page(parameters: &Parameters) -> Result<Page, String> {
    let number = |name: &str, text: &str| {
        text.parse::<u64>()
            .map_err(|_| format!("{name} {text:?} is no number"))
    };
    let limit = match given(parameters.limit.as_deref()) {
        Some(text) => usize::try_from(number("limit", text)?)
            .unwrap_or(usize::MAX)
            .clamp(1, 100),
        None => 20,
    };
    let id = |name, text| number(name, text).map(number::number);
    let from = match (
        &parameters.before_id,
        &parameters.since_id,
        &parameters.after_id,
    ) {
        (Some(before), _, _) => From::Before(id("before_id", before)?),
        (_, Some(since), _) => From::Since(id("since_id", since)?),
        (_, _, Some(after)) => From::After(id("after_id", after)?),
        _ => From::Newest,
    };
    Ok(Page { from, limit })
}

impl Draft<'_> {
    fn wrong(&self) -> Option<String> {
        if given(self.source_guid.as_deref()).is_none() {
            return Some("source_guid is required".into());
        }
        let attachments = match self
            .attachments
            .map(|raw| serde_json::from_str::<Vec<Value>>(raw.get()))
        {
            None => Vec::new(),
            Some(Ok(attachments)) => attachments,
            Some(Err(_)) => return Some("attachments must be a list".into()),
        };
        let text = self.text.as_deref().unwrap_or_default();
        if text.is_empty() && attachments.is_empty() {
            return Some("text is required where there is no attachment".into());
        }
        // The page counts characters without saying which; UTF-16 units are the strictest reading in use.
        let units = text.encode_utf16().count();
        if units > MOST_TEXT {
            return Some(format!(
                "text has {units} characters, and at most {MOST_TEXT} are allowed"
            ));
        }
        attachments
            .iter()
            .enumerate()
            .find_map(|(i, it)| wrong_attachment(it).map(|w| format!("attachments[{i}]: {w}")))
    }
}

fn wrong_attachment(attachment: &Value) -> Option<&'static str> {
    let text = |name: &str| attachment[name].as_str();
    match text("type") {
        None => Some("type is required"),
        Some("image")
            if !text("url").is_some_and(|url| url.starts_with("https://i.groupme.com/")) =>
        {
            Some("url must be one of the image service, https://i.groupme.com/…")
        }
        Some("location") if text("lat").is_none() || text("lng").is_none() => {
            Some("lat and lng must be strings")
        }
        Some("split") if text("token").is_none() => Some("token is required"),
        Some("emoji") if text("placeholder").is_none() || !is_charmap(&attachment["charmap"]) => {
            Some("placeholder and charmap ([[pack, offset], …]) are required")
        }
        // Other types (mentions, reply, video, file, …) are on no page of ours: they pass.
        _ => None,
    }
}

fn is_charmap(charmap: &Value) -> bool {
    let is_pair = |rune: &Value| {
        rune.as_array()
            .is_some_and(|pair| pair.len() == 2 && pair.iter().all(Value::is_u64))
    };
    charmap
        .as_array()
        .is_some_and(|runes| runes.iter().all(is_pair))
}

/// A message of a group, as send and index show it.
#[derive(Debug)]
pub(crate) struct Kept<'a> {
    pub(crate) id: u64,
    pub(crate) created_at: u64,
    pub(crate) user: u64,
    pub(crate) group: &'a str,
    pub(crate) source_guid: &'a str,
    /// The request's body; empty where it was not kept, and the message then has no text.
    pub(crate) body: &'a [u8],
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    id: String,
    source_guid: &'a str,
    created_at: u64,
    user_id: String,
    group_id: &'a str,
    name: &'static str,
    avatar_url: (),
    text: Option<String>,
    system: bool,
    pinned_by: &'static str,
    pinned_at: (),
    favorited_by: [(); 0],
    attachments: Attachments<'a>,
}

/// The list as it was sent, or an empty one.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Attachments<'a> {
    Sent(&'a RawValue),
    None([(); 0]),
}

impl Kept<'_> {
    fn json(&self) -> String {
        let draft = serde_json::from_slice::<Body<'_>>(self.body)
            .ok()
            .and_then(|body| body.message)
            .unwrap_or_default();
        let shown = Shown {
            id: self.id.to_string(),
            source_guid: self.source_guid,
            created_at: self.created_at,
            user_id: self.user.to_string(),
            group_id: self.group,
            name: "Sandbox",
            avatar_url: (),
            text: draft.text,
            system: false,
            pinned_by: "",
            pinned_at: (),
            favorited_by: [],
            attachments: draft
                .attachments
                .map_or(Attachments::None([]), Attachments::Sent),
        };
        serde_json::to_string(&shown).unwrap_or_default()
    }
}

/// 201 and the message.
pub(crate) fn created(message: &Kept<'_>, shape: Shape) -> Answer {
    let response = format!(r#"{{"message":{}}}"#, message.json());
    Answer::json(
        StatusCode::CREATED,
        enveloped(&response, StatusCode::CREATED, shape),
    )
}

/// 200 and a page of messages, or 304 where there are none.
pub(crate) fn listed<'a>(
    count: usize,
    messages: impl Iterator<Item = Kept<'a>>,
    shape: Shape,
) -> Answer {
    let messages: Vec<String> = messages.map(|message| message.json()).collect();
    if messages.is_empty() {
        return Answer::empty(StatusCode::NOT_MODIFIED);
    }
    let response = format!(r#"{{"count":{count},"messages":[{}]}}"#, messages.join(","));
    Answer::json(StatusCode::OK, enveloped(&response, StatusCode::OK, shape))
}

/// 200 and whose token it is.
pub(crate) fn myself(user: u64, shape: Shape) -> Answer {
    let response = format!(r#"{{"id":"{user}","name":"Sandbox","email":"sandbox@example.org"}}"#);
    Answer::json(StatusCode::OK, enveloped(&response, StatusCode::OK, shape))
}

/// The page speaks of an envelope around every response, and shows index and send without it.
fn enveloped(response: &str, status: StatusCode, shape: Shape) -> String {
    match shape {
        Shape::Page => format!(
            r#"{{"response":{response},"meta":{{"code":{},"errors":null}}}}"#,
            status.as_u16()
        ),
        Shape::Other => response.to_owned(),
    }
}
