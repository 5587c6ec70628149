//! The operations that were begun here: they run whether anybody watches them or not.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tidings_broker::BrokerError;
use tidings_model::{OperationId, Verb};
use tokio::{runtime::Handle, sync::oneshot, time::Instant};

use super::{Desk, lock};
use crate::{
    Operator, Request,
    operator::{OperatorError, Pace, Progress, Replay, Resumed, Settling, Tally, Watch},
};

/// What is to be done, as somebody confirmed it.
pub(in crate::console) struct Order {
    pub(in crate::console) by: String,
    pub(in crate::console) verb: Verb,
    pub(in crate::console) request: Request,
    pub(in crate::console) pace: Pace,
    pub(in crate::console) why: Option<String>,
}

/// An operation that was begun here, or went on here.
pub(in crate::console) struct Running {
    pub(in crate::console) verb: Verb,
    pub(in crate::console) watch: Watch,
    pub(in crate::console) began: Instant,
    over: Mutex<Option<Result<Tally, String>>>,
}

impl Running {
    fn new(verb: Verb) -> Arc<Self> {
        Arc::new(Self {
            verb,
            watch: Watch::default(),
            began: Instant::now(),
            over: Mutex::default(),
        })
    }

    pub(in crate::console) fn progress(&self) -> Progress {
        self.watch.progress.borrow().clone()
    }

    /// What it has come to, once it is over.
    pub(in crate::console) fn over(&self) -> Option<Result<Tally, String>> {
        lock(&self.over).clone()
    }

    fn end(&self, operation: OperationId, over: Result<Tally, OperatorError>) {
        if let Err(error) = &over {
            tracing::warn!(%operation, %error, "an operation broke off");
        }
        *lock(&self.over) = Some(over.map_err(|error| error.to_string()));
    }
}

impl Desk {
    /// Begins an operation.
    pub(in crate::console) async fn begin(
        &self,
        order: Order,
    ) -> Result<OperationId, OperatorError> {
        let (tell, began) = oneshot::channel();
        let desk = self.clone();
        apart(move || desk.run(order, tell));
        began.await.unwrap_or_else(|_| {
            Err(OperatorError::Broker(BrokerError::Away {
                broker: self.place(),
                why: "the operation broke off".into(),
            }))
        })
    }

    /// Goes on with a replay that was cut off. One that is under way here is left to itself.
    pub(in crate::console) fn resume(&self, operation: OperationId, by: String) {
        let running = Running::new(Verb::Replay);
        {
            let mut all = lock(&self.running);
            if all.get(&operation).is_some_and(|one| one.over().is_none()) {
                return;
            }
            all.insert(operation, Arc::clone(&running));
        }
        let operator = self.operator(by);
        apart(async move || {
            let over = go_on(&operator, operation, &running.watch).await;
            running.end(operation, over);
        });
    }

    pub(in crate::console) fn running(&self, operation: OperationId) -> Option<Arc<Running>> {
        lock(&self.running).get(&operation).cloned()
    }

    /// Stops what is under way; each can be resumed.
    pub(in crate::console) fn stop(&self) {
        let running = lock(&self.running);
        running
            .values()
            .for_each(|running| running.watch.stop.cancel());
    }

    fn operator(&self, by: String) -> Operator {
        Operator::new(Arc::clone(&self.broker), by)
    }

    async fn run(self, order: Order, tell: oneshot::Sender<Result<OperationId, OperatorError>>) {
        let running = Running::new(order.verb);
        let begun = match self.start(order, &running.watch).await {
            Ok(begun) => begun,
            Err(error) => {
                let _ = tell.send(Err(error));
                return;
            }
        };
        let operation = begun.operation();
        lock(&self.running).insert(operation, Arc::clone(&running));
        let _ = tell.send(Ok(operation));
        let over = match begun {
            Begun::Replay(replay) => replay.run(&running.watch).await,
            Begun::Settling(settling) => settling.run(&running.watch).await,
        };
        running.end(operation, over);
    }

    async fn start(&self, order: Order, watch: &Watch) -> Result<Begun, OperatorError> {
        let Order {
            by,
            verb,
            request,
            pace,
            why,
        } = order;
        let operator = self.operator(by);
        let plan = operator.plan(verb, request, Timestamp::now()).await?;
        watch
            .progress
            .send_modify(|progress| progress.planned = plan.planned());
        Ok(match verb {
            Verb::Replay => Begun::Replay(Box::new(operator.replay(plan, pace).await?)),
            _ => Begun::Settling(Box::new(operator.settle(plan, why).await?)),
        })
    }
}

enum Begun {
    Replay(Box<Replay>),
    Settling(Box<Settling>),
}

impl Begun {
    fn operation(&self) -> OperationId {
        match self {
            Self::Replay(replay) => replay.operation(),
            Self::Settling(settling) => settling.operation(),
        }
    }
}

async fn go_on(
    operator: &Operator,
    operation: OperationId,
    watch: &Watch,
) -> Result<Tally, OperatorError> {
    match operator.resume(operation, false).await? {
        Resumed::Replay(replay) => replay.run(watch).await,
        Resumed::Ended(tally) => Ok(tally),
    }
}

/// Runs it on a thread of its own: what an operation holds is for one thread at a time.
fn apart<F: Future<Output = ()>>(operation: impl FnOnce() -> F + Send + 'static) {
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || handle.block_on(operation()));
}
