//! What a broker must do for Tidings (the port), and the two that do it: RabbitMQ for every fleet, and an embedded
//! one (SQLite) for a single host.
//!
//! The port speaks of messages, lanes, the ledger, dead letters and the fleet. Channels, tags, exchanges and tables
//! stay in the adapters: if a signature here needs one, the port is drawn in the wrong place. What a message means,
//! what a provider is and when to try again is never known here.

mod delays;
mod embedded;
mod error;
pub mod fault;
mod fence;
mod lane;
mod ledger;
mod port;
mod rabbitmq;
mod topology;

use std::sync::Arc;

use tidings_model::BrokerUrl;

pub use delays::{DelayLevel, Delays, Moves};
pub use error::{BrokerError, PublishError};
pub use fence::{FENCE, Fence};
pub use lane::{Delivery, Effect, Event, Lane, LaneEvent, LaneName, Settle, Settlement, Ticket};
pub use ledger::{DeadEntry, DeadRecord, EntryKind, LedgerEntry, Position, ReadFrom, ReadUntil};
pub use port::{Broker, Confirmation, Depth, Envelope, Options};
pub use topology::{Difference, Topology};

/// Connects to the broker that a URL names.
///
/// The first connection must succeed; whatever breaks it later, it is made again, for ever.
///
/// # Errors
/// When the broker cannot be reached, refuses the credentials, or is too old.
pub async fn connect(url: &BrokerUrl, options: Options) -> Result<Arc<dyn Broker>, BrokerError> {
    match url {
        BrokerUrl::Sqlite(path) => Ok(Arc::new(embedded::Embedded::open(path, options).await?)),
        BrokerUrl::Amqp(url) => Ok(Arc::new(rabbitmq::RabbitMq::connect(url, options).await?)),
    }
}
