use tidings_model::{Reason, Verdict};

use super::*;

fn attempt(error: String) -> Attempt {
    Attempt {
        at: "2026-01-01T00:00:00.5Z".parse().unwrap(),
        verdict: Verdict::Unknown,
        status: Some(503),
        error: Some(error),
        took_ms: 3,
        worker: "w".into(),
    }
}

fn full() -> Headers {
    let mut attempts = Attempts::default();
    attempts.push(attempt("busy \"now\"".into()));
    Headers {
        generation: 2,
        turn: 7,
        attempts,
        due: Some("2026-01-01T00:00:00.123456789Z".parse().unwrap()),
        maybe_delivered: true,
        consent: true,
        again: true,
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
    }
}

#[test]
fn headers_come_back_as_they_were() {
    for headers in [Headers::default(), full()] {
        let id = "a".parse().unwrap();
        assert_eq!(super::headers(&message(Some(&id), &headers)), headers);
    }
    assert!(table(&Headers::default()).inner().is_empty());
}

#[test]
fn garbage_is_taken_for_absent_and_numbers_of_every_type_are_read() {
    let mut table = FieldTable::default();
    table.insert(GENERATION.into(), AMQPValue::LongLongInt(-1));
    table.insert(TURN.into(), AMQPValue::ShortShortUInt(9));
    table.insert(ATTEMPTS.into(), AMQPValue::LongString("{".into()));
    table.insert(DUE.into(), AMQPValue::LongString("soon".into()));
    table.insert(CONSENT.into(), AMQPValue::Double(1.0));
    table.insert(AGAIN.into(), AMQPValue::LongString("true".into()));
    table.insert(
        TRACEPARENT.into(),
        AMQPValue::LongString("x".repeat(300).into()),
    );
    table.insert(
        MAYBE_DELIVERED.into(),
        AMQPValue::LongString(vec![0xff].into()),
    );
    let read = headers(&BasicProperties::default().with_headers(table));
    let wanted = Headers {
        turn: 9,
        again: true,
        ..Headers::default()
    };
    assert_eq!(read, wanted);
}

#[test]
fn the_longest_history_fits_a_header() {
    let mut headers = Headers::default();
    for _ in 0..30 {
        headers
            .attempts
            .push(attempt("\u{1f4a9}\"\\".repeat(Attempt::MAX_ERROR)));
    }
    let properties = message(None, &headers);
    let json = text(header(&properties, ATTEMPTS).unwrap()).unwrap();
    assert!(json.len() <= MAX_JSON, "{}", json.len());
    let read = super::headers(&properties);
    assert_eq!(read.attempts.list.len(), Attempts::KEPT);
    assert_eq!(read.attempts.spent, 30);
}

#[test]
fn a_letters_head_comes_back_whatever_its_size() {
    let head = LetterHead {
        id: Some("a".parse().unwrap()),
        account: Some("groupme.ops".parse().unwrap()),
        reason: Reason::Rejected,
        attempts: vec![attempt("no".into())],
        dead_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        generation: 1,
        maybe_delivered: true,
        stood_at: None,
    };
    let read = |head: &LetterHead| {
        let body = Bytes::from_static(b"body");
        let (properties, bytes) = dead(DeadRecord::Letter {
            head: head.clone(),
            body,
        });
        match dead_record(Position(7), &properties, bytes.into()) {
            Some(DeadRecord::Letter { head, body }) => (head, body),
            other => panic!("no letter: {other:?}"),
        }
    };
    assert_eq!(read(&head), (head.clone(), Bytes::from_static(b"body")));
    let mut worker = attempt("no".into());
    worker.worker = "w".repeat(100_000).into();
    let long = LetterHead {
        attempts: vec![worker],
        ..head
    };
    assert!(read(&long).0.attempts.is_empty());
}

#[test]
fn what_is_not_known_among_the_dead_is_passed_over() {
    let of_type = |kind: &str| BasicProperties::default().with_type(kind.into());
    for properties in [
        message(None, &full()),
        of_type("tidings.letter.v1"),
        of_type("tidings.letter.v2"),
        of_type("tidings.audit.v1"),
        of_type("tidings.seance.v1"),
    ] {
        let read = dead_record(Position(7), &properties, b"{}".into());
        assert_eq!(read, None, "{properties:?}");
    }
}

#[test]
fn the_larger_count_says_how_often_a_message_was_handed_out() {
    let mut table = FieldTable::default();
    assert_eq!(returns(&BasicProperties::default()), 0);
    table.insert("x-delivery-count".into(), AMQPValue::LongLongInt(3));
    assert_eq!(
        returns(&BasicProperties::default().with_headers(table.clone())),
        3
    );
    table.insert("x-acquired-count".into(), AMQPValue::LongLongInt(5));
    assert_eq!(returns(&BasicProperties::default().with_headers(table)), 5);
}
