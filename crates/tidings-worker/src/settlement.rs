//! Turns what follows into what is written: the ledger's record, its effect, and the event.

use jiff::Timestamp;
use tidings_broker::{Effect, Event, Settlement};
use tidings_model::{
    Account, Attempt, Decision, Headers, LetterHead, MessageId, Metadata, Outcome, Reason, Record,
    Verdicted,
};

use crate::{
    memory::Died,
    policy::{Back, Next},
};

/// A turn of a message that is decided now.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pub(crate) id: &'a MessageId,
    pub(crate) account: &'a Account,
    pub(crate) metadata: &'a Metadata,
    /// As it was handed out, with the attempt of this turn added to its attempts.
    pub(crate) headers: &'a Headers,
    /// The attempt of this turn, where one was made.
    pub(crate) attempt: Option<Attempt>,
    /// Whether an attempt may have delivered it.
    pub(crate) maybe_delivered: bool,
    /// What the provider calls it, where it said.
    pub(crate) provider_message_id: Option<String>,
    pub(crate) events: bool,
    pub(crate) now: Timestamp,
}

impl Turn<'_> {
    /// The decision, and how it is written.
    pub(crate) fn settle(mut self, next: Next) -> (Decision, Settlement) {
        let (verdicted, effect) = match next {
            Next::Deliver { deduplicated } => (self.delivered(deduplicated), Effect::Done),
            Next::Die(reason) => (
                self.dead(reason),
                Effect::Bury(Box::new(self.letter(reason))),
            ),
            Next::PutBack(back) => (
                self.put_back(back),
                Effect::PutBack(Box::new(self.copy(back))),
            ),
        };
        let decision = Decision {
            turn: self.headers.turn,
            attempt: self.attempt.take(),
            verdicted,
        };
        let event = self.events.then(|| self.event(&decision)).flatten();
        let record = Record::Decided(Box::new(decision.clone()));
        (
            decision,
            Settlement {
                record: Some(record),
                effect,
                event,
            },
        )
    }

    fn delivered(&mut self, deduplicated: bool) -> Verdicted {
        let outcome = Outcome::Delivered {
            id: self.id.clone(),
            generation: self.headers.generation,
            account: self.account.clone(),
            attempts: self.headers.attempts.spent,
            at: self.now,
            provider_message_id: self.provider_message_id.take(),
            deduplicated,
            metadata: self.metadata.clone(),
        };
        Verdicted::Ended {
            outcome,
            maybe_delivered: false,
        }
    }

    fn dead(&self, reason: Reason) -> Verdicted {
        let outcome = Outcome::Dead {
            id: self.id.clone(),
            generation: self.headers.generation,
            account: self.account.clone(),
            attempts: self.headers.attempts.spent,
            at: self.now,
            reason,
            last: self.headers.attempts.last_verdict(),
            metadata: self.metadata.clone(),
        };
        Verdicted::Ended {
            outcome,
            maybe_delivered: self.maybe_delivered,
        }
    }

    fn put_back(&self, back: Back) -> Verdicted {
        Verdicted::PutBack {
            id: self.id.clone(),
            generation: self.headers.generation,
            account: self.account.clone(),
            at: self.now,
            due: back.due,
            maybe_delivered: back.maybe_delivered,
            consent: back.consent,
        }
    }

    fn copy(&self, back: Back) -> Headers {
        let mut copy = self.headers.clone();
        copy.turn = copy.turn.saturating_add(1);
        copy.due = Some(back.due);
        copy.maybe_delivered = back.maybe_delivered;
        copy.consent = back.consent;
        copy
    }

    fn letter(&self, reason: Reason) -> LetterHead {
        LetterHead {
            id: Some(self.id.clone()),
            account: Some(self.account.clone()),
            reason,
            attempts: self.headers.attempts.list.clone(),
            dead_at: self.now,
            generation: self.headers.generation,
            maybe_delivered: self.maybe_delivered,
            stood_at: None,
        }
    }

    fn event(&self, decision: &Decision) -> Option<Event> {
        let (kind, json) = match &decision.verdicted {
            Verdicted::Ended { outcome, .. } => {
                let kind = if outcome.reason().is_some() {
                    "dead"
                } else {
                    "delivered"
                };
                (kind, serde_json::to_vec(outcome))
            }
            // What merely waits for a limit or its time is no retry.
            Verdicted::PutBack { .. } if decision.attempt.is_none() => return None,
            Verdicted::PutBack { .. } => ("retrying", serde_json::to_vec(decision)),
        };
        Some(Event {
            kind,
            account: self.account.clone(),
            json: json.ok()?.into(),
        })
    }
}

/// The dead letter of a remembered death, for a copy that came again.
pub(crate) fn letter_again(
    id: &MessageId,
    account: &Account,
    died: &Died,
    headers: Headers,
) -> Effect {
    Effect::Bury(Box::new(LetterHead {
        id: Some(id.clone()),
        account: Some(account.clone()),
        reason: died.reason,
        attempts: headers.attempts.list,
        dead_at: died.at,
        generation: headers.generation,
        maybe_delivered: died.maybe_delivered,
        stood_at: None,
    }))
}

/// Names a body that has no id of its own, the same each time it comes: a digest of its bytes.
pub(crate) fn digest_id(body: &[u8]) -> MessageId {
    // FNV-1a, twice with different offsets: stable over processes and versions, which the standard hashers are not.
    let fnv = |offset: u64| {
        body.iter().fold(offset, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    let text = format!(
        "undecodable-{:016x}{:016x}",
        fnv(0xcbf2_9ce4_8422_2325),
        fnv(0x9ae1_6a3b_2f90_404f)
    );
    text.parse()
        .unwrap_or_else(|_| unreachable!("44 hexadecimal digits and letters are an id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_without_an_id_is_named_by_its_bytes() {
        assert_eq!(digest_id(b"x"), digest_id(b"x"));
        assert_ne!(digest_id(b"x"), digest_id(b"y"));
    }
}
