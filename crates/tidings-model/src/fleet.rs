mod view;

use std::{fmt, sync::Arc, time::Duration};

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

pub use self::view::FleetView;
use crate::{Account, Orders, Rate};

/// Names one running worker process. Never used again by another.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(Arc<str>);

impl WorkerId {
    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Arc<str>>> From<T> for WorkerId {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for WorkerId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "WorkerId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// What a worker tells the fleet, on every change and each second or two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Announcement {
    /// Who speaks.
    pub worker: WorkerId,
    /// Counts up with each announcement of this worker, so that a late one is known.
    pub sequence: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The accounts that the worker can serve.
    pub accounts: Vec<Account>,
    /// Those of them at whose lane it has a place, and is not letting go of it.
    pub subscribed: Vec<Account>,
    /// The lanes that it serves, or is about to.
    pub lanes: Vec<LaneReport>,
    /// It is stopping, and takes no new lane.
    pub draining: bool,
}

/// How one lane does, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LaneReport {
    /// The lane's account.
    pub account: Account,
    /// Who serves it, where that is known.
    pub owner: Option<WorkerId>,
    /// What it does.
    pub state: LaneState,
    /// The account's limit in force.
    pub rate: Rate,
    /// Calls under way.
    pub in_flight: usize,
    /// Messages in the queue that nobody holds yet, where known.
    pub ready: Option<u64>,
    /// Until when the lane is paused.
    pub paused_until: Option<Timestamp>,
    /// Why it is paused, in words.
    pub why: Option<String>,
    /// What operators asked of the lane while it runs, as far as the owner keeps to it by now.
    #[serde(default, skip_serializing_if = "Orders::is_empty")]
    pub orders: Orders,
}

impl LaneReport {
    /// How long what waits takes at the allowed rate; `None` where it is not known how much waits.
    #[must_use]
    pub fn drain(&self) -> Option<Duration> {
        self.ready.map(|ready| self.rate.time_for(ready))
    }
}

/// What a lane does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LaneState {
    /// It has no place at the lane: another worker owns it, or the broker is away.
    Standby,
    /// It has a place at the lane, and nothing has come yet.
    Idle,
    /// Reading the ledger up to the tenure's opening.
    Opening,
    /// Taking messages and sending them.
    Running,
    /// Waiting out a rate limit, an account problem or an operator's pause.
    Paused,
    /// Trying one message before it opens fully.
    Probing,
    /// Letting calls in flight finish before it lets the lane go.
    Draining,
}

impl LaneState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Standby,
        Self::Idle,
        Self::Opening,
        Self::Running,
        Self::Paused,
        Self::Probing,
        Self::Draining,
    ];

    /// The word used in JSON and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standby => "standby",
            Self::Idle => "idle",
            Self::Opening => "opening",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Probing => "probing",
            Self::Draining => "draining",
        }
    }
}
