use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn key(id: &str) -> LetterKey {
    LetterKey::Message {
        id: id.parse().unwrap(),
        generation: 0,
    }
}

fn operation(number: u128) -> OperationId {
    format!("{number:032x}").parse().unwrap()
}

fn letter(id: &str) -> DeadRecord {
    DeadRecord::Letter {
        head: LetterHead {
            id: Some(id.parse().unwrap()),
            account: None,
            reason: tidings_model::Reason::Rejected,
            attempts: Vec::new(),
            dead_at: at(0),
            generation: 0,
            maybe_delivered: false,
            stood_at: None,
        },
        body: bytes::Bytes::new(),
    }
}

fn claim(number: u128, id: &str, take_over: bool) -> DeadRecord {
    DeadRecord::Claim(Claim {
        operation: operation(number),
        by: "ann@host".into(),
        at: at(1),
        letters: vec![key(id)],
        take_over,
    })
}

fn resolution(number: u128, id: &str, state: LetterState) -> DeadRecord {
    DeadRecord::Resolution(Resolution {
        operation: operation(number),
        at: at(9),
        letters: vec![key(id)],
        state,
        new_id: None,
    })
}

fn began(number: u128, verb: Verb) -> DeadRecord {
    DeadRecord::Audit(Audit::Began(Began {
        operation: operation(number),
        verb,
        by: "ann@host".into(),
        at: at(1),
        which: "all".into(),
        planned: 1,
        why: None,
        parameters: serde_json::Value::Null,
    }))
}

fn ended(number: u128) -> DeadRecord {
    DeadRecord::Audit(Audit::Ended(Ended {
        operation: operation(number),
        by: "ann@host".into(),
        at: at(2),
        done: 0,
        failed: 0,
        skipped: 0,
        stopped: None,
    }))
}

fn of(records: impl IntoIterator<Item = DeadRecord>) -> Register {
    let mut register = Register::default();
    for (position, record) in (0..).map(Position).zip(records) {
        let entry = DeadEntry { position, record };
        register.take_in(&entry);
        register.take_in(&entry);
    }
    register
}

#[test]
fn the_first_claim_holds_until_its_operation_has_ended() {
    let mut records = vec![letter("a"), claim(1, "a", false), claim(2, "a", false)];
    let holder = |records: &[DeadRecord]| of(records.to_vec()).holder(&key("a"));
    assert_eq!(holder(&records), Some(operation(1)));
    records.push(ended(1));
    assert_eq!(
        holder(&records),
        None,
        "the second one learned that it lost"
    );
    records.push(claim(3, "a", false));
    assert_eq!(holder(&records), Some(operation(3)));
    records.push(claim(4, "a", true));
    assert_eq!(holder(&records), Some(operation(4)));
    records.push(resolution(4, "a", LetterState::Discarded));
    assert_eq!(holder(&records), None);
}

#[test]
fn a_letter_that_is_written_again_is_the_same_letter() {
    let register = of([
        letter("a"),
        resolution(1, "a", LetterState::Replayed),
        letter("a"),
        letter("b"),
    ]);
    assert_eq!(register.letters().count(), 2);
    assert_eq!(register.state(&key("a")), LetterState::Replayed);
    assert_eq!(register.state(&key("b")), LetterState::Open);
    assert_eq!(register.state(&key("c")), LetterState::Open);
}

#[test]
fn what_was_done_about_a_letter_outlives_its_first_copy() {
    let register = of([
        began(1, Verb::Discard),
        resolution(1, "a", LetterState::Discarded),
        letter("a"),
    ]);
    assert_eq!(register.state(&key("a")), LetterState::Discarded);
    assert_eq!(register.operation(operation(1)).unwrap().resolved, 1);
}

#[test]
fn what_a_replay_may_have_sent_is_in_doubt_until_it_is_replayed() {
    let mut records = vec![letter("a"), began(1, Verb::Replay), claim(1, "a", false)];
    let doubt = |records: &[DeadRecord]| of(records.to_vec()).standing(&key("a")).unwrap().doubt;
    assert_eq!(doubt(&records), None, "who holds it knows");
    records.extend([began(2, Verb::Renew), claim(2, "a", true)]);
    assert_eq!(doubt(&records), Some(at(1)));
    records.push(resolution(2, "a", LetterState::Open));
    assert_eq!(doubt(&records), Some(at(1)));
    records.push(resolution(3, "a", LetterState::Replayed));
    assert_eq!(doubt(&records), None);
}

#[test]
fn what_the_stream_forgot_is_forgotten() {
    let mut register = of([
        letter("a"),
        letter("b"),
        began(1, Verb::Renew),
        claim(1, "a", false),
        letter("a"),
    ]);
    register.forget_before(Position(2));
    let kept: Vec<_> = register.letters().map(|(key, _)| key.clone()).collect();
    assert_eq!(kept, [key("a")], "a copy of it is kept");
    register.forget_before(Position(9));
    assert_eq!(register.operations().count(), 0);
}

#[test]
fn a_renewal_changes_nothing_but_how_long_a_letter_is_kept() {
    let register = of([
        letter("a"),
        resolution(1, "a", LetterState::Open),
        began(2, Verb::Renew),
        claim(2, "a", false),
        letter("a"),
        resolution(2, "a", LetterState::Open),
    ]);
    let standing = register.standing(&key("a")).unwrap();
    assert_eq!(standing.written_at, Some(at(9)));
    assert_eq!(standing.resolved_by, Some(operation(1)));
    assert_eq!(register.holder(&key("a")), None);
}
