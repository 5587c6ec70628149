//! The words of Tidings: what a message is, what can become of it, and how both are written down.
//!
//! Everything here is pure. Types parse once and are valid from then on; nothing reads a clock, a file, the
//! environment or the network. Time is passed in, and secrets are named here but fetched by binaries.

mod account;
mod attempt;
mod broker_url;
pub mod config;
mod delay;
mod fleet;
mod headers;
mod ledger;
mod letter;
mod message;
mod message_id;
mod moment;
pub mod object;
mod operation;
mod orders;
mod outcome;
mod pauses;
pub mod payload;
mod printable;
mod provider;
mod rate;
mod retry;
mod text;

pub use account::{Account, AccountError};
pub use attempt::{Attempt, Attempts, Verdict, mask};
pub use broker_url::{BrokerUrl, BrokerUrlError};
pub use config::Config;
pub use delay::{Delay, DelayError, PingupDelay};
pub use fleet::{Announcement, FleetView, LaneReport, LaneState, WorkerId};
pub use headers::Headers;
pub use ledger::{Decision, Left, Record, Tenure, Verdicted};
pub use letter::{DeadLetter, LetterHead, LetterMessage, LetterState};
pub use message::{
    DecodeError, Draft, Invalid, MAX_BODY_BYTES, MAX_METADATA_BYTES, Message, Metadata, Schedule,
    UndecodableHead,
};
pub use message_id::{MessageId, MessageIdError};
pub use moment::{Moment, MomentError};
pub use operation::{
    Audit, Began, Claim, Ended, LetterKey, OperationId, OperationIdError, Resolution, Verb,
};
pub use orders::{Order, Orders, Pause};
pub use outcome::{Outcome, Reason};
pub use pauses::{Paused, Pauses};
pub use payload::Payload;
pub use printable::printable;
pub use provider::Provider;
pub use rate::{Rate, RateError};
pub use retry::RetryPolicy;
