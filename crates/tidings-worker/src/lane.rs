//! One lane in this process: it waits out pauses, takes its place at the queue, serves a tenure, lets go, and again.

mod consider;
mod decide;
mod job;
mod let_go;
mod open;
mod start;
mod status;
mod tenure;

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::FutureExt as _;
use jiff::Timestamp;
use tidings_broker::{Broker, BrokerError, LaneName};
use tidings_model::{Account, LaneState, Record, Tenure, WorkerId, config::AccountConfig};
use tokio::sync::watch;

pub(crate) use self::status::Status;
use self::tenure::Serving;
use crate::{
    attempt::Caller,
    fleet::{Fleet, Wanted},
    follow::{LaneMemory, Memories},
    gate::Gate,
    metrics::LaneMetrics,
    orders::Known,
};

/// What a lane works with.
#[derive(Debug)]
pub(crate) struct LaneContext {
    pub(crate) account: Account,
    /// How the account is served: as configured, or as operators asked since.
    pub(crate) config: AccountConfig,
    pub(crate) configured: AccountConfig,
    pub(crate) me: WorkerId,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) caller: Caller,
    pub(crate) memories: Arc<Memories>,
    pub(crate) memory: Arc<LaneMemory>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) metrics: Arc<LaneMetrics>,
    pub(crate) status: Arc<Status>,
    /// Counts this worker's tenures.
    pub(crate) tenures: Arc<AtomicU64>,
    /// How long a stopping lane waits for calls in flight.
    pub(crate) drain: Duration,
}

/// What a lane listens to while it serves.
struct Told {
    /// Turns true when it should stop.
    stop: watch::Receiver<bool>,
    /// The lanes that are this worker's.
    wanted: Wanted,
    /// What operators asked of it.
    orders: watch::Receiver<Known>,
}

/// How a tenure ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// It was told to stop, and has.
    Stopped,
    /// The lane was lost, or let go: take a place again, once a pause is over.
    Again,
}

/// After so many vain tries to take a place at a lane, others may.
const STEP_BACK: u32 = 3;

/// A pause up to this long keeps what is held; a longer one lets the lane go.
const SHORT_PAUSE: Duration = Duration::from_secs(30);

/// Serves a lane until `stop` turns true. A loop that panics begins anew, with a tenure whose predecessor left no note.
pub(crate) async fn keep_running(mut context: LaneContext, stop: watch::Receiver<bool>) {
    while AssertUnwindSafe(run(&mut context, stop.clone()))
        .catch_unwind()
        .await
        .is_err()
    {
        tracing::error!(account = %context.account, "the lane's loop panicked, and begins anew: please report this");
        context.fleet.left(&context.account);
        if let Some(place) = context.status.take_place() {
            place.close().await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Serves a lane until `stop` turns true.
async fn run(context: &mut LaneContext, stop: watch::Receiver<bool>) {
    let mut gate = Gate::new(context.config.account_probe);
    let mut failures = 0;
    let mut told = Told {
        stop: stop.clone(),
        wanted: context.fleet.wanted(),
        orders: context.memory.orders.subscribe(),
    };
    let mut stop = stop;
    loop {
        let place = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            place = take_a_place(context, &mut gate, &mut told) => place,
        };
        match place {
            Ok(serving) => {
                failures = 0;
                if serving.serve(context, &mut gate, &mut told).await == End::Stopped {
                    return;
                }
                // A probe whose result was lost with the lane is made again.
                gate.probe_again(Timestamp::now());
            }
            Err(error) => {
                failures += 1;
                // A broker that is away is away for everybody.
                if failures >= STEP_BACK && !matches!(error, BrokerError::Away { .. }) {
                    context.fleet.step_back(&context.account);
                }
                tracing::warn!(account = %context.account, %error, "the lane cannot be taken at the moment");
            }
        }
        let wait = Duration::from_millis(100) * (1 << failures.min(5));
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn take_a_place(
    context: &mut LaneContext,
    gate: &mut Gate,
    told: &mut Told,
) -> Result<Serving, BrokerError> {
    loop {
        // In steps, since the clock can be set, and a pause that the ledger tells of can be lifted.
        let mut wait = Duration::from_secs(1);
        context.keep_to(&mut told.orders);
        if !told.wanted.borrow_and_update().contains(&context.account) {
            context.status.set(LaneState::Standby);
        } else if let Some((until, why)) = context.pause(gate) {
            context.status.pause(until, &why);
            if let Some(until) = until {
                let left = until.duration_since(Timestamp::now());
                wait = wait.min(Duration::try_from(left).unwrap_or_default());
            }
        } else {
            break;
        }
        tokio::select! {
            _ = told.wanted.changed() => {}
            _ = told.orders.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    context.status.set(LaneState::Standby);
    // A lane that opens in order to probe needs one message, and holds no other back from an owner who may do more.
    let window = if gate.paused().is_some() {
        1
    } else {
        context.config.window()
    };
    let lane = context
        .broker
        .subscribe(LaneName::Account(context.account.clone()), window)
        .await?;
    context.status.took(&lane.settle);
    context.fleet.took(&context.account);
    Ok(Serving::new(lane, window, context))
}

impl LaneContext {
    /// Serves the account from now on as operators asked by now.
    fn keep_to(&mut self, orders: &mut watch::Receiver<Known>) {
        let known = orders.borrow_and_update();
        self.config = known.orders.over(&self.configured);
        self.status.keeps_to(&known.orders, self.config.rate);
    }

    /// Whether operators ask for something else than the lane does. What makes no difference is kept to from now on.
    fn has_to_change(&self, orders: &mut watch::Receiver<Known>) -> bool {
        let known = orders.borrow_and_update();
        let changes = known.orders.paused(Timestamp::now()).is_some()
            || known.orders.over(&self.configured) != self.config;
        if !changes {
            self.status.keeps_to(&known.orders, self.config.rate);
        }
        changes
    }

    /// The pause to wait out, until when and why: an operator's, one's own, or one that the ledger tells of.
    fn pause(&self, gate: &mut Gate) -> Option<(Option<Timestamp>, String)> {
        let now = Timestamp::now();
        gate.keep_to(self.memory.lock().pauses.paused.as_ref(), now);
        if let Some(pause) = self.memory.orders.borrow().orders.paused(now) {
            let why = pause.why.as_deref().map(|why| format!(": {why}"));
            let why = format!("an operator paused it{}", why.unwrap_or_default());
            return Some((pause.until, why));
        }
        let (until, cause) = gate.paused().filter(|(until, _)| *until > now)?;
        Some((Some(until), cause.to_string()))
    }

    fn next_tenure(&self) -> Tenure {
        let number = self.tenures.fetch_add(1, Ordering::Relaxed);
        Tenure {
            account: self.account.clone(),
            worker: self.me.clone(),
            number,
        }
    }

    fn record_pause(&self, now: Timestamp, until: Timestamp, why: String, streak: u32) {
        let paused = self.memory.lock().pauses.pause(now, until, why, streak);
        let account = self.account.clone();
        self.record(Record::Paused { account, paused });
    }

    fn record_reopening(&self, now: Timestamp) {
        let at = self.memory.lock().pauses.reopen(now);
        let account = self.account.clone();
        self.record(Record::Reopened { account, at });
    }

    /// Tells the ledger of a pause, or of its end, so that it outlives this worker. Best effort: notes and what stands tell it
    /// again.
    fn record(&self, record: Record) {
        self.memory.lock().learn(record.clone());
        let broker = self.broker.clone();
        tokio::spawn(async move {
            if let Err(error) = broker.append(vec![record]).await {
                tracing::debug!(%error, "a pause, or its end, could not be recorded");
            }
        });
    }
}
