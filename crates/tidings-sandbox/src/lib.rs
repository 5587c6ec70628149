//! The five chat providers, pretended on one port of this machine, with faults on demand and a book of what they
//! received. Every integration test, demo and benchmark of Tidings calls this instead of the real APIs, and any other
//! program that integrates them can do the same.
//!
//! ```no_run
//! # async fn example() -> Result<(), tidings_sandbox::StartError> {
//! use std::time::Duration;
//! use tidings_sandbox::{Config, Fault, Faults, Provider, Sandbox};
//!
//! let sandbox = Sandbox::start(Config::default()).await?;
//! sandbox.set_faults(
//!     Faults::none()
//!         .fault(Fault::status(503).retry_after(Duration::from_secs(2)).on(Provider::GroupMe).first(3))
//!         .fault(Fault::timeout().after_recording().on(Provider::WhatsPie).probability(0.1)),
//! );
//! let base_url = sandbox.base_url(Provider::GroupMe);
//! // … point the code under test at `base_url` …
//! assert!(sandbox.received().is_empty());
//! sandbox.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! It knows the providers' pages and nothing of Tidings: no queue, no ledger, none of the worker's code, so that a mistake
//! made there is not repeated here. It decides under one lock, in memory, with the time passed in; only `desk` and
//! `routes` speak HTTP, and only `wire` touches a socket.

mod admin;
mod answer;
mod book;
mod call;
mod clock;
mod desk;
mod faults;
mod groups;
mod names;
mod number;
mod provider;
mod providers;
mod reading;
mod received;
mod routes;
mod sandbox;
mod spoil;
mod traffic;
mod wire;
mod world;

pub use faults::{Fault, Faults, FaultsError, Garbage, Latency, Limit, On, Per, Rate};
pub use names::fingerprint;
pub use provider::{Operation, Provider};
pub use received::{AccountSummary, Most, Part, Received, Refused, Summary, Tally};
pub use sandbox::{Config, Sandbox, StartError};
