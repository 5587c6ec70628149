use std::borrow::Cow;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri, header};

use crate::answer::Answer;
use crate::received::Part;
use crate::{Operation, Provider};

/// A request as it came in, read to its end.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) headers: HeaderMap,
    pub(crate) uri: Uri,
    /// Empty where it was too large.
    pub(crate) body: Bytes,
    pub(crate) too_large: bool,
}

impl Arrival {
    /// The token of an `Authorization: Bearer` header.
    pub(crate) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self
            .header(header::AUTHORIZATION.as_str())?
            .split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn is_json(&self) -> bool {
        let content_type = self
            .header(header::CONTENT_TYPE.as_str())
            .unwrap_or_default();
        content_type
            .split(';')
            .next()
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    }
}

/// A request as its provider understands it. Reading one is pure; the world decides what comes of it.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) provider: Provider,
    pub(crate) request: Request,
    /// Empty where there was none.
    pub(crate) token: Box<str>,
    /// The group, user or phone; empty where the request names none.
    pub(crate) destination: Box<str>,
    pub(crate) source_guid: Option<Box<str>>,
    pub(crate) traceparent: Option<Box<str>>,
    pub(crate) body: Bytes,
    pub(crate) parts: Box<[Part]>,
    /// Pingup's own delay.
    pub(crate) delay: Option<Duration>,
    /// What is wrong with the request in itself.
    pub(crate) problem: Option<Refusal>,
}

/// What a call asks for, with what only that operation needs.
#[derive(Debug)]
pub(crate) enum Request {
    Send,
    Index(Page),
    Me,
    Delete { id: Box<str> },
    Unknown,
}

/// Which messages of a group a GroupMe index call asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    pub(crate) from: From,
    pub(crate) limit: usize,
}

/// Where a page starts, by a message's number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From {
    Newest,
    Before(u64),
    Since(u64),
    After(u64),
}

/// A refusal: the reason for the book, the answer for the caller.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) why: Cow<'static, str>,
    pub(crate) answer: Answer,
}

impl Call {
    pub(crate) fn new(
        provider: Provider,
        request: Request,
        token: Option<&str>,
        arrival: &Arrival,
    ) -> Self {
        let problem = if arrival.too_large {
            Some(provider.refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"))
        } else {
            token
                .unwrap_or_default()
                .is_empty()
                .then(|| provider.unauthorized("no token"))
        };
        Self {
            provider,
            request,
            token: token.unwrap_or_default().into(),
            destination: Box::default(),
            source_guid: None,
            traceparent: arrival.header("traceparent").map(Into::into),
            body: arrival.body.clone(),
            parts: Box::default(),
            delay: None,
            problem,
        }
    }

    /// Says what is wrong with the request; the first word counts.
    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        self.problem.get_or_insert(refusal);
    }

    pub(crate) fn operation(&self) -> Operation {
        match self.request {
            Request::Send => Operation::Send,
            Request::Index(_) => Operation::Index,
            Request::Me => Operation::Me,
            Request::Delete { .. } => Operation::Delete,
            Request::Unknown => Operation::Unknown,
        }
    }
}
