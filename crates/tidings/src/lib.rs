//! Hands chat messages to Tidings, and tells what became of them.
//!
//! A backend service needs this crate alone: [`Tidings::connect`] with the broker's URL, [`Tidings::send`] a [`Draft`],
//! and, where it wants to know, [`Tidings::outcomes`]. Sending is done once the broker has the message for good; the
//! workers make the provider's call later, within the account's limits, and write its outcome to the ledger.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let url = format!("sqlite:{}", folder.path().join("tidings.db").display());
//! use tidings::{Draft, Tidings, Topology, payload::groupme};
//!
//! let tidings = Tidings::connect(&url).await?; // sqlite:PATH here; amqp://user:password@host/vhost for a fleet
//! tidings.apply(&Topology::of(["groupme.ops".parse()?])).await?; // an operator's `tidings topology apply` does this
//!
//! let text = groupme::Text::to("1234567").text("Deploy finished").build()?;
//! let receipt = tidings.send(Draft::new("groupme.ops".parse()?, text).expires_in("1h".parse()?)).await?;
//! println!("queued as {}", receipt.id);
//! # tidings.close().await;
//! # Ok(()) }
//! ```
//!
//! It knows nothing of HTTP, of credentials, or of how a message is retried: those are the workers'. It reads neither
//! the environment nor files; only the `tidings` command does.

mod client;
mod error;
mod options;
mod outcomes;
mod outgoing;
mod patience;
mod send;

pub use client::Tidings;
pub use error::{ConnectError, SendError};
pub use options::Options;
pub use outcomes::Outcomes;
pub use outgoing::{Outgoing, TraceParent, TraceParentError};
pub use send::Receipt;

pub use tidings_broker::{BrokerError, Difference, Topology};
pub use tidings_model::{
    Account, AccountError, BrokerUrlError, Delay, DelayError, Draft, Invalid, MAX_BODY_BYTES,
    MAX_METADATA_BYTES, MessageId, MessageIdError, Metadata, Outcome, PingupDelay, Provider,
    Reason, Verdict, config::Prefix, payload,
};
