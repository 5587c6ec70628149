use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use jiff::Timestamp;
use tidings_broker::Settle;
use tidings_model::{Account, LaneReport, LaneState, Orders, Rate, WorkerId};
use tokio::time::Instant;

/// How a lane does, for those who look from outside: the admin endpoint, the fleet, the watchdog.
#[derive(Debug)]
pub(crate) struct Status {
    report: Mutex<LaneReport>,
    began: Instant,
    /// The place that the lane has at its queue, for the watchdog.
    place: Mutex<Option<Arc<dyn Settle>>>,
    /// Milliseconds after `began` at which the lane's loop turned last.
    turned: AtomicU64,
}

impl Status {
    pub(crate) fn new(account: Account, owner: WorkerId, rate: Rate) -> Self {
        let report = LaneReport {
            account,
            owner: Some(owner),
            state: LaneState::Standby,
            rate,
            in_flight: 0,
            ready: None,
            paused_until: None,
            why: None,
            orders: Orders::default(),
        };
        Self {
            report: Mutex::new(report),
            began: Instant::now(),
            place: Mutex::new(None),
            turned: AtomicU64::new(0),
        }
    }

    fn change(&self, change: impl FnOnce(&mut LaneReport)) {
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
        self.turn();
    }

    pub(crate) fn set(&self, state: LaneState) {
        self.change(|report| {
            (report.state, report.paused_until, report.why) = (state, None, None);
        });
    }

    pub(crate) fn pause(&self, until: Option<Timestamp>, why: &str) {
        self.change(|report| {
            report.state = LaneState::Paused;
            report.paused_until = until;
            if report.why.as_deref() != Some(why) {
                report.why = Some(why.to_owned());
            }
        });
    }

    /// What the lane keeps to from now on.
    pub(crate) fn keeps_to(&self, orders: &Orders, rate: Rate) {
        self.change(|report| {
            report.orders.clone_from(orders);
            report.rate = rate;
        });
    }

    pub(crate) fn in_flight(&self, calls: usize) {
        self.change(|report| report.in_flight = calls);
    }

    pub(crate) fn ready(&self, messages: Option<u64>) {
        self.report
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .ready = messages;
    }

    /// Notes that the lane's loop has turned.
    pub(crate) fn turn(&self) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.turned.store(millis, Ordering::Relaxed);
    }

    /// For how long the lane's loop has not turned.
    pub(crate) fn stands_still(&self) -> std::time::Duration {
        let turned = std::time::Duration::from_millis(self.turned.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(turned)
    }

    pub(crate) fn took(&self, place: &Arc<dyn Settle>) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(place.clone());
    }

    /// The place of a lane whose loop hangs, so that it can be given up from outside.
    pub(crate) fn take_place(&self) -> Option<Arc<dyn Settle>> {
        self.place
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Whether the lane has a place that was not given up from outside.
    pub(crate) fn has_its_place(&self) -> bool {
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        place.is_some()
    }

    pub(crate) fn report(&self) -> LaneReport {
        self.report
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
