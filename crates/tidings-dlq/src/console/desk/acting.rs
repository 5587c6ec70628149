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
        self.start(Task::Begin(Box::new(order))).await
    }

    /// Goes on with a replay that was cut off. One that is under way here is left to itself.
    ///
    /// # Errors
    /// Where it cannot go on; nothing is changed then.
    pub(in crate::console) async fn resume(
        &self,
        operation: OperationId,
        by: String,
    ) -> Result<OperationId, OperatorError> {
        match self.is_under_way(operation) {
            true => Ok(operation),
            false => self.start(Task::GoOn(operation, by)).await,
        }
    }

    fn is_under_way(&self, operation: OperationId) -> bool {
        self.running(operation)
            .is_some_and(|one| one.over().is_none())
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

    /// Returns once it has begun.
    async fn start(&self, task: Task) -> Result<OperationId, OperatorError> {
        let (tell, began) = oneshot::channel();
        let desk = self.clone();
        apart(move || desk.run(task, tell));
        began.await.unwrap_or_else(|_| {
            Err(OperatorError::Broker(BrokerError::Away {
                broker: self.place(),
                why: "the operation broke off".into(),
            }))
        })
    }

    async fn run(self, task: Task, tell: oneshot::Sender<Result<OperationId, OperatorError>>) {
        let running = Running::new(task.verb());
        let (operation, begun) = match self.prepare(task, &running.watch).await {
            Ok(prepared) => prepared,
            Err(error) => {
                let _ = tell.send(Err(error));
                return;
            }
        };
        let twice = {
            let mut all = lock(&self.running);
            let known = all.get(&operation);
            let twice = known.is_some_and(|one| one.over().is_none());
            if !twice {
                all.insert(operation, Arc::clone(&running));
            }
            twice
        };
        let _ = tell.send(Ok(operation));
        if twice {
            return;
        }
        let over = match begun {
            Begun::Replay(replay) => replay.run(&running.watch).await,
            Begun::Settling(settling) => settling.run(&running.watch).await,
            Begun::Ended(tally) => Ok(tally),
        };
        running.end(operation, over);
    }

    async fn prepare(
        &self,
        task: Task,
        watch: &Watch,
    ) -> Result<(OperationId, Begun), OperatorError> {
        let order = match task {
            Task::Begin(order) => *order,
            Task::GoOn(operation, by) => {
                let begun = match self.operator(by).resume(operation, false).await? {
                    Resumed::Replay(replay) => Begun::Replay(replay),
                    Resumed::Ended(tally) => Begun::Ended(tally),
                };
                return Ok((operation, begun));
            }
        };
        let operator = self.operator(order.by);
        let plan = operator.plan(order.verb, order.request, Timestamp::now());
        let plan = plan.await?;
        watch
            .progress
            .send_modify(|progress| progress.planned = plan.planned());
        Ok(match order.verb {
            Verb::Replay => {
                let replay = operator.replay(plan, order.pace).await?;
                (replay.operation(), Begun::Replay(Box::new(replay)))
            }
            _ => {
                let settling = operator.settle(plan, order.why).await?;
                (settling.operation(), Begun::Settling(Box::new(settling)))
            }
        })
    }
}

enum Task {
    Begin(Box<Order>),
    GoOn(OperationId, String),
}

impl Task {
    fn verb(&self) -> Verb {
        match self {
            Self::Begin(order) => order.verb,
            Self::GoOn(..) => Verb::Replay,
        }
    }
}

enum Begun {
    Replay(Box<Replay>),
    Settling(Box<Settling>),
    Ended(Tally),
}

/// Runs it on a thread of its own: what an operation holds is for one thread at a time.
fn apart<F: Future<Output = ()>>(operation: impl FnOnce() -> F + Send + 'static) {
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || handle.block_on(operation()));
}
