//! The lanes of this process: started, watched, reloaded, stopped.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use futures::future::{join, join_all};
use opentelemetry_sdk::trace::SdkTracer;
use tidings_broker::Broker;
use tidings_model::{Account, Config, LaneReport, LaneState, WorkerId, config::AccountConfig};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::{
    attempt::{Caller, CallerError, Secrets},
    fleet::Fleet,
    follow::Memories,
    lane::{self, LaneContext, Status},
    metrics::LaneMetrics,
    traces::Traces,
};

/// A lane whose loop has not turned for so long is not well.
const STILL: Duration = Duration::from_secs(15);

/// A lane that needs longer than its drain and this to let go hangs: settling (2 s), the note (10 s) and the closing of
/// its channel (5 s) have bounds of their own.
const LETTING_GO: Duration = Duration::from_secs(20);

/// What every lane shares.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) me: WorkerId,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) memories: Arc<Memories>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) secrets: Secrets,
    pub(crate) tenures: Arc<AtomicU64>,
    pub(crate) tracer: Option<SdkTracer>,
}

/// The lanes of this process.
pub(crate) struct Lanes {
    shared: Shared,
    running: Mutex<BTreeMap<Account, Running>>,
}

struct Running {
    config: AccountConfig,
    drain: Duration,
    status: Arc<Status>,
    metrics: Arc<LaneMetrics>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Lanes {
    pub(crate) fn new(shared: Shared) -> Self {
        Self {
            shared,
            running: Mutex::default(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Account, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the running lanes those of a configuration: starts new ones, stops those that are gone, and lets those
    /// that changed go and come back. Nothing changes unless every account can be served.
    pub(crate) async fn become_those_of(&self, config: &Config) -> Result<(), Vec<CallerError>> {
        let (mut callers, mut errors) = (Vec::new(), Vec::new());
        for (account, wanted) in &config.accounts {
            if self
                .lock()
                .get(account)
                .is_some_and(|running| running.config == *wanted)
            {
                continue;
            }
            let traces = Traces::new(self.shared.tracer.clone(), account);
            match Caller::new(account, wanted, self.shared.secrets.clone(), traces) {
                Ok(caller) => callers.push((account.clone(), wanted.clone(), caller)),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        // Others serve what is gone, and are not kept waiting by those that change.
        self.shared.fleet.serve(config.accounts.keys().cloned());
        let gone: BTreeMap<Account, Running> = {
            let mut running = self.lock();
            let (stay, gone) = std::mem::take(&mut *running)
                .into_iter()
                .partition(|(account, _)| config.accounts.contains_key(account));
            *running = stay;
            gone
        };
        let changing = callers
            .into_iter()
            .map(|(account, wanted, caller)| async move {
                let before = self.lock().remove(&account);
                if let Some(before) = before {
                    stop(&account, before).await;
                }
                let running = self.start(&account, wanted, caller, config.drain);
                self.lock().insert(account, running);
            });
        join(join_all(changing), stop_all(gone)).await;
        Ok(())
    }

    fn start(
        &self,
        account: &Account,
        config: AccountConfig,
        caller: Caller,
        drain: Duration,
    ) -> Running {
        let shared = self.shared.clone();
        let status = Arc::new(Status::new(account.clone(), shared.me.clone(), config.rate));
        let metrics = Arc::new(LaneMetrics::new(account));
        let (stop, stopped) = watch::channel(false);
        let context = LaneContext {
            account: account.clone(),
            config: config.clone(),
            configured: config.clone(),
            me: shared.me,
            broker: shared.broker,
            caller,
            memory: shared.memories.lane(account),
            memories: shared.memories,
            fleet: shared.fleet,
            metrics: metrics.clone(),
            status: status.clone(),
            tenures: shared.tenures,
            drain,
        };
        let task = tokio::spawn(lane::keep_running(context, stopped));
        Running {
            config,
            drain,
            status,
            metrics,
            stop,
            task,
        }
    }

    /// Tells every lane to stop, and waits for none.
    pub(crate) fn tell_to_stop(&self) {
        for lane in self.lock().values() {
            lane.stop.send_replace(true);
        }
    }

    /// Stops every lane, in good order and all at once; returns those that hang.
    pub(crate) async fn stop(&self) -> Vec<Account> {
        let all = std::mem::take(&mut *self.lock());
        stop_all(all).await
    }

    pub(crate) fn reports(&self) -> Vec<LaneReport> {
        self.lock()
            .values()
            .map(|lane| lane.status.report())
            .collect()
    }

    /// The same, with the owner of those that another worker serves.
    pub(crate) fn told_to_onlookers(&self) -> Vec<LaneReport> {
        let mut reports = self.reports();
        let others = reports.iter_mut();
        for report in others.filter(|report| report.state == LaneState::Standby) {
            report.owner = self.shared.fleet.owner(&report.account);
        }
        reports
    }

    /// The lanes whose loop has not turned lately, or has ended, each with why.
    pub(crate) fn standing_still(&self) -> Vec<String> {
        let lanes = self.lock();
        let still = lanes
            .iter()
            .filter_map(|(account, lane)| match lane.status.stands_still() {
                _ if lane.task.is_finished() => Some(format!("{account} has ended")),
                still if still > STILL => {
                    Some(format!("{account} stands still for {} s", still.as_secs()))
                }
                _ => None,
            });
        still.collect()
    }

    /// Sets the gauges that are read rather than counted.
    pub(crate) fn gauge(&self) {
        for lane in self.lock().values() {
            let report = lane.status.report();
            lane.metrics.state(report.state);
            if let Some(ready) = report.ready {
                lane.metrics.backlog(ready, report.rate);
            }
        }
    }

    /// Gives up the place of every lane whose loop hangs, so that another worker can serve it. For ever.
    pub(crate) async fn watch(&self) {
        loop {
            tokio::time::sleep(STILL / 3).await;
            let hanging: Vec<_> = self
                .lock()
                .values()
                .filter(|lane| !lane.task.is_finished())
                .map(|lane| lane.status.clone())
                .collect();
            for status in hanging
                .into_iter()
                .filter(|status| status.stands_still() > STILL)
            {
                if let Some(place) = status.take_place() {
                    tracing::error!(account = %status.report().account, "the lane's loop hangs: its place is given up");
                    self.shared.fleet.step_back(&status.report().account);
                    place.close().await;
                }
            }
        }
    }

    /// Looks after how much waits in each lane, for ever. Whoever owns the lane tells of it.
    pub(crate) async fn measure(&self) {
        loop {
            for report in self.reports() {
                let depth = match report.state {
                    LaneState::Standby => None,
                    _ => self.shared.broker.depth(&report.account).await.ok(),
                };
                if let Some(lane) = self.lock().get(&report.account) {
                    lane.status.ready(depth.map(|depth| depth.ready));
                }
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }
}

/// Stops lanes, in good order and all at once; returns those that hang, and are left as they are.
async fn stop_all(lanes: impl IntoIterator<Item = (Account, Running)>) -> Vec<Account> {
    let stopping = lanes.into_iter().map(|(account, lane)| async move {
        let stopped = stop(&account, lane).await;
        (!stopped).then_some(account)
    });
    let hanging = join_all(stopping).await;
    hanging.into_iter().flatten().collect()
}

/// Says no of one that hangs, and is left as it is.
async fn stop(account: &Account, lane: Running) -> bool {
    lane.stop.send_replace(true);
    let ended = timeout(lane.drain + LETTING_GO, lane.task).await;
    match &ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%account, %error, "a lane ended badly"),
        Err(_) => {
            tracing::error!(%account, "the lane's loop hangs, and is left as it is: please report this");
            // Its place is not: nobody else could serve the lane.
            if let Some(place) = lane.status.take_place() {
                place.close().await;
            }
        }
    }
    lane.metrics.gone();
    ended.is_ok()
}
