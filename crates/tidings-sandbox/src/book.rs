use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::call::Call;
use crate::clock::Moment;
use crate::names::{Names, fnv, fnv_on};
use crate::received::{Part, Received, Refused};
use crate::{Operation, Provider, number};

/// Refusals kept; the older ones are only counted.
const MOST_REFUSED: usize = 100_000;

/// What was accepted and what was refused: compact, because a benchmark writes hundreds of thousands.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) accepted: Vec<Accepted>,
    refused: VecDeque<Refusal>,
    /// Refusals that are only counted any more.
    refused_before: u64,
    pub(crate) refused_by_status: BTreeMap<u16, u64>,
    contents: HashSet<u64>,
    /// Bytes of bodies that may still be kept.
    room: usize,
}

#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) at: Moment,
    pub(crate) provider: Provider,
    pub(crate) account: u32,
    pub(crate) destination: u32,
    pub(crate) source_guid: Option<Arc<str>>,
    pub(crate) body: Option<Box<[u8]>>,
    body_bytes: u64,
    parts: Box<[Part]>,
    deliver_at: Option<Moment>,
    traceparent: Option<Box<str>>,
    fault: Option<&'static str>,
    pub(crate) deleted_at: Option<Moment>,
}

#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) at: Moment,
    pub(crate) provider: Provider,
    pub(crate) operation: Operation,
    pub(crate) account: u32,
    pub(crate) destination: u32,
    pub(crate) source_guid: Option<Box<str>>,
    /// 0 where there was no answer.
    pub(crate) status: u16,
    pub(crate) why: Cow<'static, str>,
}

impl Book {
    pub(crate) fn new(room: usize) -> Self {
        Self {
            accepted: Vec::new(),
            refused: VecDeque::new(),
            refused_before: 0,
            refused_by_status: BTreeMap::new(),
            contents: HashSet::new(),
            room,
        }
    }

    /// The number of the next message.
    pub(crate) fn next(&self) -> u64 {
        self.accepted.len() as u64
    }

    /// Writes a message down; whether it is a repeat.
    pub(crate) fn accept(
        &mut self,
        call: Call,
        (account, destination): (u32, u32),
        source_guid: Option<Arc<str>>,
        fault: Option<&'static str>,
        at: Moment,
    ) -> bool {
        let repeat = !self.contents.insert(content(&call, account, destination));
        let body = (!call.body.is_empty() && self.make_room(call.body.len()))
            .then(|| Box::from(&*call.body));
        let mut parts = call.parts;
        for text in parts.iter_mut().map(|part| &mut part.text) {
            if !text.as_ref().is_some_and(|text| self.make_room(text.len())) {
                *text = None;
            }
        }
        self.accepted.push(Accepted {
            at,
            provider: call.provider,
            account,
            destination,
            source_guid,
            body,
            body_bytes: call.body.len() as u64,
            parts,
            deliver_at: call.delay.map(|delay| at.plus(delay)),
            traceparent: call.traceparent,
            fault,
            deleted_at: None,
        });
        repeat
    }

    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        *self.refused_by_status.entry(refusal.status).or_default() += 1;
        if self.refused.len() == MOST_REFUSED {
            self.refused.pop_front();
            self.refused_before += 1;
        }
        self.refused.push_back(refusal);
    }

    pub(crate) fn received(&self, number: u64, names: &Names) -> Option<Received> {
        let entry = self.accepted.get(usize::try_from(number).ok()?)?;
        Some(Received {
            number,
            at: entry.at.rfc3339(),
            at_ms: entry.at.millis(),
            provider: entry.provider,
            account: names.fingerprint(entry.account).to_owned(),
            destination: names.destination_name(entry.destination).to_owned(),
            id: number::id(number + 1).to_string(),
            source_guid: entry.source_guid.as_deref().map(str::to_owned),
            deliver_at: entry.deliver_at.map(Moment::rfc3339),
            deliver_at_ms: entry.deliver_at.map(Moment::millis),
            body_bytes: entry.body_bytes,
            body: entry
                .body
                .as_deref()
                .and_then(|body| serde_json::from_slice(body).ok()),
            parts: entry.parts.to_vec(),
            traceparent: entry.traceparent.as_deref().map(str::to_owned),
            fault: entry.fault.map(str::to_owned),
            deleted_at: entry.deleted_at.map(Moment::rfc3339),
        })
    }

    /// The refusal with this number, or the oldest that is kept where that one is not.
    pub(crate) fn refused(&self, number: u64, names: &Names) -> Option<Refused> {
        let number = number.max(self.refused_before);
        let entry = self
            .refused
            .get(usize::try_from(number - self.refused_before).ok()?)?;
        Some(Refused {
            number,
            at: entry.at.rfc3339(),
            at_ms: entry.at.millis(),
            provider: entry.provider,
            operation: entry.operation,
            account: names.fingerprint(entry.account).to_owned(),
            destination: names.destination_name(entry.destination).to_owned(),
            source_guid: entry.source_guid.as_deref().map(str::to_owned),
            status: (entry.status > 0).then_some(entry.status),
            why: entry.why.clone().into_owned(),
        })
    }

    /// The number of the first message from that time on.
    pub(crate) fn received_since(&self, millis: u64) -> u64 {
        self.accepted
            .partition_point(|entry| entry.at.millis() < millis) as u64
    }

    /// The number of the first refusal from that time on.
    pub(crate) fn refused_since(&self, millis: u64) -> u64 {
        self.refused_before
            + self
                .refused
                .partition_point(|entry| entry.at.millis() < millis) as u64
    }

    fn make_room(&mut self, bytes: usize) -> bool {
        let left = self.room.checked_sub(bytes);
        self.room = left.unwrap_or(self.room);
        left.is_some()
    }
}

/// What makes two messages the same one: where they go and, where there is one, the guid, else all that was sent.
fn content(call: &Call, account: u32, destination: u32) -> u64 {
    let mut hash = fnv(&[account.to_be_bytes(), destination.to_be_bytes()].concat());
    if let Some(guid) = &call.source_guid {
        return fnv_on(hash, guid.as_bytes());
    }
    hash = fnv_on(hash, &call.body);
    for part in &call.parts {
        hash = fnv_on(hash, part.name.as_bytes());
        hash = fnv_on(hash, part.text.as_deref().unwrap_or_default().as_bytes());
        hash = fnv_on(hash, &part.size.to_be_bytes());
    }
    hash
}
