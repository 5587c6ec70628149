use std::{collections::HashMap, time::Duration};

use tidings_model::Verdict;
use tokio::time::Instant;

/// What one attempt showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its class: what follows is decided by this alone.
    pub verdict: Verdict,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The provider's words, or what went wrong on the way; absent for what was delivered. The secret is masked, and
    /// it is at most [`tidings_model::Attempt::MAX_ERROR`] characters long.
    pub error: Option<String>,
    /// How long the provider asks to be left alone, whatever the verdict: more than nothing, at most an hour.
    pub retry_after: Option<Duration>,
    /// The provider's name for the message, where it gave one.
    pub provider_message_id: Option<String>,
    /// Whether the next message would fare no better for now, so that the lane should pause: the account is limited or
    /// does not work, its device is not connected, or the provider is unavailable and says for how long.
    pub pauses_lane: bool,
}

impl Answer {
    /// What is known without an answer of the provider.
    pub(crate) fn without_reply(verdict: Verdict, error: impl Into<String>) -> Self {
        Self {
            verdict,
            status: None,
            error: Some(error.into()),
            retry_after: None,
            provider_message_id: None,
            pauses_lane: false,
        }
    }
}

/// What GroupMe's index showed of some messages.
#[derive(Debug)]
pub enum LookUp {
    /// The index was read back far enough, or until all were found.
    Read {
        /// GroupMe's id of each `source_guid` that is there. What is missing was not there when the reading began.
        found: HashMap<String, String>,
        /// When the reading began: what came to the group later may be missing.
        read_at: Instant,
    },
    /// The index will not tell, today or later: why, in words.
    CannotTell(String),
    /// Not this time: rate limited, account problem or not sent. Nothing was learned, and nothing was sent.
    Failed(Answer),
}

/// Whether an account's secret works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// The provider knows it.
    Works,
    /// The provider refuses it, in its words.
    Refused(String),
    /// The provider did not say: what happened instead.
    CannotTell(String),
    /// The provider has no call that tries a secret and does nothing else.
    NoHarmlessCall,
}

/// What became of a delivered message that was to be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone.
    Deleted,
    /// It is not, as far as is known.
    Failed(Answer),
    /// The provider has no such call.
    NotPossible,
}
