//! What Prometheus is told. Every metric has an `account`; its handles are made once for each lane.

use std::time::Duration;

use jiff::Timestamp;
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tidings_model::{Account, LaneState, Message, Rate, Reason, Verdict};

use crate::policy::Next;

const SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0,
    7200.0,
];

/// Collects metrics in this process, once.
pub(crate) fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)?
        .install_recorder()?;
    describe_counter!("tidings_attempts_total", "Calls made, by verdict");
    describe_counter!(
        "tidings_outcomes_total",
        "Messages ended, by outcome and reason"
    );
    describe_counter!(
        "tidings_maybe_delivered_total",
        "Messages that came into doubt: an attempt may have delivered them"
    );
    describe_histogram!(
        "tidings_attempt_seconds",
        Unit::Seconds,
        "How long a call took"
    );
    describe_histogram!(
        "tidings_delivery_seconds",
        Unit::Seconds,
        "From send, or the due time, to delivered"
    );
    describe_histogram!(
        "tidings_rate_wait_seconds",
        Unit::Seconds,
        "How long a message was held for its limits"
    );
    describe_gauge!("tidings_in_flight", "Calls under way");
    describe_gauge!(
        "tidings_lane_state",
        "1 for the state that the lane is in, else 0"
    );
    describe_gauge!(
        "tidings_lane_ready_messages",
        "Messages in the lane that nobody holds"
    );
    describe_gauge!(
        "tidings_drain_seconds",
        Unit::Seconds,
        "The backlog over the allowed rate"
    );
    Ok(handle)
}

/// Counts a message for which there is no lane; of nobody's account where its body does not tell.
pub(crate) fn unroutable(account: Option<&Account>) {
    let account = account.map(Account::to_string).unwrap_or_default();
    let reason = Reason::Unroutable.as_str();
    counter!("tidings_outcomes_total", "account" => account, "outcome" => "dead", "reason" => reason)
        .increment(1);
}

/// One lane's metrics.
#[derive(Debug)]
pub(crate) struct LaneMetrics {
    account: Account,
    attempts: [Counter; Verdict::ALL.len()],
    attempt_seconds: Histogram,
    delivered: Counter,
    dead: [Counter; Reason::ALL.len()],
    delivery_seconds: Histogram,
    rate_wait: Histogram,
    in_flight: Gauge,
    maybe_delivered: Counter,
    ready: Gauge,
    drain: Gauge,
}

impl LaneMetrics {
    pub(crate) fn new(account: &Account) -> Self {
        let name = account.to_string();
        let attempts = Verdict::ALL.map(|verdict| {
            counter!("tidings_attempts_total", "account" => name.clone(), "verdict" => verdict.as_str())
        });
        // There from the start, at zero: the first death is an increase too.
        let dead = Reason::ALL.map(|reason| {
            counter!("tidings_outcomes_total", "account" => name.clone(), "outcome" => "dead", "reason" => reason.as_str())
        });
        Self {
            account: account.clone(),
            attempts,
            attempt_seconds: histogram!("tidings_attempt_seconds", "account" => name.clone()),
            delivered: counter!("tidings_outcomes_total", "account" => name.clone(), "outcome" => "delivered", "reason" => ""),
            dead,
            delivery_seconds: histogram!("tidings_delivery_seconds", "account" => name.clone()),
            rate_wait: histogram!("tidings_rate_wait_seconds", "account" => name.clone()),
            in_flight: gauge!("tidings_in_flight", "account" => name.clone()),
            maybe_delivered: counter!("tidings_maybe_delivered_total", "account" => name.clone()),
            ready: gauge!("tidings_lane_ready_messages", "account" => name.clone()),
            drain: gauge!("tidings_drain_seconds", "account" => name),
        }
    }

    pub(crate) fn attempt(&self, verdict: Verdict, took: Duration) {
        if let Some(index) = Verdict::ALL.iter().position(|known| *known == verdict) {
            self.attempts[index].increment(1);
        }
        self.attempt_seconds.record(took);
    }

    pub(crate) fn ended(&self, next: Next, message: &Message, now: Timestamp) {
        match next {
            Next::Deliver { .. } => {
                self.outcome(None);
                let since = message.due().max(message.enqueued_at);
                self.delivery_seconds
                    .record(Duration::try_from(now.duration_since(since)).unwrap_or_default());
            }
            Next::Die(reason) => self.outcome(Some(reason)),
            Next::PutBack(_) => {}
        }
    }

    /// Counts an ended message: dead with its reason, or delivered.
    pub(crate) fn outcome(&self, dead: Option<Reason>) {
        match dead {
            None => self.delivered.increment(1),
            Some(reason) => {
                if let Some(index) = Reason::ALL.iter().position(|known| *known == reason) {
                    self.dead[index].increment(1);
                }
            }
        }
    }

    pub(crate) fn rate_wait(&self, waited: Duration) {
        self.rate_wait.record(waited);
    }

    pub(crate) fn in_flight(&self, calls: usize) {
        self.in_flight
            .set(f64::from(u32::try_from(calls).unwrap_or(u32::MAX)));
    }

    pub(crate) fn maybe_delivered(&self) {
        self.maybe_delivered.increment(1);
    }

    pub(crate) fn state(&self, state: LaneState) {
        for known in LaneState::ALL {
            let account = self.account.to_string();
            let value = if known == state { 1.0 } else { 0.0 };
            gauge!("tidings_lane_state", "account" => account, "state" => known.as_str())
                .set(value);
        }
        // What waits is the owner's to tell: who owned the lane before says nothing stale.
        if state == LaneState::Standby {
            self.backlog(0, Rate::Unlimited);
        }
    }

    /// The lane is not this worker's any more, not even to stand by: what was said of it last does not stand.
    pub(crate) fn gone(&self) {
        self.state(LaneState::Standby);
        let (account, state) = (self.account.to_string(), LaneState::Standby.as_str());
        gauge!("tidings_lane_state", "account" => account, "state" => state).set(0.0);
        self.in_flight(0);
    }

    /// The backlog, and how long it takes at the allowed rate.
    pub(crate) fn backlog(&self, ready: u64, rate: Rate) {
        self.ready
            .set(f64::from(u32::try_from(ready).unwrap_or(u32::MAX)));
        self.drain.set(rate.time_for(ready).as_secs_f64());
    }
}
