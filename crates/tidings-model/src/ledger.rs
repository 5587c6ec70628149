use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Account, Attempt, MessageId, Orders, Outcome, Paused, Pauses, WorkerId};

/// One line of the ledger: a decision, or a note about a tenure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Record {
    /// What was decided for one turn of a message.
    Decided(Box<Decision>),
    /// A worker opened a lane. It makes calls only once it has read this back.
    Opened {
        /// Which tenure.
        #[serde(flatten)]
        tenure: Tenure,
        /// When it was written.
        at: Timestamp,
    },
    /// A worker lets a lane go and says what it leaves behind.
    Note {
        /// Which tenure.
        #[serde(flatten)]
        tenure: Tenure,
        /// When it was written.
        at: Timestamp,
        /// Which messages may have been sent.
        left: Left,
        /// The lane's pauses.
        #[serde(default)]
        pauses: Pauses,
    },
    /// A lane is paused: whoever owns it next keeps to that.
    Paused {
        /// The lane.
        account: Account,
        /// How.
        #[serde(flatten)]
        paused: Paused,
    },
    /// A call showed that the account works: the lane's pauses that began by then are over.
    Reopened {
        /// The lane.
        account: Account,
        /// When.
        at: Timestamp,
    },
    /// An operator asks something of a lane: whoever owns it keeps to that.
    Ordered {
        /// The lane.
        account: Account,
        /// What is asked, and nothing of what was asked before.
        orders: Box<Orders>,
    },
    /// All that operators asked of a lane and that stands, and what its next owner must know. Written again and again, since the ledger forgets.
    Standing {
        /// The lane.
        account: Account,
        /// When it was written.
        at: Timestamp,
        /// What stands; often nothing.
        orders: Box<Orders>,
        /// The newest tenure that could have left anything, and its note where it wrote one: who starts later than that need
        /// not read the whole ledger for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last: Option<Box<(Tenure, Option<Left>)>>,
        /// The lane's pauses.
        #[serde(default)]
        pauses: Pauses,
    },
}

/// Names one tenure of one lane.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tenure {
    /// The lane.
    pub account: Account,
    /// Its owner.
    pub worker: WorkerId,
    /// Counts the owner's tenures of any lane.
    pub number: u64,
}

/// What a tenure leaves behind: which redelivered messages may have been sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Left {
    /// Only these: started and not decided, or still held as unknown. Usually none.
    Only(Vec<MessageId>),
    /// Any: an earlier tenure left no note, and not all that it held has come back yet.
    All,
    /// What it found: it started nothing, and never learned what was left before it.
    Untouched,
}

/// What was decided for one turn of one generation of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The turn that this decides. An outcome decides every turn of its generation.
    pub turn: u32,
    /// The attempt that led to it; absent where none was made (expired, put back unsent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
    /// What follows.
    #[serde(flatten)]
    pub verdicted: Verdicted,
}

/// What follows from a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
pub enum Verdicted {
    /// The message has ended.
    Ended {
        /// How.
        #[serde(flatten)]
        outcome: Outcome,
        /// Where it is dead: whether an attempt may have delivered it all the same.
        #[serde(default)]
        maybe_delivered: bool,
    },
    /// The message goes back as a copy with the next turn.
    PutBack {
        /// The message.
        id: MessageId,
        /// Which replay of it.
        generation: u32,
        /// Its account.
        account: Account,
        /// When it was decided.
        at: Timestamp,
        /// When the copy is due.
        due: Timestamp,
        /// Whether an attempt may have delivered it.
        maybe_delivered: bool,
        /// Whether a person's consent to send it all the same still holds.
        #[serde(default)]
        consent: bool,
    },
}

impl Decision {
    /// The message.
    #[must_use]
    pub fn id(&self) -> &MessageId {
        match &self.verdicted {
            Verdicted::Ended { outcome, .. } => outcome.id(),
            Verdicted::PutBack { id, .. } => id,
        }
    }

    /// Which replay of it; 0 as sent.
    #[must_use]
    pub fn generation(&self) -> u32 {
        match &self.verdicted {
            Verdicted::Ended { outcome, .. } => outcome.generation(),
            Verdicted::PutBack { generation, .. } => *generation,
        }
    }

    /// Its account.
    #[must_use]
    pub fn account(&self) -> &Account {
        match &self.verdicted {
            Verdicted::Ended { outcome, .. } => outcome.account(),
            Verdicted::PutBack { account, .. } => account,
        }
    }

    /// When it was decided.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        match &self.verdicted {
            Verdicted::Ended { outcome, .. } => outcome.at(),
            Verdicted::PutBack { at, .. } => *at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back_as_they_were_written() {
        let at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let account: Account = "groupme.ops".parse().unwrap();
        let id: MessageId = "m-1".parse().unwrap();
        let tenure = Tenure {
            account: account.clone(),
            worker: "w".into(),
            number: 7,
        };
        let attempt = Attempt {
            at,
            verdict: crate::Verdict::Delivered,
            status: Some(201),
            error: None,
            took_ms: 12,
            worker: "w".into(),
        };
        let outcome = Outcome::Delivered {
            id: id.clone(),
            generation: 0,
            account: account.clone(),
            attempts: 1,
            at,
            provider_message_id: Some("9".into()),
            deduplicated: false,
            metadata: crate::Metadata::new(),
        };
        let put_back = Verdicted::PutBack {
            id: id.clone(),
            generation: 1,
            account: account.clone(),
            at,
            due: at,
            maybe_delivered: true,
            consent: false,
        };
        let paused = Paused {
            at,
            until: at,
            why: "429".into(),
            streak: 3,
        };
        for record in [
            Record::Opened {
                tenure: tenure.clone(),
                at,
            },
            Record::Note {
                tenure,
                at,
                left: Left::Only(vec![id]),
                pauses: Pauses {
                    paused: Some(paused.clone()),
                    reopened: Some(at),
                },
            },
            Record::Paused {
                account: account.clone(),
                paused,
            },
            Record::Reopened {
                account: account.clone(),
                at,
            },
            Record::Decided(Box::new(Decision {
                turn: 0,
                attempt: Some(attempt),
                verdicted: Verdicted::Ended {
                    outcome,
                    maybe_delivered: false,
                },
            })),
            Record::Decided(Box::new(Decision {
                turn: 3,
                attempt: None,
                verdicted: put_back,
            })),
        ] {
            let text = serde_json::to_string(&record).unwrap();
            assert_eq!(
                serde_json::from_str::<Record>(&text).unwrap(),
                record,
                "{text}"
            );
        }
    }

    /// Versions may run side by side while one takes the other's place: a note without pauses is a note all the same.
    #[test]
    fn records_of_a_version_that_tells_less_are_read() {
        let told = |line: &str| serde_json::from_str::<Record>(line).unwrap();
        let note = told(
            r#"{"kind": "note", "account": "raven.crm", "worker": "w", "number": 1, "at": "2026-01-01T00:00:00Z",
                "left": {"only": []}, "paused": ["2026-01-01T00:00:00Z", "429"]}"#,
        );
        assert!(matches!(note, Record::Note { left: Left::Only(ids), .. } if ids.is_empty()));
        let paused = told(
            r#"{"kind": "paused", "account": "raven.crm", "at": "2026-01-01T00:00:00Z",
                "until": "2026-01-01T00:00:00Z", "why": "429"}"#,
        );
        assert!(matches!(paused, Record::Paused { paused, .. } if paused.streak == 0));
    }
}
