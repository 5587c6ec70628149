//! Reading a group's index: newest first, page after page, back to a moment.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    ops::ControlFlow,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use tidings_model::{
    Verdict,
    object::{self, Object},
};

use crate::{
    answer::Answer,
    id::Id,
    reply::Reply,
    request::{Base, Request, encoded},
};

/// The most that is read of a page, in bytes: a hundred messages of a thousand characters, each with attachments and with
/// those who liked it, are far more than the answer to any other call.
pub(crate) const PAGE_LIMIT: usize = 4 * 1024 * 1024;

/// After so many pages, which are 30,000 messages, the index is taken for one that does not end.
const MOST_PAGES: u32 = 300;

/// How far the clocks of our hosts may be apart, with room to spare; GroupMe's times are whole seconds besides.
const CLOCKS: Duration = Duration::from_secs(10);

/// A reading of a group's index, as far as it has come.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    since: Timestamp,
    wanted: HashSet<&'a str>,
    found: HashMap<String, String>,
    /// The oldest message read: the next page is before it.
    before: Option<String>,
    /// Where to stop, by GroupMe's clock: known with the first page.
    until: Option<i64>,
    pages: u32,
}

/// How a reading ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// All that was wanted is found, or is not there.
    Read(HashMap<String, String>),
    /// The index will not tell, in words.
    CannotTell(String),
    /// Not this time.
    Failed(Answer),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Index<'a> {
    #[serde(borrow)]
    response: Option<Object<Page<'a>>>,
    #[serde(borrow)]
    messages: Option<Vec<Object<Entry<'a>>>>,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    messages: Vec<Object<Entry<'a>>>,
}

#[derive(Debug, Deserialize)]
struct Entry<'a> {
    id: Id,
    #[serde(borrow)]
    source_guid: Option<Cow<'a, str>>,
    created_at: i64,
}

impl<'a> Reading<'a> {
    /// Begins to look for these `source_guid`s among what came to the group since then, by our clock.
    pub(crate) fn new(since: Timestamp, wanted: &[&'a str]) -> Self {
        Self {
            since,
            wanted: wanted.iter().copied().collect(),
            found: HashMap::new(),
            before: None,
            until: None,
            pages: 0,
        }
    }

    /// The next page to ask for.
    pub(crate) fn request(&self, base: &Base, group: &str) -> Request {
        let mut url = base.join(["groups", group, "messages"]);
        url.push_str("?limit=100");
        if let Some(before) = &self.before {
            url.push_str(&format!("&before_id={}", encoded(before)));
        }
        Request::bare(Method::GET, url)
    }

    /// Takes a page in; breaks off at the end of the reading. A 401 is [`End::Failed`] as an account problem here: whether
    /// the token works is not known yet.
    pub(crate) fn take(&mut self, reply: &Reply) -> ControlFlow<End> {
        match reply.status {
            200 => self.take_page(reply),
            // No messages: GroupMe answers so where there is nothing, or nothing more.
            304 => ControlFlow::Break(self.read()),
            _ => ControlFlow::Break(refused(reply)),
        }
    }

    fn take_page(&mut self, reply: &Reply) -> ControlFlow<End> {
        let index: Index<'_> = object::read(&reply.body).unwrap_or_default();
        let Some(page) = index
            .response
            .map(|Object(page)| page.messages)
            .or(index.messages)
        else {
            return ControlFlow::Break(unreadable(reply));
        };
        let until = *self.until.get_or_insert_with(|| stop(self.since, reply));
        self.pages += 1;
        for Object(entry) in &page {
            self.note(entry);
        }
        let Some(Object(oldest)) = page.last() else {
            return ControlFlow::Break(self.read());
        };
        if oldest.created_at < until || self.found.len() == self.wanted.len() {
            return ControlFlow::Break(self.read());
        }
        let before = oldest.id.as_str();
        if self.pages >= MOST_PAGES || self.before.as_deref() == Some(before) {
            let pages = self.pages;
            return ControlFlow::Break(End::CannotTell(format!(
                "the index did not end within {pages} pages"
            )));
        }
        self.before = Some(before.to_owned());
        ControlFlow::Continue(())
    }

    fn note(&mut self, entry: &Entry<'_>) {
        let Some(guid) = entry
            .source_guid
            .as_deref()
            .filter(|guid| self.wanted.contains(guid))
        else {
            return;
        };
        self.found
            .entry(guid.to_owned())
            .or_insert_with(|| entry.id.as_str().to_owned());
    }

    fn read(&mut self) -> End {
        End::Read(std::mem::take(&mut self.found))
    }
}

/// The second, by GroupMe's clock, before which nothing wanted was created. Its clock can only make the reading longer: a
/// wrong `Date` must not hide a message.
fn stop(since: Timestamp, reply: &Reply) -> i64 {
    let behind = reply
        .date()
        .and_then(|date| reply.at.duration_since(date).ok())
        .unwrap_or_default();
    let since = SystemTime::from(since);
    let stop = since
        .checked_sub(behind.saturating_add(CLOCKS))
        .and_then(|stop| Timestamp::try_from(stop).ok());
    stop.map_or(i64::MIN, Timestamp::as_second)
}

/// A page too long to be read will be as long the next time; any other may be whole then.
fn unreadable(reply: &Reply) -> End {
    let answer = reply.unreadable("messages");
    match (reply.end, answer.error) {
        (crate::reply::End::TooLong, Some(error)) => End::CannotTell(error),
        (_, error) => End::Failed(Answer {
            verdict: Verdict::NotSent,
            error,
            ..answer
        }),
    }
}

/// What another status means for a look-up, which sends nothing: what is unknown of a message is just not sent here.
fn refused(reply: &Reply) -> End {
    let answer = super::answer(reply);
    match answer.verdict {
        Verdict::RateLimited | Verdict::AccountProblem => End::Failed(answer),
        Verdict::Rejected | Verdict::Duplicate => End::CannotTell(format!(
            "the index answered {}: {}",
            reply.status,
            reply.words()
        )),
        _ => End::Failed(Answer {
            verdict: Verdict::NotSent,
            ..answer
        }),
    }
}

#[cfg(test)]
mod tests;
