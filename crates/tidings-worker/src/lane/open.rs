use std::{collections::HashSet, time::Duration};

use jiff::Timestamp;
use tidings_broker::BrokerError;
use tidings_model::{Record, Tenure};

use super::LaneContext;
use crate::tenures::{Before, Inheritance};

/// How long a successor waits for the note of a worker that still announces itself, or may be cut off.
const NOTE: Duration = Duration::from_secs(5);

/// Opens a tenure: writes so to the ledger, reads up to that, and learns what earlier tenures left.
pub(super) fn open(
    context: &LaneContext,
    tenure: Tenure,
) -> impl Future<Output = Result<Inheritance, BrokerError>> + Send + use<> {
    let (broker, memory, memories) = (
        context.broker.clone(),
        context.memory.clone(),
        context.memories.clone(),
    );
    let (fleet, me, account) = (
        context.fleet.clone(),
        context.me.clone(),
        context.account.clone(),
    );
    async move {
        broker
            .append(vec![Record::Opened {
                tenure: tenure.clone(),
                at: Timestamp::now(),
            }])
            .await?;
        let before = memory
            .until(|memory| {
                memory
                    .tenures
                    .has_opened(&tenure)
                    .then(|| memory.tenures.before(&tenure))
            })
            .await;
        // All that was written before the opening is read.
        if !memory.orders.borrow().whole {
            memories.read_all_orders(&*broker, &account).await?;
        }
        let before = match before {
            Before::NoNote(worker) if worker != me && fleet.may_write_a_note(&worker) => {
                tracing::info!(%account, %worker, "waiting for the note of the lane's last owner");
                let noted = memory.until(|memory| match memory.tenures.before(&tenure) {
                    Before::NoNote(_) => None,
                    noted => Some(noted),
                });
                tokio::select! {
                    noted = noted => noted,
                    // A killed one announces nothing any more, and writes no note.
                    () = fleet.is_given_up(&worker) => Before::NoNote(worker),
                    () = tokio::time::sleep(NOTE) => Before::NoNote(worker),
                }
            }
            Before::Nothing => {
                let newest = memories.archived(&*broker, &account, |tenures, whole| {
                    tenures
                        .map(|tenures| tenures.before_or_newest(&tenure))
                        .unwrap_or(if whole {
                            Before::Noted(Inheritance::Only(HashSet::new()))
                        } else {
                            Before::Nothing
                        })
                });
                newest.await?
            }
            before => before,
        };
        match before {
            Before::Noted(inheritance) => Ok(inheritance),
            Before::NoNote(worker) => {
                tracing::warn!(%account, %worker, "the lane's last owner left no note: what it held may have been sent");
                Ok(Inheritance::All)
            }
            Before::Nothing => Ok(Inheritance::All),
        }
    }
}
