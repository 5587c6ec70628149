use std::time::Duration;

use tidings_model::{Left, Paused, Tenure};

use super::*;

const REMEMBER: Remember = Remember {
    time: Duration::from_secs(3600),
    messages: 3,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn account() -> Account {
    "groupme.ops".parse().unwrap()
}

fn put_back(id: &str, turn: u32, second: i64) -> Decision {
    let verdicted = Verdicted::PutBack {
        id: id.parse().unwrap(),
        generation: 0,
        account: account(),
        at: at(second),
        due: at(second + 60),
        maybe_delivered: true,
        consent: false,
    };
    Decision {
        turn,
        attempt: None,
        verdicted,
    }
}

fn delivered(id: &str, turn: u32, second: i64) -> Decision {
    let outcome = Outcome::Delivered {
        id: id.parse().unwrap(),
        generation: 0,
        account: account(),
        attempts: 1,
        at: at(second),
        provider_message_id: None,
        deduplicated: false,
        metadata: Default::default(),
    };
    Decision {
        turn,
        attempt: None,
        verdicted: Verdicted::Ended {
            outcome,
            maybe_delivered: false,
        },
    }
}

fn turn(turn: u32) -> Headers {
    Headers {
        turn,
        ..Headers::default()
    }
}

#[test]
fn an_outcome_decides_every_turn_and_the_first_one_holds() {
    let mut memory = Memory::new(REMEMBER);
    let id = "m".parse().unwrap();
    memory.decide(&delivered("m", 2, 0));
    memory.decide(&put_back("m", 3, 1));
    for t in [0, 2, 9] {
        assert_eq!(memory.decided(&id, &turn(t)), Some(&Decided::Delivered));
    }
    assert_eq!(
        memory.decided(
            &id,
            &Headers {
                generation: 1,
                ..turn(0)
            }
        ),
        None
    );
}

#[test]
fn a_turn_that_was_put_back_is_decided_and_its_copy_is_not() {
    let mut memory = Memory::new(REMEMBER);
    let id = "m".parse().unwrap();
    memory.decide(&put_back("m", 1, 0));
    assert!(memory.decided(&id, &turn(2)).is_none());
    let effect = |t| {
        memory
            .decided(&id, &turn(t))
            .unwrap()
            .effect(&turn(t), |_, _| Effect::Done)
    };
    assert_eq!(effect(0), Effect::Done, "its copy came back already");
    let Effect::PutBack(copy) = effect(1) else {
        panic!("the copy is made again")
    };
    assert_eq!(
        (copy.turn, copy.due, copy.maybe_delivered),
        (2, Some(at(60)), true)
    );
}

#[test]
fn an_outcome_follows_a_copy_and_never_the_other_way_round() {
    let mut memory = Memory::new(REMEMBER);
    let id = "m".parse().unwrap();
    memory.decide(&put_back("m", 0, 0));
    memory.decide(&delivered("m", 0, 1));
    memory.decide(&put_back("m", 5, 2));
    assert_eq!(memory.decided(&id, &turn(7)), Some(&Decided::Delivered));
}

#[test]
fn what_was_put_back_is_remembered_from_its_last_decision() {
    let mut memory = Memory::new(REMEMBER);
    memory.decide(&put_back("a", 0, 0));
    memory.decide(&put_back("b", 0, 1));
    memory.decide(&delivered("a", 1, 3500));
    memory.decide(&delivered("c", 0, 3602));
    let decided = |id: &str| memory.decided(&id.parse().unwrap(), &turn(0)).is_some();
    assert!(decided("a") && !decided("b") && decided("c"));
    for id in ["d", "e"] {
        memory.decide(&delivered(id, 0, 3603));
    }
    let decided = |id: &str| memory.decided(&id.parse().unwrap(), &turn(0)).is_some();
    assert!(!decided("a") && decided("c"), "no more than three");
}

#[test]
fn one_that_is_put_back_again_and_again_takes_no_more_room() {
    let mut memory = Memory::new(REMEMBER);
    for turn in 0..5000 {
        memory.decide(&put_back("a", turn, i64::from(turn)));
    }
    assert_eq!(memory.decided.len(), 1);
    assert!(memory.order.len() < 1100, "{}", memory.order.len());
}

#[test]
fn a_note_that_comes_late_ends_no_pause() {
    let mut memory = Memory::new(REMEMBER);
    let note = |paused| Record::Note {
        tenure: Tenure {
            account: account(),
            worker: "a".into(),
            number: 1,
        },
        at: at(0),
        left: Left::Untouched,
        pauses: Pauses {
            paused,
            reopened: None,
        },
    };
    let paused = Paused {
        at: at(0),
        until: at(600),
        why: "rate limited".into(),
        streak: 1,
    };
    memory.learn(note(Some(paused.clone())));
    memory.learn(note(None));
    assert_eq!(memory.pauses.paused, Some(paused));
    memory.learn(Record::Reopened {
        account: account(),
        at: at(601),
    });
    assert_eq!(memory.pauses.paused, None);
}

#[test]
fn memory_is_bounded_in_number_and_time() {
    let mut memory = Memory::new(REMEMBER);
    for (index, id) in ["a", "b", "c", "d"].into_iter().enumerate() {
        memory.decide(&delivered(id, 0, i64::try_from(index).unwrap()));
    }
    assert!(memory.decided(&"a".parse().unwrap(), &turn(0)).is_none());
    assert!(memory.decided(&"b".parse().unwrap(), &turn(0)).is_some());
    assert!(
        memory.may_have_forgotten(at(0), at(-10)) && !memory.may_have_forgotten(at(1), at(-10))
    );
    memory.decide(&delivered("e", 0, 4000));
    assert!(memory.decided(&"d".parse().unwrap(), &turn(0)).is_none());
    assert_eq!(memory.decided.len(), 1);
}
