use std::borrow::Cow;
use std::sync::Arc;

use axum::http::StatusCode;

use super::{Who, World};
use crate::answer::Answer;
use crate::book;
use crate::call::{Call, Page, Refusal, Request};
use crate::clock::Moment;
use crate::providers::groupme::{self, Kept};
use crate::providers::{Shape, grupo, pingup, raven, whatspie};
use crate::{Provider, number};

/// The providers' own work, once nothing keeps them from it.
impl World {
    /// Does what the call asks of the provider; `fault` is what the caller sees in place of the answer.
    pub(crate) fn work(
        &mut self,
        mut call: Call,
        shape: Shape,
        fault: Option<&'static str>,
        now: Moment,
    ) -> Answer {
        let who = self.who(&call);
        if let Some(Refusal { why, answer }) = call.problem.take() {
            return self.refuse(&call, who, why, answer, now);
        }
        match &call.request {
            Request::Send if call.provider == Provider::GroupMe => {
                self.send_to_group(call, who, shape, fault, now)
            }
            Request::Send => self.send(call, who, shape, fault, now),
            Request::Index(page) => self.index(*page, who, shape),
            Request::Me => groupme::myself(self.names.accounts[who.account as usize].user, shape),
            Request::Delete { id } => {
                let number = id.parse().map(number::number).unwrap_or(0);
                self.delete(&call, number, who, now)
            }
            Request::Unknown => {
                let answer = call.provider.error(StatusCode::NOT_FOUND, "Not Found");
                self.refuse(&call, who, "no such path".into(), answer, now)
            }
        }
    }

    fn send(
        &mut self,
        call: Call,
        who: Who,
        shape: Shape,
        fault: Option<&'static str>,
        now: Moment,
    ) -> Answer {
        let id = number::id(self.book.next() + 1);
        let answer = match call.provider {
            Provider::WhatsPie => whatspie::accepted(&call, id, now, shape),
            Provider::Raven => raven::accepted(id),
            Provider::Pingup => pingup::accepted(id),
            Provider::Grupo | Provider::GroupMe => grupo::accepted(shape),
        };
        self.accept(call, who, None, fault, now);
        answer
    }

    fn send_to_group(
        &mut self,
        call: Call,
        who: Who,
        shape: Shape,
        fault: Option<&'static str>,
        now: Moment,
    ) -> Answer {
        let guid: Arc<str> = call.source_guid.as_deref().unwrap_or_default().into();
        if self.groups.has(who.destination, &guid, now) {
            let answer = call.provider.error(
                StatusCode::CONFLICT,
                "Conflict: source_guid was used within the last minute",
            );
            return self.refuse(
                &call,
                who,
                "the same source_guid within a minute".into(),
                answer,
                now,
            );
        }
        let index = self.book.accepted.len();
        self.groups
            .add(who.destination, &guid, self.book.next() + 1, now);
        // The answer shows the body whether or not the book has room for it.
        let body = call.body.clone();
        self.accept(call, who, Some(guid), fault, now);
        let kept = Kept {
            body: &body,
            ..self.kept(index)
        };
        groupme::created(&kept, shape)
    }

    fn accept(
        &mut self,
        call: Call,
        who: Who,
        guid: Option<Arc<str>>,
        fault: Option<&'static str>,
        now: Moment,
    ) {
        let repeat = self
            .book
            .accept(call, (who.account, who.destination), guid, fault, now);
        let tally = self.traffic.tally(who.account);
        tally.received += 1;
        tally.repeats += u64::from(repeat);
    }

    fn index(&self, page: Page, who: Who, shape: Shape) -> Answer {
        let (count, numbers) = self.groups.page(who.destination, page);
        let kept = numbers
            .into_iter()
            .filter_map(|number| usize::try_from(number - 1).ok())
            .map(|index| self.kept(index));
        groupme::listed(count, kept, shape)
    }

    /// A message of GroupMe, by its position in the book.
    fn kept(&self, index: usize) -> Kept<'_> {
        let entry = &self.book.accepted[index];
        Kept {
            id: number::id(index as u64 + 1),
            created_at: entry
                .at
                .shifted(self.mischief.faults.clock_ahead_ms)
                .seconds(),
            user: self.names.accounts[entry.account as usize].user,
            group: self.names.destination_name(entry.destination),
            source_guid: entry.source_guid.as_deref().unwrap_or_default(),
            body: entry.body.as_deref().unwrap_or_default(),
        }
    }

    fn delete(&mut self, call: &Call, number: u64, who: Who, now: Moment) -> Answer {
        if !self.groups.delete(who.destination, number) {
            let answer = call
                .provider
                .error(StatusCode::NOT_FOUND, "message not found");
            return self.refuse(call, who, "no such message".into(), answer, now);
        }
        let entry = usize::try_from(number - 1)
            .ok()
            .and_then(|index| self.book.accepted.get_mut(index));
        if let Some(entry) = entry {
            entry.deleted_at = Some(now);
        }
        Answer::empty(StatusCode::NO_CONTENT)
    }

    pub(super) fn refuse(
        &mut self,
        call: &Call,
        who: Who,
        why: Cow<'static, str>,
        answer: Answer,
        at: Moment,
    ) -> Answer {
        self.write_refusal(call, who, answer.status.as_u16(), why, at);
        answer
    }

    pub(super) fn write_refusal(
        &mut self,
        call: &Call,
        who: Who,
        status: u16,
        why: Cow<'static, str>,
        at: Moment,
    ) {
        self.traffic.tally(who.account).refused += 1;
        self.book.refuse(book::Refusal {
            at,
            provider: call.provider,
            operation: call.operation(),
            account: who.account,
            destination: who.destination,
            source_guid: call.source_guid.clone(),
            status,
            why,
        });
    }
}
