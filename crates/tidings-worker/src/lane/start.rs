//! Which held message goes next, and what it needs: a look-up, its destination's permit, the account's, the fence.

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    LaneContext,
    job::{Job, Need},
    tenure::{Phase, Serving},
};
use crate::{
    attempt::Permits,
    gate::{Allowance, Gate},
    limits::Line,
    policy::{self, Next},
};

/// A longer wait for a destination goes to the delays, so that it does not fill the window.
const LONG_WAIT: Duration = Duration::from_secs(3);

/// What can be done next.
enum Pick {
    /// Start this one.
    Start(Box<Job>),
    /// Nothing before then, or before something else happens.
    Wait(Option<Instant>),
}

impl Serving {
    /// Starts every call that the gate, the limits and the fence allow now.
    pub(super) fn start_what_may(&mut self, context: &LaneContext, gate: &mut Gate) {
        (self.wake_at, self.waits_for_fence) = (None, false);
        // A place that was given up from outside, since this loop hung, may be another's by now.
        if !matches!(self.phase, Phase::Open { .. }) || !context.status.has_its_place() {
            return;
        }
        while !self.held.is_empty() && self.may_start_one_more(context, gate) {
            self.renew_the_secret(context, gate);
            match self.pick(context) {
                Pick::Start(job) => self.start(*job, context, gate),
                Pick::Wait(until) => {
                    self.wake(until);
                    return;
                }
            }
        }
    }

    /// Once for each pause that has ended, before the probe. And before the fence is looked at: reading a file can take its
    /// time.
    fn renew_the_secret(&mut self, context: &LaneContext, gate: &Gate) {
        let paused = gate.paused().map(|(until, _)| until);
        let probes = gate.allowance(Timestamp::now()) == Allowance::Probe;
        if probes && self.renewed_after != paused {
            self.renewed_after = paused;
            context.caller.renew_secret();
        }
    }

    fn may_start_one_more(&mut self, context: &LaneContext, gate: &Gate) -> bool {
        let allowed = match gate.allowance(Timestamp::now()) {
            Allowance::Any => context.config.concurrency.get() as usize,
            Allowance::Probe => 1,
            Allowance::WaitForProbe => 0,
            Allowance::Wait(until) => {
                let wait =
                    Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
                self.wake(Some(Instant::now() + wait + Duration::from_millis(1)));
                0
            }
        };
        self.calls.len() < allowed
    }

    fn wake(&mut self, at: Option<Instant>) {
        self.wake_at = match (self.wake_at, at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// The first held message that may go, with every permit it needs taken.
    fn pick(&mut self, context: &LaneContext) -> Pick {
        if !self.lane.fence.holds(Instant::now()) {
            self.waits_for_fence = true;
            return Pick::Wait(None);
        }
        let index = match self.first_that_may_reach_its_destination(context) {
            Ok(index) => index,
            Err(until) => return Pick::Wait(until),
        };
        let Some(job) = self.held.get(index) else {
            return Pick::Wait(None);
        };
        // A look-up takes a permit for each page itself.
        if !job.needs_look_up() {
            let now = Instant::now();
            if let Err(at) = self.limit.take(now) {
                return Pick::Wait(Some(at));
            }
            let destination = job.message.payload.destination();
            self.destinations.take(destination, now);
        }
        self.held
            .remove(index)
            .map_or(Pick::Wait(None), |job| Pick::Start(Box::new(job)))
    }

    /// Looks through what is held, in queue order. What has ended meanwhile, has long to wait for its destination, or was
    /// held for too long, is settled on the way.
    fn first_that_may_reach_its_destination(
        &mut self,
        context: &LaneContext,
    ) -> Result<usize, Option<Instant>> {
        let now = Instant::now();
        let mut earliest = None;
        let mut line = Line::default();
        let mut index = 0;
        while let Some(job) = self.held.get_mut(index) {
            job.refresh(now);
            if job.is_held_too_long(now) {
                if let Some(job) = self.held.remove(index) {
                    self.put_back(job, Timestamp::now(), context);
                }
                continue;
            }
            if job.needs_look_up() {
                return Ok(index);
            }
            if let Some(reason) = ended(job, context) {
                if let Some(job) = self.held.remove(index) {
                    self.finish(job, Next::Die(reason), context);
                }
                continue;
            }
            let destination = job.message.payload.destination();
            let next = self.destinations.next(destination);
            if next <= now {
                return Ok(index);
            }
            let at = self.destinations.queue_up(&mut line, destination, next);
            if at.duration_since(now) > LONG_WAIT {
                if let Some(job) = self.held.remove(index) {
                    self.send_away(job, at, now, context);
                }
                continue;
            }
            earliest = earliest.map_or(Some(at), |earliest: Instant| Some(earliest.min(at)));
            index += 1;
        }
        Err(earliest)
    }

    fn send_away(&mut self, job: Job, at: Instant, now: Instant, context: &LaneContext) {
        let at = self
            .destinations
            .come_back(job.message.payload.destination(), at);
        let due = Timestamp::now()
            .checked_add(at.duration_since(now))
            .unwrap_or(Timestamp::MAX);
        self.put_back(job, due, context);
    }

    fn start(&mut self, job: Job, context: &LaneContext, gate: &mut Gate) {
        let probe = gate.start();
        if job.needs_look_up() {
            return self.start_look_up(job, probe, context);
        }
        context.metrics.rate_wait(job.held_since.elapsed());
        let (ticket, message) = (job.delivery.ticket, job.message.clone());
        let permits = self.permits();
        let call = context
            .caller
            .call(ticket, message, &job.headers, permits, probe);
        self.calling.insert(job.delivery.ticket, job);
        self.calls.push(call.boxed());
    }

    /// One reading of a group's index serves every held message of that group which needs one.
    fn start_look_up(&mut self, job: Job, probe: bool, context: &LaneContext) {
        let group = job.message.payload.destination().to_owned();
        let same =
            |other: &Job| other.needs_look_up() && other.message.payload.destination() == group;
        let (mut together, rest): (Vec<Job>, Vec<Job>) = self.held.drain(..).partition(same);
        self.held.extend(rest);
        together.push(job);
        let wanted = together
            .iter()
            .map(|job| (job.delivery.ticket, job.message.clone()))
            .collect();
        for job in together {
            self.calling.insert(job.delivery.ticket, job);
        }
        let permits = self.permits();
        let look_up = context.caller.look_up(group, wanted, permits, probe);
        self.calls.push(look_up.boxed());
    }

    fn permits(&self) -> Permits {
        Permits {
            limit: Arc::clone(&self.limit),
            fence: self.lane.fence.clone(),
            end: self.end.clone(),
        }
    }
}

/// Why a message ends without a call, where it does. One that may have been delivered is looked up before.
fn ended(job: &Job, context: &LaneContext) -> Option<tidings_model::Reason> {
    match job.need {
        Need::Call | Need::CallAfterReading(_) => policy::before_attempt(
            &job.headers.attempts,
            &context.config.retry,
            job.message.expires(),
            Timestamp::now(),
        ),
        Need::LookUp | Need::Confirm => None,
    }
}

#[cfg(test)]
mod tests;
