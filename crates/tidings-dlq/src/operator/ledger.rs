//! What the ledger says of replayed messages. They are named as their letters would be, should they die.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use futures::{FutureExt, StreamExt, stream::BoxStream};
use jiff::Timestamp;
use tidings_broker::{Broker, BrokerError, EntryKind, LedgerEntry, ReadFrom, ReadUntil};
use tidings_model::{Decision, LetterKey, Record, Verdicted};

/// The clocks of broker, workers and inspectors agree within a few seconds.
const SKEW: Duration = Duration::from_secs(60);

fn since(at: Timestamp) -> ReadFrom {
    at.checked_sub(SKEW)
        .map_or(ReadFrom::First, ReadFrom::Since)
}

fn decisions(entry: &LedgerEntry) -> impl Iterator<Item = Box<Decision>> + '_ {
    let records = (entry.kind == EntryKind::Decisions).then(|| entry.records());
    records
        .into_iter()
        .flatten()
        .filter_map(|record| match record {
            Record::Decided(decision) => Some(decision),
            _ => None,
        })
}

fn key(decision: &Decision) -> LetterKey {
    LetterKey::Message {
        id: decision.id().clone(),
        generation: decision.generation(),
    }
}

/// Whether the ledger still tells what was decided then. Before a letter could be acted on its death was decided: a
/// ledger that begins later has forgotten something.
pub(super) async fn reaches_back(broker: &dyn Broker, at: Timestamp) -> Result<bool, BrokerError> {
    let mut entries = broker.ledger(ReadFrom::First, ReadUntil::Now).await?;
    while let Some(entry) = entries.next().await {
        if let Some(written) = entry?.records().find_map(|record| written_at(&record)) {
            return Ok(written <= at);
        }
    }
    Ok(false)
}

/// When a record was written, where it says so.
fn written_at(record: &Record) -> Option<Timestamp> {
    match record {
        Record::Decided(decision) => Some(decision.at()),
        Record::Opened { at, .. }
        | Record::Note { at, .. }
        | Record::Reopened { at, .. }
        | Record::Standing { at, .. } => Some(*at),
        Record::Paused { paused, .. } => Some(paused.at),
        Record::Ordered { .. } => None,
    }
}

/// Those of these messages of which anything was decided since then: they were sent.
pub(super) async fn decided(
    broker: &dyn Broker,
    at: Timestamp,
    of: &HashSet<LetterKey>,
) -> Result<HashSet<LetterKey>, BrokerError> {
    let mut found = HashSet::new();
    let mut entries = broker.ledger(since(at), ReadUntil::Now).await?;
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        let keys = decisions(&entry).map(|decision| key(&decision));
        found.extend(keys.filter(|key| of.contains(key)));
    }
    Ok(found)
}

/// How messages end, as the ledger is written.
pub(super) struct Outcomes {
    entries: BoxStream<'static, Result<LedgerEntry, BrokerError>>,
    of: HashSet<LetterKey>,
    delivered: HashMap<LetterKey, bool>,
}

impl Outcomes {
    /// Follows these messages from then on.
    pub(super) async fn follow(
        broker: &dyn Broker,
        at: Timestamp,
        of: HashSet<LetterKey>,
    ) -> Result<Self, BrokerError> {
        Ok(Self {
            entries: broker.ledger(since(at), ReadUntil::Forever).await?,
            of,
            delivered: HashMap::new(),
        })
    }

    /// Takes in what is there already.
    pub(super) fn catch_up(&mut self) -> Result<(), BrokerError> {
        while let Some(Some(entry)) = self.entries.next().now_or_never() {
            self.take_in(&entry?);
        }
        Ok(())
    }

    /// Waits for more to be written.
    pub(super) async fn more(&mut self) -> Result<(), BrokerError> {
        match self.entries.next().await {
            Some(entry) => self.take_in(&entry?),
            None => std::future::pending().await,
        }
        Ok(())
    }

    /// How many have ended.
    pub(super) fn ended(&self) -> usize {
        self.delivered.len()
    }

    /// How many of them are dead.
    pub(super) fn died(&self) -> usize {
        self.delivered
            .values()
            .filter(|delivered| !**delivered)
            .count()
    }

    /// Whether a message was delivered, once it has ended.
    pub(super) fn outcome(&self, key: &LetterKey) -> Option<bool> {
        self.delivered.get(key).copied()
    }

    fn take_in(&mut self, entry: &LedgerEntry) {
        for decision in decisions(entry) {
            let Verdicted::Ended { outcome, .. } = &decision.verdicted else {
                continue;
            };
            let key = key(&decision);
            if self.of.contains(&key) {
                let delivered = outcome.reason().is_none();
                self.delivered.entry(key).or_insert(delivered);
            }
        }
    }
}
