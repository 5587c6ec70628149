//! The five providers: for each a module that turns a message into a request, and an answer into a verdict.
//!
//! [`Client`] makes the calls, and this crate is the only one that makes any. What an answer means is decided apart
//! from that, by pure functions that get status, headers, bytes and the time. An answer is judged by its status and by
//! the fields that are there, never by a whole body, because no page shows them all; its words are kept for people.
//!
//! Whatever a provider does, a call ends in an [`Answer`] within the account's timeout: there are no errors beside it,
//! and nothing that comes over the network can make this crate panic. Where it is in doubt whether a message was
//! accepted, the verdict is unknown. No call is repeated here, no redirect followed.
//!
//! The crate knows no broker, lane, limit or policy: it says what one call showed, never what follows from it.

mod account;
mod answer;
mod client;
mod groupme;
mod grupo;
mod http;
mod id;
mod pingup;
mod raven;
mod reply;
mod request;
mod tls;
mod whatspie;
mod words;

#[cfg(test)]
mod any_answer;

pub use account::ClientError;
pub use answer::{Answer, Check, Deletion, LookUp};
pub use client::Client;
