use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use tidings_broker::{Broker, LedgerEntry, ReadFrom, ReadUntil};
use tidings_model::{Attempt, Decision, Outcome, Record, Verdicted, WorkerId};
use tokio::task::JoinHandle;

/// What the ledger says, followed as it is written.
pub struct Ledger {
    broker: Arc<dyn Broker>,
    read: Arc<Mutex<Read>>,
    following: JoinHandle<()>,
}

#[derive(Default)]
struct Read {
    records: Vec<Record>,
    outcomes: BTreeMap<String, Outcome>,
    decided: BTreeMap<String, u64>,
}

impl Ledger {
    pub(super) fn follow(broker: Arc<dyn Broker>) -> Self {
        let read = Arc::new(Mutex::new(Read::default()));
        let (reading, followed) = (read.clone(), broker.clone());
        let following = tokio::spawn(async move {
            let mut entries = followed
                .ledger(ReadFrom::First, ReadUntil::Forever)
                .await
                .unwrap_or_else(|error| panic!("{error}"));
            while let Some(entry) = entries.next().await {
                let entry = entry.unwrap_or_else(|error| panic!("{error}"));
                let mut read = reading.lock().unwrap_or_else(PoisonError::into_inner);
                entry.records().for_each(|record| read.take_in(record));
            }
        });
        Self {
            broker,
            read,
            following,
        }
    }

    fn read(&self) -> MutexGuard<'_, Read> {
        assert!(
            !self.following.is_finished(),
            "the ledger is not followed any more"
        );
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every record written by now, read anew: what is followed comes a moment later.
    ///
    /// # Panics
    /// As every method here, where the ledger cannot be read any more.
    pub async fn records(&self) -> Vec<Record> {
        let entries = self.broker.ledger(ReadFrom::First, ReadUntil::Now).await;
        let entries: Result<Vec<_>, _> = match entries {
            Ok(entries) => entries.try_collect().await,
            Err(error) => Err(error),
        };
        let entries = entries.unwrap_or_else(|error| panic!("{error}"));
        entries.iter().flat_map(LedgerEntry::records).collect()
    }

    /// Every decision followed so far.
    pub fn decisions(&self) -> Vec<Decision> {
        let decided = |record: &Record| match record {
            Record::Decided(decision) => Some((**decision).clone()),
            _ => None,
        };
        self.read().records.iter().filter_map(decided).collect()
    }

    /// The decisions about one message.
    pub fn decisions_of(&self, id: &str) -> Vec<Decision> {
        let mut decisions = self.decisions();
        decisions.retain(|decision| decision.id().as_str() == id);
        decisions
    }

    /// Every attempt of an account followed so far, in the order of the ledger.
    pub fn attempts(&self, account: &str) -> Vec<Attempt> {
        let mut decisions = self.decisions();
        decisions.retain(|decision| decision.account().as_str() == account);
        let attempts = decisions.into_iter().map(|decision| decision.attempt);
        attempts.flatten().collect()
    }

    /// Attempts that a worker started after a moment in tenures that it had opened before: there should be none, where it
    /// stood still or was cut off then.
    pub async fn attempts_of_old_tenures(
        &self,
        worker: &WorkerId,
        after: Timestamp,
    ) -> Vec<Attempt> {
        let records = self.records().await;
        let mut opened = BTreeMap::new();
        for record in &records {
            if let Record::Opened { tenure, at } = record
                && tenure.worker == *worker
                && *at > after
            {
                opened.entry(&tenure.account).or_insert(*at);
            }
        }
        let old = |record: &Record| {
            let Record::Decided(decision) = record else {
                return None;
            };
            let anew = opened.get(decision.account());
            let is_old = |attempt: &&Attempt| {
                attempt.worker == *worker
                    && attempt.at > after
                    && anew.is_none_or(|opened| attempt.at < *opened)
            };
            decision.attempt.as_ref().filter(is_old).cloned()
        };
        records.iter().filter_map(old).collect()
    }

    /// The outcome of each message's generation 0; the first in the ledger counts.
    pub fn outcomes(&self) -> BTreeMap<String, Outcome> {
        self.read().outcomes.clone()
    }

    /// How many decisions there are of each account.
    pub fn decided(&self) -> BTreeMap<String, u64> {
        self.read().decided.clone()
    }

    /// What is recorded about tenures, in short: for the words of a test that failed.
    pub fn tenures(&self) -> Vec<String> {
        let short = |record: &Record| match record {
            Record::Opened { tenure, at } => Some(format!(
                "{at} {} {} opened by {}",
                tenure.account, tenure.number, tenure.worker
            )),
            Record::Note {
                tenure, at, left, ..
            } => Some(format!(
                "{at} {} {} of {} left {left:?}",
                tenure.account, tenure.number, tenure.worker
            )),
            _ => None,
        };
        self.read().records.iter().filter_map(short).collect()
    }

    /// Those of these messages that have no outcome yet.
    pub fn open<'a>(&self, ids: &'a [String]) -> Vec<&'a String> {
        let read = self.read();
        ids.iter()
            .filter(|id| !read.outcomes.contains_key(*id))
            .collect()
    }
}

impl Read {
    fn take_in(&mut self, record: Record) {
        if let Record::Decided(decision) = &record {
            *self
                .decided
                .entry(decision.account().to_string())
                .or_default() += 1;
        }
        if let Record::Decided(decision) = &record
            && let Verdicted::Ended { outcome, .. } = &decision.verdicted
            && outcome.generation() == 0
        {
            self.outcomes
                .entry(outcome.id().to_string())
                .or_insert_with(|| outcome.clone());
        }
        self.records.push(record);
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.following.abort();
    }
}
