//! What follows from a verdict. Pure: no I/O, no clock, no chance but what is passed in.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tidings_model::{Attempts, Reason, RetryPolicy, Verdict, config::OnUnknown};

use crate::backoff;

/// What becomes of a message's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It ends delivered.
    Deliver {
        /// The provider had it already.
        deduplicated: bool,
    },
    /// It ends dead.
    Die(Reason),
    /// It goes back as a copy.
    PutBack(Back),
}

/// How a message goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Back {
    pub(crate) due: Timestamp,
    pub(crate) maybe_delivered: bool,
    pub(crate) consent: bool,
}

/// What is known when an attempt has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) verdict: Verdict,
    /// The generation's attempts, this one included.
    pub(crate) attempts: &'a Attempts,
    /// Whether an earlier attempt may have delivered it.
    pub(crate) maybe_delivered: bool,
    /// Whether a person agreed to send it all the same.
    pub(crate) consent: bool,
    /// Whether the provider can be asked what became of it.
    pub(crate) can_look_up: bool,
    pub(crate) on_unknown: OnUnknown,
    pub(crate) retry: &'a RetryPolicy,
    pub(crate) expires: Option<Timestamp>,
    /// Until when the lane is paused now.
    pub(crate) paused_until: Option<Timestamp>,
    pub(crate) now: Timestamp,
    /// Uniform in 0..1, for the jitter.
    pub(crate) chance: f64,
}

/// A provider processes a request within this time of its being written, or never.
pub(crate) const SETTLE_TIME: SignedDuration = SignedDuration::from_secs(60);

/// How long a 409 that the index does not show yet waits before it is looked for again.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(10);

/// What follows from an attempt. A duplicate is looked up first; see [`after_duplicate`].
pub(crate) fn after_attempt(case: Case<'_>) -> Next {
    match case.verdict {
        Verdict::Delivered => Next::Deliver {
            deduplicated: false,
        },
        Verdict::Duplicate => Next::Deliver { deduplicated: true },
        Verdict::Rejected => Next::Die(Reason::Rejected),
        Verdict::RateLimited | Verdict::AccountProblem => {
            put_back(case, case.paused_until.unwrap_or(case.now))
        }
        Verdict::NotSent => again(case),
        Verdict::Unknown => after_unknown(Case {
            maybe_delivered: true,
            consent: false,
            ..case
        }),
    }
}

fn after_unknown(case: Case<'_>) -> Next {
    if case.can_look_up {
        // Even where it has no attempt left, it is looked up before it may die of that.
        return put_back(case, backed_off(case));
    }
    match case.on_unknown {
        OnUnknown::Park => Next::Die(Reason::UnknownOutcome),
        OnUnknown::Retry => again(case),
    }
}

fn again(case: Case<'_>) -> Next {
    if case.attempts.spent >= case.retry.max_attempts {
        return Next::Die(Reason::AttemptsExhausted);
    }
    let due = backed_off(case);
    if is_too_old(case.attempts, case.retry, due) {
        return Next::Die(Reason::TooOld);
    }
    put_back(case, due)
}

fn backed_off(case: Case<'_>) -> Timestamp {
    let failed = |verdict| matches!(verdict, Verdict::NotSent | Verdict::Unknown);
    let failures = case
        .attempts
        .list
        .iter()
        .filter(|attempt| failed(attempt.verdict))
        .count();
    let failures = u32::try_from(failures)
        .unwrap_or(u32::MAX)
        .max(case.attempts.spent);
    later(case.now, backoff::wait(case.retry, failures, case.chance))
}

fn put_back(case: Case<'_>, due: Timestamp) -> Next {
    // One that expires meanwhile comes back in time to end on time.
    let due = case
        .expires
        .map_or(due, |expires| due.min(expires.max(case.now)));
    Next::PutBack(Back {
        due,
        maybe_delivered: case.maybe_delivered,
        consent: case.consent,
    })
}

/// What follows when the provider said that it has the message already, and the index was read since.
pub(crate) fn after_duplicate(found: bool, case: Case<'_>) -> Next {
    if found {
        return Next::Deliver { deduplicated: true };
    }
    let duplicates = case
        .attempts
        .list
        .iter()
        .filter(|attempt| attempt.verdict == Verdict::Duplicate);
    let first = duplicates
        .map(|attempt| attempt.at)
        .min()
        .unwrap_or(case.now);
    if case.now.duration_since(first) >= SETTLE_TIME {
        return Next::Die(Reason::UnknownOutcome);
    }
    let due = case.now.checked_add(LOOK_AGAIN).unwrap_or(Timestamp::MAX);
    Next::PutBack(Back {
        due,
        maybe_delivered: true,
        consent: case.consent,
    })
}

/// What follows when the index could not be read for now: the message waits, as long as `max_age` allows since its
/// generation's first attempt, or since it was `due` where no attempt is known. While the lane is paused nothing counts.
pub(crate) fn look_up_again(case: Case<'_>, due: Timestamp) -> Next {
    let again = match case.verdict {
        Verdict::RateLimited | Verdict::AccountProblem => case.paused_until.unwrap_or(case.now),
        _ => {
            let since = case.attempts.first_at.unwrap_or(due);
            if outlasts_max_age(since, case.retry, case.now) {
                return Next::Die(Reason::UnknownOutcome);
            }
            backed_off(case)
        }
    };
    Next::PutBack(Back {
        due: again,
        maybe_delivered: true,
        consent: case.consent,
    })
}

/// Why a message that is about to be sent ends instead. An unknown one is looked up before it is asked this.
pub(crate) fn before_attempt(
    attempts: &Attempts,
    retry: &RetryPolicy,
    expires: Option<Timestamp>,
    now: Timestamp,
) -> Option<Reason> {
    if expires.is_some_and(|expires| expires <= now) {
        Some(Reason::Expired)
    } else if attempts.spent >= retry.max_attempts && !was_duplicate(attempts) {
        Some(Reason::AttemptsExhausted)
    } else if attempts.last_verdict() == Some(Verdict::Unknown) && is_too_old(attempts, retry, now)
    {
        Some(Reason::TooOld)
    } else {
        None
    }
}

/// The provider said that it has the message: that is settled by [`after_duplicate`], however many attempts it takes.
fn was_duplicate(attempts: &Attempts) -> bool {
    attempts
        .list
        .iter()
        .any(|attempt| attempt.verdict == Verdict::Duplicate)
}

/// Whether retries outlast `max_age`, counted from the generation's first attempt: what only waited in a queue is
/// not old.
fn is_too_old(attempts: &Attempts, retry: &RetryPolicy, at: Timestamp) -> bool {
    attempts
        .first_at
        .is_some_and(|first| outlasts_max_age(first, retry, at))
}

fn outlasts_max_age(since: Timestamp, retry: &RetryPolicy, at: Timestamp) -> bool {
    let max_age = SignedDuration::try_from(retry.max_age).unwrap_or(SignedDuration::MAX);
    at.duration_since(since) > max_age
}

fn later(at: Timestamp, wait: Duration) -> Timestamp {
    at.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// What to do with a message that may have been delivered already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// Ask the provider first.
    LookUp,
    /// Send it again: a copy is possible.
    Send,
    /// Let a person decide.
    Park,
}

/// What to do with a message that may have been delivered already.
pub(crate) fn on_unknown(can_look_up: bool, on_unknown: OnUnknown, consent: bool) -> Unknown {
    match (can_look_up, on_unknown, consent) {
        (true, _, _) => Unknown::LookUp,
        (false, OnUnknown::Retry, _) | (false, _, true) => Unknown::Send,
        (false, OnUnknown::Park, false) => Unknown::Park,
    }
}

#[cfg(test)]
mod tests;
