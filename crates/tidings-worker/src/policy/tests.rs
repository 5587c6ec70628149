use tidings_model::Attempt;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn attempts(verdicts: &[(i64, Verdict)]) -> Attempts {
    let mut attempts = Attempts::default();
    for (second, verdict) in verdicts {
        let (at, verdict) = (at(*second), *verdict);
        attempts.push(Attempt {
            at,
            verdict,
            status: None,
            error: None,
            took_ms: 0,
            worker: "w".into(),
        });
    }
    attempts
}

const RETRY: RetryPolicy = RetryPolicy {
    max_attempts: 3,
    base: Duration::from_secs(10),
    cap: Duration::from_secs(60),
    max_age: Duration::from_secs(100),
};

fn case(attempts: &Attempts) -> Case<'_> {
    Case {
        verdict: attempts.last_verdict().unwrap(),
        attempts,
        maybe_delivered: false,
        consent: false,
        can_look_up: false,
        on_unknown: OnUnknown::Retry,
        retry: &RETRY,
        expires: None,
        paused_until: None,
        now: at(50),
        chance: 1.0,
    }
}

fn back(due: i64, maybe_delivered: bool) -> Next {
    Next::PutBack(Back {
        due: at(due),
        maybe_delivered,
        consent: false,
    })
}

#[test]
fn an_index_that_cannot_be_read_is_waited_for_as_long_as_retries_are() {
    let failed = |attempts: &Attempts, verdict, due, now| {
        let case = Case {
            verdict,
            now,
            paused_until: Some(at(900)),
            ..case(attempts)
        };
        look_up_again(case, due)
    };
    let tried = attempts(&[(0, Verdict::Unknown)]);
    let waiting = failed(&tried, Verdict::NotSent, at(-500), at(100));
    assert_eq!(
        waiting,
        back(110, true),
        "its age begins with its first attempt"
    );
    let given_up = Next::Die(Reason::UnknownOutcome);
    assert_eq!(failed(&tried, Verdict::NotSent, at(0), at(101)), given_up);
    assert_eq!(
        failed(&tried, Verdict::AccountProblem, at(0), at(101)),
        back(900, true),
        "the account is to blame, and nothing is burned"
    );
}

#[test]
fn what_was_not_sent_goes_back_and_spends_nothing() {
    let many = attempts(&[(0, Verdict::NotSent); 6]);
    assert_eq!(
        after_attempt(Case {
            now: at(1),
            chance: 0.1,
            ..case(&many)
        }),
        back(7, false)
    );
    assert_eq!(
        after_attempt(case(&many)),
        Next::Die(Reason::TooOld),
        "50 s + 60 s is beyond the 100 s"
    );
}

#[test]
fn an_unknown_is_tried_again_until_its_attempts_are_spent() {
    let two = attempts(&[(0, Verdict::Unknown), (9, Verdict::Unknown)]);
    assert_eq!(after_attempt(case(&two)), back(70, true));
    let three = attempts(&[(0, Verdict::Unknown); 3]);
    assert_eq!(
        after_attempt(case(&three)),
        Next::Die(Reason::AttemptsExhausted)
    );
}

#[test]
fn park_leaves_an_unknown_to_a_person_at_once() {
    let one = attempts(&[(0, Verdict::Unknown)]);
    let parked = Case {
        on_unknown: OnUnknown::Park,
        ..case(&one)
    };
    assert_eq!(after_attempt(parked), Next::Die(Reason::UnknownOutcome));
}

#[test]
fn where_the_provider_can_tell_even_the_last_unknown_goes_back_to_be_looked_up() {
    let three = attempts(&[(0, Verdict::Unknown); 3]);
    let groupme = Case {
        can_look_up: true,
        ..case(&three)
    };
    assert_eq!(after_attempt(groupme), back(90, true));
    assert_eq!(
        before_attempt(&three, &RETRY, None, at(60)),
        Some(Reason::AttemptsExhausted)
    );
}

#[test]
fn a_rate_limit_sends_it_back_until_the_pause_ends_and_burns_nothing() {
    let limited = attempts(&[
        (0, Verdict::Unknown),
        (1, Verdict::Unknown),
        (9, Verdict::RateLimited),
    ]);
    let paused = Case {
        paused_until: Some(at(500)),
        maybe_delivered: true,
        ..case(&limited)
    };
    assert_eq!(
        after_attempt(paused),
        back(500, true),
        "what may have been delivered still may"
    );
    assert_eq!(before_attempt(&limited, &RETRY, None, at(500)), None);
}

/// A person agreed once, and need not be asked again whatever keeps the message.
#[test]
fn consent_stays_with_a_message_that_goes_back() {
    for verdict in [
        Verdict::RateLimited,
        Verdict::AccountProblem,
        Verdict::NotSent,
    ] {
        let one = attempts(&[(0, verdict)]);
        let agreed = Case {
            consent: true,
            maybe_delivered: true,
            ..case(&one)
        };
        let next = after_attempt(agreed);
        let kept = matches!(
            next,
            Next::PutBack(Back {
                consent: true,
                maybe_delivered: true,
                ..
            })
        );
        assert!(kept, "{verdict}: {next:?}");
    }
}

#[test]
fn one_that_expires_meanwhile_comes_back_to_end_on_time() {
    let one = attempts(&[(0, Verdict::NotSent)]);
    let expiring = Case {
        expires: Some(at(53)),
        ..case(&one)
    };
    assert_eq!(after_attempt(expiring), back(53, false));
    assert_eq!(
        before_attempt(&one, &RETRY, Some(at(53)), at(53)),
        Some(Reason::Expired)
    );
}

#[test]
fn a_duplicate_that_the_index_never_shows_is_left_to_a_person() {
    let first = attempts(&[(0, Verdict::Duplicate)]);
    assert_eq!(
        after_duplicate(true, case(&first)),
        Next::Deliver { deduplicated: true }
    );
    assert_eq!(after_duplicate(false, case(&first)), back(60, true));
    let late = Case {
        now: at(60),
        ..case(&first)
    };
    assert_eq!(
        after_duplicate(false, late),
        Next::Die(Reason::UnknownOutcome)
    );
}

#[test]
fn consent_sends_what_nobody_can_look_up() {
    assert_eq!(on_unknown(true, OnUnknown::Park, true), Unknown::LookUp);
    assert_eq!(on_unknown(false, OnUnknown::Park, false), Unknown::Park);
    assert_eq!(on_unknown(false, OnUnknown::Park, true), Unknown::Send);
    assert_eq!(on_unknown(false, OnUnknown::Retry, false), Unknown::Send);
}
