//! What stands in a dead stream.

use bytes::Bytes;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};
use tidings_broker::DeadRecord;
use tidings_model::{
    Account, Attempt, Audit, Began, Claim, LetterHead, LetterKey, OperationId, Reason, Verb,
    Verdict,
};

/// The account of [`rejected`] and its like.
pub(crate) fn groupme() -> Account {
    "groupme.ops".parse().unwrap()
}

/// The account of [`plain`] and its like.
pub(crate) fn raven() -> Account {
    "raven.ops".parse().unwrap()
}

fn head(id: Option<&str>, account: Account, reason: Reason, dead_at: Timestamp) -> LetterHead {
    LetterHead {
        id: id.map(|id| id.parse().unwrap()),
        account: Some(account),
        reason,
        attempts: Vec::new(),
        dead_at,
        generation: 0,
        maybe_delivered: false,
        stood_at: None,
    }
}

/// A letter of a message that died so many minutes ago, of a hostile provider.
pub(crate) fn died(id: &str, reason: Reason, minutes_ago: i64) -> DeadRecord {
    let body = json!({
        "account": "groupme.ops", "id": id, "enqueued_at": "2026-01-01T09:00:00Z",
        "payload": {"group_id": "1", "text": "hi \u{202e}", "source_guid": "of the old one"},
        "expires_in": "1h", "delay": "1m", "metadata": {"order": "42"},
    });
    let at = Timestamp::now() - minutes_ago.minutes();
    let attempt = Attempt {
        at,
        verdict: Verdict::Rejected,
        status: Some(400),
        error: Some("no \u{9b}31msuch\u{202e} group".into()),
        took_ms: 12,
        worker: "w-1".into(),
    };
    DeadRecord::Letter {
        head: LetterHead {
            attempts: vec![attempt],
            ..head(Some(id), groupme(), reason, at)
        },
        body: body.to_string().into(),
    }
}

/// A letter of what is no message, and may have no id.
pub(crate) fn undecodable(id: Option<&str>) -> DeadRecord {
    DeadRecord::Letter {
        head: head(id, groupme(), Reason::Undecodable, Timestamp::now()),
        body: Bytes::from_static(b"\x1b[2J not a message"),
    }
}

/// A letter that can be replayed; `more` goes into the body.
pub(crate) fn letter(id: &str, more: &Value) -> DeadRecord {
    let mut body = json!({
        "account": "raven.ops", "id": id, "enqueued_at": "2026-01-01T09:00:00Z",
        "payload": {
            "username": "u", "topic": {"type": "persona", "name": "t"}, "message": id,
            "recipient": [{"name": "n", "contact": [{"type": "whatsapp", "name": "n", "key": "1"}]}],
        },
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let died = Timestamp::now() - 1.hour();
    DeadRecord::Letter {
        head: head(Some(id), raven(), Reason::AttemptsExhausted, died),
        body: body.to_string().into(),
    }
}

/// The same as it mostly is.
pub(crate) fn plain(id: &str) -> DeadRecord {
    letter(id, &json!({}))
}

pub(crate) fn key(id: &str) -> LetterKey {
    LetterKey::Message {
        id: id.parse().unwrap(),
        generation: 0,
    }
}

/// An operation of somebody who was cut off when he had claimed this.
pub(crate) fn cut_off_at(
    verb: Verb,
    by: &str,
    id: &str,
    parameters: Value,
) -> (OperationId, Vec<DeadRecord>) {
    let operation = "01938c2e-7b2a-7000-8000-000000000001".parse().unwrap();
    let began = Began {
        operation,
        verb,
        by: by.into(),
        at: Timestamp::now(),
        which: "all".into(),
        planned: 1,
        why: None,
        parameters,
    };
    let claim = Claim {
        operation,
        by: by.into(),
        at: Timestamp::now(),
        letters: vec![key(id)],
        take_over: false,
    };
    let records = vec![
        DeadRecord::Audit(Audit::Began(began)),
        DeadRecord::Claim(claim),
    ];
    (operation, records)
}
