//! The wire: one request out, one answer in, and whether anything was written where none came.

use std::{
    error::Error as _,
    time::{Duration, SystemTime},
};

use reqwest::{
    Response,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
    redirect, retry,
};
use rustls::ClientConfig;
use tidings_model::Verdict;

use crate::{
    answer::Answer,
    reply::{End, Reply},
    request::{Content, Request},
};

/// The most that is read of an answer, in bytes.
pub(crate) const ANSWER_LIMIT: usize = 64 * 1024;

/// Shorter than the five seconds after which Node.js and Apache close a connection: a request that is written while the
/// other side closes has an unknown outcome.
const IDLE: Duration = Duration::from_secs(4);

/// The longest wait for a connection. It is always less than the whole timeout, so that a provider that cannot be
/// reached is never taken for one that did not answer.
const CONNECT: Duration = Duration::from_secs(5);

/// The connections of one account.
#[derive(Debug)]
pub(crate) struct Http {
    client: reqwest::Client,
    timeout: Duration,
}

impl Http {
    /// `timeout` bounds a whole call, from the name to the last byte of the answer.
    pub(crate) fn new(
        credentials: HeaderMap,
        tls: ClientConfig,
        timeout: Duration,
        idle_connections: usize,
    ) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("tidings/", env!("CARGO_PKG_VERSION")))
            .default_headers(credentials)
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .referer(false)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .timeout(timeout)
            .connect_timeout(CONNECT.min(timeout / 2))
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(idle_connections)
            .build()?;
        Ok(Self { client, timeout })
    }

    /// Makes the call, and reads at most `limit` bytes of its answer's body.
    ///
    /// # Errors
    /// The verdict where no answer came: not sent where nothing was written, else unknown.
    pub(crate) async fn fetch(&self, request: Request, limit: usize) -> Result<Reply, Answer> {
        let call = self.client.request(request.method, request.url);
        let call = match request.content {
            Content::None => call,
            Content::Json(json) => call
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(json),
            Content::Form(form) => call.multipart(*form),
        };
        match call.send().await {
            Ok(response) => Ok(read(response, limit).await),
            Err(error) => Err(self.lost(&error)),
        }
    }

    fn lost(&self, error: &reqwest::Error) -> Answer {
        let why = causes(error);
        if never_written(error) {
            return Answer::without_reply(Verdict::NotSent, why);
        }
        let error = if error.is_timeout() {
            format!("no answer within {:?}", self.timeout)
        } else {
            format!("the request was begun, and no answer came: {why}")
        };
        Answer::without_reply(Verdict::Unknown, error)
    }
}

/// Whether it is sure that no byte of the request left: there was no connection (no name, no route, no TLS), or the one
/// that was kept alive had closed before the request was taken up.
fn never_written(error: &reqwest::Error) -> bool {
    let canceled = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<hyper::Error>()
            .is_some_and(hyper::Error::is_canceled)
    };
    error.is_builder() || error.is_connect() || chain(error).any(canceled)
}

/// What led to the error, down to the last cause; without the URL, which says nothing that the account does not.
fn causes(error: &reqwest::Error) -> String {
    let mut causes: Vec<_> = chain(error).map(ToString::to_string).collect();
    causes.dedup();
    if causes.is_empty() {
        return "the request could not be built".into();
    }
    causes.join(": ")
}

fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

async fn read(mut response: Response, limit: usize) -> Reply {
    let status = response.status().as_u16();
    let headers = std::mem::take(response.headers_mut());
    let mut body = Vec::new();
    let end = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                body.extend_from_slice(&chunk);
                if body.len() > limit {
                    body.truncate(limit);
                    break End::TooLong;
                }
            }
            Ok(None) => break End::Whole,
            Err(_) => break End::BrokenOff,
        }
    };
    Reply {
        status,
        headers,
        body,
        end,
        at: SystemTime::now(),
    }
}
