//! Reading the ledger and the dead letters.

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use tidings_broker::{
    Broker, BrokerError, DeadEntry, DeadRecord, EntryKind, LedgerEntry, ReadFrom, ReadUntil,
};
use tidings_model::{Decision, LetterHead, MessageId, Record};

use super::in_time;

/// What is in the ledger from there up to now.
pub(super) async fn ledger(broker: &dyn Broker, from: ReadFrom) -> Vec<LedgerEntry> {
    let entries = try_ledger(broker, from).await;
    entries.unwrap_or_else(|error| panic!("{error}"))
}

async fn try_ledger(broker: &dyn Broker, from: ReadFrom) -> Result<Vec<LedgerEntry>, BrokerError> {
    in_time("the end of the ledger", async {
        let entries = broker.ledger(from, ReadUntil::Now).await?;
        entries.try_collect().await
    })
    .await
}

/// The dead letters from there up to now.
pub(super) async fn dead(broker: &dyn Broker, from: ReadFrom) -> Vec<DeadEntry> {
    in_time("the end of the dead letters", async {
        let entries = broker.dead(from, ReadUntil::Now).await?;
        entries.try_collect().await
    })
    .await
    .unwrap_or_else(|error: BrokerError| panic!("{error}"))
}

pub(super) fn letter(entry: DeadEntry) -> (LetterHead, Bytes) {
    match entry.record {
        DeadRecord::Letter { head, body } => (head, body),
        other => panic!("not a letter: {other:?}"),
    }
}

/// Every decision in the ledger, oldest first.
pub(super) async fn decisions(broker: &dyn Broker) -> Vec<Decision> {
    let decisions = try_decisions(broker).await;
    decisions.unwrap_or_else(|error| panic!("{error}"))
}

async fn try_decisions(broker: &dyn Broker) -> Result<Vec<Decision>, BrokerError> {
    let entries = try_ledger(broker, ReadFrom::First).await?;
    let of_decisions = entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::Decisions);
    let decisions = of_decisions.flat_map(LedgerEntry::records);
    let decisions = decisions.filter_map(|record| match record {
        Record::Decided(decision) => Some(*decision),
        _ => None,
    });
    Ok(decisions.collect())
}

/// The ids of the messages that the ledger says something of, oldest first.
pub(super) async fn decided(broker: &dyn Broker) -> Vec<MessageId> {
    let ids = try_decided(broker).await;
    ids.unwrap_or_else(|error| panic!("{error}"))
}

/// The same, of a broker that may still be starting.
pub(super) async fn try_decided(broker: &dyn Broker) -> Result<Vec<MessageId>, BrokerError> {
    let decisions = try_decisions(broker).await?;
    Ok(decisions.iter().map(|one| one.id().clone()).collect())
}

/// The next entries of a reading that does not end.
pub(super) async fn following<T, S>(entries: &mut S, count: usize) -> Vec<T>
where
    S: Stream<Item = Result<T, BrokerError>> + Unpin,
{
    let mut read = Vec::with_capacity(count);
    while read.len() < count {
        let next = in_time("the next entry", entries.next()).await;
        let next = next.expect("the reading does not end");
        read.push(next.unwrap_or_else(|error| panic!("{error}")));
    }
    read
}
