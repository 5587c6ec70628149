//! What operators asked of the lanes while they run. It is in the ledger, which forgets; so whoever a lane belongs to
//! writes again what stands, long before.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tidings_broker::{Broker, BrokerError};
use tidings_model::{Account, Orders, Record};
use tokio::time::Instant;

use crate::{fleet::Fleet, follow::Memories};

/// How often is looked whether something has to be written.
const LOOK: Duration = Duration::from_secs(1);

/// What is known of one lane's orders.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) orders: Orders,
    /// Nothing that stands is missing.
    pub(crate) whole: bool,
    /// When all that is known was written in one piece.
    stated: Option<Timestamp>,
}

impl Known {
    /// Takes in an operator's order; says whether it changes anything.
    pub(crate) fn ordered(&mut self, orders: &Orders) -> bool {
        let changed = self.orders.learn(orders);
        if changed {
            self.stated = None;
        }
        changed
    }

    /// Takes in what another found to stand, or what one wrote oneself; says whether it changes anything.
    pub(crate) fn stated(&mut self, orders: &Orders, at: Timestamp) -> bool {
        let changed = self.orders.learn(orders);
        self.whole = true;
        self.stated = (self.orders == *orders).then_some(at);
        changed
    }

    /// Takes in what the whole ledger says; says whether it changes anything.
    pub(crate) fn read_whole(&mut self, orders: &Orders) -> bool {
        self.whole = true;
        self.ordered(orders)
    }

    fn is_due(&self, now: Timestamp, again: SignedDuration) -> bool {
        self.stated.is_none_or(|at| now.duration_since(at) >= again)
    }
}

/// Writes what stands for each lane that should be this worker's: when it changed, and each `again`. For ever.
pub(crate) async fn keep(memories: &Memories, fleet: &Fleet, broker: &dyn Broker, again: Duration) {
    // By then the newest part of the ledger is read, and only what it does not tell is looked for in all of it.
    let patient_until = Instant::now() + again;
    let again = SignedDuration::try_from(again).unwrap_or(SignedDuration::MAX);
    loop {
        tokio::time::sleep(LOOK).await;
        let wanted = fleet.wanted().borrow().clone();
        let mut standing = Vec::new();
        for account in wanted {
            match due(memories, broker, &account, again, patient_until).await {
                Ok(record) => standing.extend(record),
                Err(error) => {
                    tracing::debug!(%account, %error, "its standing orders cannot be read at the moment");
                }
            }
        }
        if !standing.is_empty()
            && let Err(error) = broker.append(standing).await
        {
            tracing::debug!(%error, "standing orders could not be written, and will be");
        }
    }
}

async fn due(
    memories: &Memories,
    broker: &dyn Broker,
    account: &Account,
    again: SignedDuration,
    patient_until: Instant,
) -> Result<Option<Record>, BrokerError> {
    let lane = memories.lane(account);
    let now = Timestamp::now();
    let whole = {
        let known = lane.orders.borrow();
        if !known.is_due(now, again) {
            return Ok(None);
        }
        known.whole
    };
    if !whole {
        if Instant::now() < patient_until {
            return Ok(None);
        }
        memories.read_all_orders(broker, account).await?;
    }
    // It counts as written once it is read back.
    let orders = Box::new(lane.orders.borrow().orders.clone());
    let memory = lane.lock();
    Ok(Some(Record::Standing {
        account: account.clone(),
        at: now,
        orders,
        last: memory.tenures.last().cloned().map(Box::new),
        pauses: memory.pauses.clone(),
    }))
}

#[cfg(test)]
mod tests {
    use tidings_model::Order;

    use super::*;

    const AGAIN: SignedDuration = SignedDuration::from_secs(10);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn set(second: i64) -> Orders {
        Orders {
            rate: Some(Order {
                at: at(second),
                wish: None,
            }),
            ..Orders::default()
        }
    }

    #[test]
    fn what_stands_is_written_at_once_when_it_changed_and_then_again_and_again() {
        let mut known = Known::default();
        assert!(known.is_due(at(0), AGAIN), "nobody said yet what stands");
        known.stated(&Orders::default(), at(0));
        assert!(!known.is_due(at(9), AGAIN) && known.is_due(at(10), AGAIN));
        assert!(known.ordered(&set(3)));
        assert!(known.is_due(at(3), AGAIN));
        known.stated(&set(3), at(4));
        assert!(!known.is_due(at(13), AGAIN));
    }

    #[test]
    fn who_states_less_than_stands_does_not_end_the_matter() {
        let mut known = Known::default();
        known.ordered(&set(3));
        known.stated(&Orders::default(), at(4));
        assert!(known.is_due(at(4), AGAIN));
        assert_eq!(known.orders, set(3));
    }

    #[test]
    fn only_a_statement_or_the_whole_ledger_tells_all() {
        let mut known = Known::default();
        known.ordered(&set(1));
        assert!(!known.whole);
        known.stated(&Orders::default(), at(2));
        assert!(known.whole);
        let mut known = Known::default();
        assert!(known.read_whole(&set(1)) && known.whole);
    }
}
