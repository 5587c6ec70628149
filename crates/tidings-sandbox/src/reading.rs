//! The book written out as JSON: piece by piece, so that neither the lock nor the memory grows with it.

use std::convert::Infallible;

use futures::{Stream, stream};
use serde::{Deserialize, Serialize};

use crate::Provider;
use crate::desk::Desk;
use crate::names::fingerprint;
use crate::received::{Received, Refused};
use crate::world::World;

/// Entries written while the lock is held once.
const AT_ONCE: usize = 500;

/// Which entries of the book are wanted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Wanted {
    provider: Option<Provider>,
    /// A token or its fingerprint.
    account: Option<String>,
    destination: Option<String>,
    /// RFC 3339, or milliseconds since 1970.
    since: Option<String>,
    /// Entries with a greater number.
    after: Option<u64>,
    /// So many of each list at most.
    limit: Option<u64>,
}

/// The same, read.
#[derive(Debug)]
pub(crate) struct Filter {
    provider: Option<Provider>,
    account: Option<[String; 2]>,
    destination: Option<String>,
    since_ms: u64,
    from: u64,
    limit: u64,
}

impl Wanted {
    pub(crate) fn read(self) -> Result<Filter, String> {
        Ok(Filter {
            provider: self.provider,
            account: self.account.map(|account| [fingerprint(&account), account]),
            destination: self.destination,
            since_ms: self.since.as_deref().map_or(Ok(0), millis)?,
            from: self.after.map_or(0, |after| after.saturating_add(1)),
            limit: self.limit.unwrap_or(u64::MAX),
        })
    }
}

fn millis(text: &str) -> Result<u64, String> {
    let read = text.parse().ok().or_else(|| {
        let time: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(time.as_millisecond()).ok()
    });
    read.ok_or_else(|| format!("since {text:?} is neither RFC 3339 nor milliseconds since 1970"))
}

impl Filter {
    fn wants(&self, entry: &impl Entry) -> bool {
        let (provider, account, destination) = entry.whose();
        self.provider.is_none_or(|wanted| wanted == provider)
            && self
                .account
                .as_ref()
                .is_none_or(|either| either.iter().any(|wanted| wanted == account))
            && self
                .destination
                .as_ref()
                .is_none_or(|wanted| wanted == destination)
    }
}

/// What both lists of the book hold.
trait Entry: Serialize {
    fn number(&self) -> u64;
    fn whose(&self) -> (Provider, &str, &str);
}

impl Entry for Received {
    fn number(&self) -> u64 {
        self.number
    }

    fn whose(&self) -> (Provider, &str, &str) {
        (self.provider, &self.account, &self.destination)
    }
}

impl Entry for Refused {
    fn number(&self) -> u64 {
        self.number
    }

    fn whose(&self) -> (Provider, &str, &str) {
        (self.provider, &self.account, &self.destination)
    }
}

/// One reading of the book: `{"received": […], "refused": […], "summary": {…}}`.
#[derive(Debug)]
pub(crate) struct Reading {
    desk: Desk,
    filter: Filter,
    at: At,
}

/// How far a reading has come.
#[derive(Clone, Copy, Debug)]
enum At {
    Start,
    Received(Place),
    Refused(Place),
    End,
}

/// How far a list has been written.
#[derive(Clone, Copy, Debug)]
struct Place {
    next: u64,
    written: u64,
}

impl Reading {
    pub(crate) fn new(desk: Desk, filter: Filter) -> Self {
        Self {
            desk,
            filter,
            at: At::Start,
        }
    }

    pub(crate) fn pages(self) -> impl Stream<Item = Result<String, Infallible>> {
        stream::unfold(self, |mut reading| async move {
            reading.page().map(|page| (Ok(page), reading))
        })
    }

    /// The next piece of JSON.
    fn page(&mut self) -> Option<String> {
        let world = &*self.desk.world();
        let since = self.filter.since_ms;
        let mut out = String::new();
        self.at = match self.at {
            At::Start => {
                out.push_str("{\"received\":[");
                At::Received(self.start(world.book.received_since(since)))
            }
            At::Received(place) => {
                match self.few(place, &mut out, |n| world.book.received(n, &world.names)) {
                    Some(place) => At::Received(place),
                    None => {
                        out.push_str("],\"refused\":[");
                        At::Refused(self.start(world.book.refused_since(since)))
                    }
                }
            }
            At::Refused(place) => {
                match self.few(place, &mut out, |n| world.book.refused(n, &world.names)) {
                    Some(place) => At::Refused(place),
                    None => {
                        out.push_str(&end(world));
                        At::End
                    }
                }
            }
            At::End => return None,
        };
        Some(out)
    }

    fn start(&self, first: u64) -> Place {
        Place {
            next: first.max(self.filter.from),
            written: 0,
        }
    }

    /// Writes a few entries; where to go on, unless there are no more.
    fn few<E: Entry>(
        &self,
        mut place: Place,
        out: &mut String,
        entry: impl Fn(u64) -> Option<E>,
    ) -> Option<Place> {
        for _ in 0..AT_ONCE {
            let entry = entry(place.next).filter(|_| place.written < self.filter.limit)?;
            place.next = entry.number() + 1;
            if self.filter.wants(&entry) {
                out.push_str(if place.written > 0 { ",\n" } else { "\n" });
                out.push_str(&json(&entry));
                place.written += 1;
            }
        }
        Some(place)
    }
}

fn end(world: &World) -> String {
    format!("],\"summary\":{}}}\n", json(&world.summary()))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
