use std::{fmt, time::Duration};

use tidings_model::{Account, Config};

/// What must be there on a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// The accounts that have a lane.
    pub accounts: Vec<Account>,
    /// How long the ledger is kept.
    pub ledger_max_age: Duration,
    /// How long dead letters are kept.
    pub dead_max_age: Duration,
}

impl Topology {
    /// What these accounts need, with the contract's ages: a ledger of 7 days, dead letters of 180.
    #[must_use]
    pub fn of(accounts: impl IntoIterator<Item = Account>) -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Self {
            accounts: accounts.into_iter().collect(),
            ledger_max_age: 7 * DAY,
            dead_max_age: 180 * DAY,
        }
    }
}

impl From<&Config> for Topology {
    fn from(config: &Config) -> Self {
        Self {
            accounts: config.accounts.keys().cloned().collect(),
            ledger_max_age: config.ledger_max_age,
            dead_max_age: config.dead_max_age,
        }
    }
}

/// One thing on the broker that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What: "queue tidings.lane.groupme-ops".
    pub what: String,
    /// What is wrong with it, in words.
    pub why: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}
