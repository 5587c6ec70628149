use std::time::Instant;

use serde::Serialize;
use tidings_model::{Account, FleetView, LaneReport, Orders, Rate, WorkerId};

/// How one account is served.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct LaneRow<'f> {
    pub(super) account: &'f Account,
    pub(super) state: &'static str,
    /// Who serves it; nobody does where it is `None`.
    pub(super) owner: Option<&'f WorkerId>,
    #[serde(flatten)]
    pub(super) report: Option<Report<'f>>,
}

/// What the owner says of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Report<'f> {
    pub(super) rate: Rate,
    pub(super) in_flight: usize,
    pub(super) ready: Option<u64>,
    /// How long what is ready takes at the rate.
    pub(super) drain_seconds: Option<f64>,
    pub(super) paused_until: Option<jiff::Timestamp>,
    pub(super) why: &'f Option<String>,
    /// What operators asked of it.
    #[serde(skip_serializing_if = "Orders::is_empty")]
    pub(super) orders: &'f Orders,
}

impl<'f> LaneRow<'f> {
    /// A row for each account that any worker can serve or serves.
    pub(super) fn all(fleet: &'f FleetView, now: Instant) -> Vec<Self> {
        let lanes = fleet.lanes(now).into_iter();
        lanes
            .map(|(account, report)| Self::new(account, report))
            .collect()
    }

    fn new(account: &'f Account, report: Option<&'f LaneReport>) -> Self {
        Self {
            account,
            state: report.map_or("unserved", |report| report.state.as_str()),
            owner: report.and_then(|report| report.owner.as_ref()),
            report: report.map(|report| Report {
                rate: report.rate,
                in_flight: report.in_flight,
                ready: report.ready,
                drain_seconds: report.drain().map(|drain| drain.as_secs_f64()),
                paused_until: report.paused_until,
                why: &report.why,
                orders: &report.orders,
            }),
        }
    }
}
