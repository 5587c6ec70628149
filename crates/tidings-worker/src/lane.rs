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
};

/// What a lane works with.
#[derive(Debug)]
pub(crate) struct LaneContext {
    pub(crate) account: Account,
    pub(crate) config: AccountConfig,
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
pub(crate) async fn keep_running(context: LaneContext, stop: watch::Receiver<bool>) {
    while AssertUnwindSafe(run(&context, stop.clone()))
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
async fn run(context: &LaneContext, mut stop: watch::Receiver<bool>) {
    let mut gate = Gate::new(context.config.account_probe);
    let mut failures = 0;
    let mut wanted = context.fleet.wanted();
    loop {
        let place = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            place = take_a_place(context, &mut gate, &mut wanted) => place,
        };
        match place {
            Ok(serving) => {
                failures = 0;
                if serving
                    .serve(context, &mut gate, &mut stop, &mut wanted)
                    .await
                    == End::Stopped
                {
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
    context: &LaneContext,
    gate: &mut Gate,
    wanted: &mut Wanted,
) -> Result<Serving, BrokerError> {
    context.status.set(LaneState::Standby);
    while !wanted.borrow_and_update().contains(&context.account) {
        context.status.turn();
        let _ = tokio::time::timeout(Duration::from_secs(1), wanted.changed()).await;
    }
    let probing = wait_out_a_pause(context, gate).await;
    context.status.set(LaneState::Standby);
    // A lane that opens in order to probe needs one message, and holds no other back from an owner who may do more.
    let window = if probing { 1 } else { context.config.window() };
    let lane = context
        .broker
        .subscribe(LaneName::Account(context.account.clone()), window)
        .await?;
    context.status.took(&lane.settle);
    context.fleet.took(&context.account);
    Ok(Serving::new(lane, window, context))
}

/// Waits until a long pause is over, one's own or one that the ledger tells of. Says whether a probe follows.
async fn wait_out_a_pause(context: &LaneContext, gate: &mut Gate) -> bool {
    loop {
        let now = Timestamp::now();
        if let Some(paused) = context
            .memory
            .lock()
            .paused
            .clone()
            .filter(|paused| paused.until > now)
            && gate.paused().is_none_or(|(until, _)| until < paused.until)
        {
            gate.inherit(paused.until);
        }
        match gate.paused() {
            Some((until, cause)) if until > now => {
                context.status.pause(until, &cause.to_string());
                let wait = Duration::try_from(until.duration_since(now)).unwrap_or(Duration::MAX);
                // In steps, since the clock can be set, and a pause that the ledger tells of can be lifted.
                tokio::time::sleep(wait.min(Duration::from_secs(1))).await;
                context.status.turn();
            }
            paused => return paused.is_some(),
        }
    }
}

impl LaneContext {
    fn next_tenure(&self) -> Tenure {
        let number = self.tenures.fetch_add(1, Ordering::Relaxed);
        Tenure {
            account: self.account.clone(),
            worker: self.me.clone(),
            number,
        }
    }

    /// Tells the ledger of a pause, so that it outlives this worker. Best effort: the provider will say it again.
    fn record_pause(&self, until: Timestamp, why: String) {
        let record = Record::Paused {
            account: self.account.clone(),
            at: Timestamp::now(),
            until,
            why,
        };
        let broker = self.broker.clone();
        tokio::spawn(async move {
            if let Err(error) = broker.append(vec![record]).await {
                tracing::debug!(%error, "a pause could not be recorded");
            }
        });
    }
}
