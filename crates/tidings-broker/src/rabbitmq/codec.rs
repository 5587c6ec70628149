//! What Tidings remembers of a message, as AMQP headers. Whatever comes in may be garbage.
//!
//! Headers are always built anew from [`Headers`]: nothing that was received is passed on, least of all `x-death`,
//! which makes 3.x drop a message silently.

use bytes::Bytes;
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, ShortString},
};
use serde::Serialize;
use tidings_model::{Attempt, Attempts, Headers, LetterHead, MessageId, WorkerId, object};

use crate::{DeadRecord, EntryKind, Position, ledger::DeadKind};

/// The `type` of a message.
const MESSAGE: &str = "tidings.message.v1";

const GENERATION: &str = "tidings-generation";
const TURN: &str = "tidings-turn";
const ATTEMPTS: &str = "tidings-attempts";
const DUE: &str = "tidings-due";
const MAYBE_DELIVERED: &str = "tidings-maybe-delivered";
const CONSENT: &str = "tidings-consent";
const AGAIN: &str = "tidings-again";
const TRACEPARENT: &str = "traceparent";
const LETTER_HEAD: &str = "tidings-letter";
const WRITER: &str = "tidings-writer";
const KIND: &str = "tidings-kind";

/// The most JSON that goes into one header: all headers share one frame of 128 KiB.
const MAX_JSON: usize = 60_000;
/// W3C's traceparent has 55 characters; what is far longer is none.
const MAX_TRACEPARENT: usize = 256;

/// Properties of what is to outlive a broker's restart.
pub(super) fn persistent() -> BasicProperties {
    BasicProperties::default().with_delivery_mode(2)
}

/// A message's properties.
pub(super) fn message(id: Option<&MessageId>, headers: &Headers) -> BasicProperties {
    let properties = persistent()
        .with_content_type("application/json".into())
        .with_type(MESSAGE.into())
        .with_headers(table(headers));
    match id {
        Some(id) => properties.with_message_id(id.as_str().into()),
        None => properties,
    }
}

/// A dead letter's properties.
pub(super) fn letter(head: &LetterHead) -> BasicProperties {
    let json = fitting(head, |head| &mut head.attempts);
    let mut headers = FieldTable::default();
    headers.insert(LETTER_HEAD.into(), AMQPValue::LongString(json.into()));
    let properties = persistent()
        .with_content_type("application/json".into())
        .with_type(kind(DeadKind::Letter))
        .with_headers(headers);
    match &head.id {
        Some(id) => properties.with_message_id(id.as_str().into()),
        None => properties,
    }
}

/// How a record of the dead stream is published.
pub(super) fn dead(record: DeadRecord) -> (BasicProperties, Bytes) {
    if let DeadRecord::Letter { head, body } = record {
        return (letter(&head), body);
    }
    let properties = persistent()
        .with_content_type("application/json".into())
        .with_type(kind(record.kind()));
    (properties, record.json().into())
}

/// What an entry of the dead stream holds. What is not understood is passed over, with a warning.
pub(super) fn dead_record(
    position: Position,
    properties: &BasicProperties,
    bytes: Vec<u8>,
) -> Option<DeadRecord> {
    let known = properties.kind().as_ref().and_then(dead_kind);
    let head = header(properties, LETTER_HEAD).and_then(text);
    match (known, head) {
        (Some(DeadKind::Letter), Some(head)) => {
            DeadRecord::read(DeadKind::Letter, position, head.as_bytes(), || bytes.into())
        }
        (None | Some(DeadKind::Letter), _) => {
            tracing::warn!(
                position = position.0,
                "an entry among the dead letters is not understood, and passed over"
            );
            None
        }
        (Some(kind), _) => DeadRecord::read(kind, position, &bytes, Bytes::new),
    }
}

/// The `type` of a record of the dead stream.
fn kind(kind: DeadKind) -> ShortString {
    format!("tidings.{}.v1", kind.as_str()).into()
}

fn dead_kind(kind: &ShortString) -> Option<DeadKind> {
    let word = kind.as_str().strip_prefix("tidings.")?;
    DeadKind::from_str(word.strip_suffix(".v1")?)
}

/// An entry of the ledger's properties.
pub(super) fn entry(writer: &WorkerId, kind: EntryKind) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(WRITER.into(), AMQPValue::LongString(writer.as_str().into()));
    headers.insert(KIND.into(), AMQPValue::LongString(word(kind).into()));
    persistent()
        .with_content_type("application/x-ndjson".into())
        .with_headers(headers)
}

/// Who wrote an entry of the ledger, and what it holds; `None` for what is no entry.
pub(super) fn entry_of(properties: &BasicProperties) -> Option<(Option<WorkerId>, EntryKind)> {
    let kind = header(properties, KIND).and_then(text)?;
    let kind = [EntryKind::Decisions, EntryKind::Tenures]
        .into_iter()
        .find(|known| word(*known) == kind)?;
    let writer = header(properties, WRITER).and_then(text);
    Some((writer.map(WorkerId::from), kind))
}

fn word(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Decisions => "decisions",
        EntryKind::Tenures => "tenures",
    }
}

fn table(headers: &Headers) -> FieldTable {
    let mut table = FieldTable::default();
    let mut insert = |name: &str, value| {
        table.insert(name.into(), value);
    };
    if headers.generation != 0 {
        insert(
            GENERATION,
            AMQPValue::LongLongInt(headers.generation.into()),
        );
    }
    if headers.turn != 0 {
        insert(TURN, AMQPValue::LongLongInt(headers.turn.into()));
    }
    if headers.attempts != Attempts::default() {
        let json = fitting(&headers.attempts, |attempts| &mut attempts.list);
        insert(ATTEMPTS, AMQPValue::LongString(json.into()));
    }
    if let Some(due) = headers.due {
        insert(DUE, AMQPValue::LongString(due.to_string().into()));
    }
    let flags = [
        (MAYBE_DELIVERED, headers.maybe_delivered),
        (CONSENT, headers.consent),
        (AGAIN, headers.again),
    ];
    for (name, set) in flags {
        if set {
            insert(name, AMQPValue::Boolean(true));
        }
    }
    let traceparent = headers.traceparent.as_ref();
    if let Some(trace) = traceparent.filter(|trace| trace.len() <= MAX_TRACEPARENT) {
        insert(TRACEPARENT, AMQPValue::LongString(trace.as_str().into()));
    }
    table
}

/// What Tidings remembers, from any client's headers: what is not understood is at its default.
pub(super) fn headers(properties: &BasicProperties) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in properties.headers().iter().flat_map(FieldTable::inner) {
        let understood = match name.as_str() {
            GENERATION => set(&mut headers.generation, count(value)),
            TURN => set(&mut headers.turn, count(value)),
            ATTEMPTS => set(&mut headers.attempts, attempts(value)),
            DUE => set(
                &mut headers.due,
                text(value)
                    .map(|text| text.parse().ok())
                    .filter(Option::is_some),
            ),
            MAYBE_DELIVERED => set(&mut headers.maybe_delivered, truth(value)),
            CONSENT => set(&mut headers.consent, truth(value)),
            AGAIN => set(&mut headers.again, truth(value)),
            TRACEPARENT => set(&mut headers.traceparent, traceparent(value).map(Some)),
            _ => true,
        };
        if !understood {
            tracing::warn!(header = %name, message = ?properties.message_id(), "a header is not understood, and taken for absent");
        }
    }
    headers
}

fn set<T>(field: &mut T, value: Option<T>) -> bool {
    let understood = value.is_some();
    if let Some(value) = value {
        *field = value;
    }
    understood
}

/// How often a quorum queue handed a message out before. `x-delivery-count` leaves out what 4.3 does not count as a
/// failure; `x-acquired-count`, where there is one, has it all.
pub(super) fn returns(properties: &BasicProperties) -> u32 {
    let counted = |name| header(properties, name).and_then(count).unwrap_or(0);
    counted("x-delivery-count").max(counted("x-acquired-count"))
}

pub(super) fn header<'p>(properties: &'p BasicProperties, name: &str) -> Option<&'p AMQPValue> {
    properties.headers().as_ref()?.inner().get(name)
}

fn attempts(value: &AMQPValue) -> Option<Attempts> {
    let mut attempts: Attempts = object::read(text(value)?.as_bytes()).ok()?;
    let beyond = attempts.list.len().saturating_sub(Attempts::KEPT);
    attempts.list.drain(..beyond);
    Some(attempts)
}

fn traceparent(value: &AMQPValue) -> Option<String> {
    let text = text(value).filter(|text| text.len() <= MAX_TRACEPARENT)?;
    Some(text.to_owned())
}

/// A whole number of any AMQP type.
pub(super) fn integer(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::ShortShortInt(n) => Some((*n).into()),
        AMQPValue::ShortShortUInt(n) => Some((*n).into()),
        AMQPValue::ShortInt(n) => Some((*n).into()),
        AMQPValue::ShortUInt(n) => Some((*n).into()),
        AMQPValue::LongInt(n) => Some((*n).into()),
        AMQPValue::LongUInt(n) => Some((*n).into()),
        AMQPValue::LongLongInt(n) => Some(*n),
        AMQPValue::Timestamp(n) => i64::try_from(*n).ok(),
        _ => text(value)?.parse().ok(),
    }
}

fn count(value: &AMQPValue) -> Option<u32> {
    integer(value).and_then(|n| u32::try_from(n).ok())
}

fn truth(value: &AMQPValue) -> Option<bool> {
    match value {
        AMQPValue::Boolean(truth) => Some(*truth),
        _ => match text(value) {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => integer(value).map(|n| n != 0),
        },
    }
}

pub(super) fn text(value: &AMQPValue) -> Option<&str> {
    match value {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
        AMQPValue::ShortString(text) => Some(text.as_str()),
        AMQPValue::ByteArray(bytes) => std::str::from_utf8(bytes.as_slice()).ok(),
        _ => None,
    }
}

/// JSON of at most [`MAX_JSON`] bytes: the providers' words are cut further where it would be longer, and the
/// attempts left out where even that is not enough.
fn fitting<T: Serialize + Clone>(value: &T, attempts: fn(&mut T) -> &mut Vec<Attempt>) -> Vec<u8> {
    let mut json = serde_json::to_vec(value).unwrap_or_default();
    if json.len() <= MAX_JSON {
        return json;
    }
    let mut value = value.clone();
    for keep in [250, 100, 25, 0] {
        for attempt in attempts(&mut value) {
            attempt.error = attempt
                .error
                .take()
                .map(|words| words.chars().take(keep).collect());
        }
        json = serde_json::to_vec(&value).unwrap_or_default();
        if json.len() <= MAX_JSON {
            return json;
        }
    }
    attempts(&mut value).clear();
    serde_json::to_vec(&value).unwrap_or_default()
}

#[cfg(test)]
mod tests;
