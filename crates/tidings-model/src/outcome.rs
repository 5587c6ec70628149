use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Account, MessageId, Metadata, Verdict};

/// Why a message ended dead.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The provider refused it: the same request would fail again.
    Rejected,
    /// `max_attempts` were spent.
    AttemptsExhausted,
    /// Retries outlasted `max_age`.
    TooOld,
    /// Its `expires_at` passed before it could be sent.
    Expired,
    /// It may have been delivered, and nobody can tell.
    UnknownOutcome,
    /// Its body is not a message.
    Undecodable,
    /// It was handed out again and again without a decision.
    Poison,
    /// No lane is there for its account.
    Unroutable,
}

impl Reason {
    /// Every reason, in the contract's order.
    pub const ALL: [Self; 8] = [
        Self::Rejected,
        Self::AttemptsExhausted,
        Self::TooOld,
        Self::Expired,
        Self::UnknownOutcome,
        Self::Undecodable,
        Self::Poison,
        Self::Unroutable,
    ];

    /// The word used in JSON, labels and filters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::AttemptsExhausted => "attempts-exhausted",
            Self::TooOld => "too-old",
            Self::Expired => "expired",
            Self::UnknownOutcome => "unknown-outcome",
            Self::Undecodable => "undecodable",
            Self::Poison => "poison",
            Self::Unroutable => "unroutable",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Reason {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.as_str() == text)
            .ok_or_else(|| {
                let valid = Self::ALL.map(Self::as_str).join(", ");
                format!("reason {text:?} is none of {valid}")
            })
    }
}

/// The end of a message's generation. Readers count (id, generation) once: the first in the ledger holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The provider accepted it.
    Delivered {
        /// The message.
        id: MessageId,
        /// Which replay of it; 0 as sent.
        generation: u32,
        /// Its account.
        account: Account,
        /// How many attempts were spent.
        attempts: u32,
        /// When it was decided.
        at: Timestamp,
        /// What the provider calls it, where it says.
        provider_message_id: Option<String>,
        /// The provider had it already: an earlier attempt had delivered it.
        deduplicated: bool,
        /// The caller's metadata.
        #[serde(default)]
        metadata: Metadata,
    },
    /// It will not be sent any more.
    Dead {
        /// The message.
        id: MessageId,
        /// Which replay of it; 0 as sent.
        generation: u32,
        /// Its account.
        account: Account,
        /// How many attempts were spent.
        attempts: u32,
        /// When it was decided.
        at: Timestamp,
        /// Why.
        reason: Reason,
        /// The last attempt's verdict, where there was one.
        last: Option<Verdict>,
        /// The caller's metadata.
        #[serde(default)]
        metadata: Metadata,
    },
}

impl Outcome {
    /// The message.
    #[must_use]
    pub fn id(&self) -> &MessageId {
        match self {
            Self::Delivered { id, .. } | Self::Dead { id, .. } => id,
        }
    }

    /// Which replay of it; 0 as sent.
    #[must_use]
    pub fn generation(&self) -> u32 {
        match self {
            Self::Delivered { generation, .. } | Self::Dead { generation, .. } => *generation,
        }
    }

    /// Its account.
    #[must_use]
    pub fn account(&self) -> &Account {
        match self {
            Self::Delivered { account, .. } | Self::Dead { account, .. } => account,
        }
    }

    /// When it was decided.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Delivered { at, .. } | Self::Dead { at, .. } => *at,
        }
    }

    /// Why it is dead; `None` where it was delivered.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Delivered { .. } => None,
            Self::Dead { reason, .. } => Some(*reason),
        }
    }
}
