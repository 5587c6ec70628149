use std::time::Duration;

use futures::{Stream, StreamExt, future};
use tidings_broker::{Broker, BrokerError, DeadEntry, ReadFrom, ReadUntil};
use tokio::time::timeout;

use crate::{
    Filter, Letter, Register,
    letter::{Told, begin},
};

/// The letters that a filter lets through as they die: from the filter's `since` on, in the state that they are in now, or
/// those that come from now on. One that is renewed is none that comes.
///
/// # Errors
/// When the broker is away or has no dead letters' stream. What breaks off later goes on by itself.
pub async fn follow(
    broker: &dyn Broker,
    filter: Filter,
) -> Result<impl Stream<Item = Result<Letter, BrokerError>> + Unpin + use<>, BrokerError> {
    let (from, mut register) = match filter.since {
        Some(_) => (
            begin(&filter),
            Register::read(broker, begin(&filter)).await?,
        ),
        None => (ReadFrom::Next, Register::default()),
    };
    let entries = broker.dead(from, ReadUntil::Forever).await?;
    let mut told = Told::default();
    // What died before is let through by when it died; of what comes from now on, a copy looks like a new death.
    let comes = filter.since.is_none();
    Ok(entries.filter_map(move |entry| {
        let letter = entry.map(|entry| {
            register.take_in(&entry);
            let letter = Letter::wanted(entry, &mut told, &register, &filter)?;
            (!comes || !register.is_being_renewed(&letter.key)).then_some(letter)
        });
        future::ready(letter.transpose())
    }))
}

/// How long what is in the stream may take to be read.
const PATIENCE: Duration = Duration::from_secs(30);

/// The next entry of a stream that is read for ever, where there must be one: who acts does not wait out an outage.
pub(crate) async fn read_next(
    entries: &mut (impl Stream<Item = Result<DeadEntry, BrokerError>> + Unpin),
    broker: &dyn Broker,
) -> Result<DeadEntry, BrokerError> {
    let why = match timeout(PATIENCE, entries.next()).await {
        Ok(Some(next)) => return next,
        Ok(None) => "the connection was closed here".into(),
        Err(_) => format!("nothing was read for {} s", PATIENCE.as_secs()),
    };
    Err(BrokerError::Away {
        broker: broker.place(),
        why,
    })
}
