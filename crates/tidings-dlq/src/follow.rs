use futures::{Stream, StreamExt, future};
use tidings_broker::{Broker, BrokerError, ReadFrom, ReadUntil};

use crate::{
    Filter, Letter, Register,
    letter::{Told, begin},
};

/// The letters that a filter lets through as they are written, each in the state that it is in then: from the
/// filter's `since` on, or those that come from now on.
///
/// # Errors
/// When the broker is away or has no dead letters' stream. What breaks off later goes on by itself.
pub async fn follow(
    broker: &dyn Broker,
    filter: Filter,
) -> Result<impl Stream<Item = Result<Letter, BrokerError>> + Unpin + use<>, BrokerError> {
    let from = match filter.since {
        Some(_) => begin(&filter),
        None => ReadFrom::Next,
    };
    let entries = broker.dead(from, ReadUntil::Forever).await?;
    let (mut told, register) = (Told::default(), Register::default());
    Ok(entries.filter_map(move |entry| {
        let letter = entry.map(|entry| Letter::wanted(entry, &mut told, &register, &filter));
        future::ready(letter.transpose())
    }))
}
