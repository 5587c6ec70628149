//! What follows from a decision once it is in the ledger: its effect, confirmed, and then the acknowledgement.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use lapin::types::ShortString;
use serde::Deserialize;
use tidings_model::{Account, Headers, LetterHead, MessageId, object};
use tokio::sync::mpsc;

use super::{
    codec,
    names::{delay_key, farthest, wait},
    publisher::{Failure, Job},
    session::Session,
};
use crate::{
    Effect, Envelope, Event, LaneName,
    fault::{Point, reached},
};

/// One's place at a lane, as those see it who settle its deliveries.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) session: Arc<Session>,
    pub(super) lane: LaneName,
    pub(super) to_lane: mpsc::UnboundedSender<ToLane>,
}

/// What a lane is told.
#[derive(Debug)]
pub(super) enum ToLane {
    /// All but the acknowledgement is done.
    Finished(u64),
    /// It cannot go on; in words, why.
    Failed(String),
    /// It is to be let go.
    Close(tokio::sync::oneshot::Sender<()>),
}

/// A delivery whose decision is known.
#[derive(Debug)]
pub(super) struct Settling {
    pub(super) held: Arc<Held>,
    pub(super) tag: u64,
    pub(super) body: Bytes,
    pub(super) effect: Effect,
    /// What subscribers are told once the ledger has the decision.
    pub(super) event: Option<Event>,
}

/// As much of a body as is needed to send a copy on its way.
#[derive(Deserialize)]
struct Whose {
    id: Option<MessageId>,
    account: Option<Account>,
}

impl Settling {
    /// The ledger has the decision.
    pub(super) fn recorded(mut self) {
        reached(Point::Recorded);
        if let Some(event) = self.event.take() {
            self.held.session.tell(event);
        }
        self.take_effect();
    }

    /// Makes the effect. Where the lane is gone, whoever gets the message again does.
    pub(super) fn take_effect(mut self) {
        if self.held.to_lane.is_closed() {
            return;
        }
        match std::mem::replace(&mut self.effect, Effect::Done) {
            Effect::Done => self.finished(),
            Effect::PutBack(headers) => self.put_back(*headers),
            Effect::Bury(head) => self.bury(&head),
        }
    }

    /// It cannot be settled: the lane must not go on as if it were.
    pub(super) fn failed(&self, why: &str) {
        let _ = self.held.to_lane.send(ToLane::Failed(why.to_owned()));
    }

    fn finished(self) {
        reached(Point::Effected);
        let _ = self.held.to_lane.send(ToLane::Finished(self.tag));
    }

    fn bury(self, head: &LetterHead) {
        let session = self.held.session.clone();
        session.effects.publish(Job {
            exchange: session.names.dead(),
            key: "".into(),
            properties: codec::letter(head),
            body: self.body.clone(),
            done: Box::new(move |result| match result {
                Ok(()) => self.finished(),
                Err(failure) => self.failed(&format!("a dead letter was not taken: {failure}")),
            }),
        });
    }

    fn put_back(self, headers: Headers) {
        let whose: Option<Whose> = object::read(&self.body).ok();
        let (id, account) = whose.map_or((None, None), |whose| (whose.id, whose.account));
        let account = match &self.held.lane {
            LaneName::Account(account) => Some(account.clone()),
            LaneName::Unroutable => account,
        };
        match account {
            Some(account) => self.put_back_to(&account, id, headers),
            None => self.failed("a message of no account cannot be put back"),
        }
    }

    fn put_back_to(self, account: &Account, id: Option<MessageId>, headers: Headers) {
        let session = self.held.session.clone();
        let now = Timestamp::now();
        // Whoever publishes can ask for any time. One beyond the delays' reach comes before it is due, and is put back again.
        let due = headers.due.map(|due| due.min(farthest(now)));
        let way = match Way::of(&session, account, due, now) {
            Ok(way) => way,
            Err(why) => return self.failed(&format!("a message cannot be put back: {why}")),
        };
        let direct = !way.delayed;
        let account = account.clone();
        session.effects.publish(Job {
            properties: codec::message(id.as_ref(), &headers),
            exchange: way.exchange,
            key: way.key,
            body: self.body.clone(),
            done: Box::new(move |result| match result {
                Ok(()) => self.finished(),
                // Its lane is bound no longer. At the end of the delays such a message becomes a dead letter.
                Err(Failure::Returned) if direct => {
                    let due = Some(Timestamp::now() + jiff::SignedDuration::from_secs(1));
                    self.put_back_to(&account, id, Headers { due, ..headers });
                }
                Err(failure) => self.failed(&format!("a copy was not taken: {failure}")),
            }),
        });
    }
}

/// Where a message is published: to its lane, or to the delays.
pub(super) struct Way {
    pub(super) exchange: ShortString,
    pub(super) key: ShortString,
    pub(super) delayed: bool,
}

impl Way {
    pub(super) fn of(
        session: &Session,
        account: &Account,
        due: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Self, String> {
        Ok(match wait(due, now)? {
            Some(seconds) => Self {
                exchange: session.names.delay(),
                key: delay_key(seconds, account),
                delayed: true,
            },
            None => Self {
                exchange: session.names.dispatch(),
                key: account.as_str().into(),
                delayed: false,
            },
        })
    }

    /// A producer's message on this way.
    pub(super) fn job(self, envelope: Envelope, done: super::publisher::Done) -> Job {
        Job {
            exchange: self.exchange,
            key: self.key,
            properties: codec::message(Some(&envelope.id), &envelope.headers),
            body: envelope.body,
            done,
        }
    }
}
