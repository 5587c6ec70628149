//! What a call or a look-up showed, and what follows from it.

use jiff::Timestamp;
use tidings_broker::fault;
use tidings_model::{Attempt, Reason, Verdict};

use super::{
    LaneContext,
    job::{Job, Need},
    tenure::{Phase, Serving},
};
use crate::{
    attempt::{CallEnded, LookedUp, Sent, can_look_up},
    gate::{Gate, Showed},
    policy::{self, Case, Next},
    settlement::Turn,
    tenures::Inheritance,
};

impl Serving {
    pub(super) fn on_call(&mut self, ended: CallEnded, context: &LaneContext, gate: &mut Gate) {
        match ended {
            CallEnded::Sent(sent) => self.on_sent(*sent, context, gate),
            CallEnded::LookedUp {
                tickets,
                result,
                showed,
            } => {
                if let Some(showed) = showed {
                    learn(gate, showed, context);
                }
                for (ticket, guid) in tickets {
                    if let Some(job) = self.calling.remove(&ticket) {
                        self.on_looked_up(job, &guid, &result, context, gate);
                    }
                }
                if gate.is_probing() {
                    gate.probe_again(Timestamp::now());
                }
            }
        }
    }

    fn on_sent(&mut self, sent: Sent, context: &LaneContext, gate: &mut Gate) {
        fault::reached(fault::Point::Attempted);
        let Some(mut job) = self.calling.remove(&sent.ticket) else {
            return;
        };
        let answer = sent.answer;
        let attempt = Attempt {
            at: sent.at,
            verdict: answer.verdict,
            status: answer.status,
            error: answer.error,
            took_ms: u64::try_from(sent.took.as_millis()).unwrap_or(u64::MAX),
            worker: context.me.clone(),
        };
        context.metrics.attempt(answer.verdict, sent.took);
        if answer.verdict == Verdict::Unknown && !job.headers.maybe_delivered {
            context.metrics.maybe_delivered();
        }
        log(&job, &attempt, context);
        job.headers.attempts.push(attempt.clone());
        job.attempt = Some(attempt);
        let showed = Showed {
            verdict: answer.verdict,
            retry_after: answer.retry_after,
            account_down: answer.verdict == Verdict::NotSent && answer.pauses_lane,
            was_probe: sent.probe,
        };
        learn(gate, showed, context);
        if answer.verdict == Verdict::Duplicate && can_look_up(context.account.provider()) {
            job.need = Need::Confirm;
            job.headers.maybe_delivered = true;
            return self.held.push_front(job);
        }
        let next = policy::after_attempt(case(&job, answer.verdict, gate, context));
        self.finish_with(job, next, answer.provider_message_id, context);
    }

    fn on_looked_up(
        &mut self,
        mut job: Job,
        guid: &str,
        result: &LookedUp,
        context: &LaneContext,
        gate: &Gate,
    ) {
        let confirming = job.need == Need::Confirm;
        match result {
            LookedUp::Read { found, began } => match found.get(guid) {
                Some(id) => self.finish_with(
                    job,
                    Next::Deliver { deduplicated: true },
                    Some(id.clone()),
                    context,
                ),
                None if confirming => {
                    let next = policy::after_duplicate(
                        false,
                        case(&job, Verdict::Duplicate, gate, context),
                    );
                    self.finish(job, next, context);
                }
                None => {
                    job.need = Need::CallAfterReading(*began);
                    self.held.push_front(job);
                }
            },
            LookedUp::CannotTell(why) if job.headers.consent && !confirming => {
                tracing::info!(account = %context.account, id = %job.id(), why, "the index cannot tell, and a person agreed to send");
                job.need = Need::Call;
                job.headers.maybe_delivered = true;
                self.held.push_front(job);
            }
            LookedUp::CannotTell(why) => {
                tracing::warn!(account = %context.account, id = %job.id(), why, "the index cannot tell what became of it");
                self.finish(job, Next::Die(Reason::UnknownOutcome), context);
            }
            LookedUp::NotNow(verdict) => {
                job.headers.maybe_delivered = true;
                let next =
                    policy::look_up_again(case(&job, *verdict, gate, context), job.message.due());
                self.finish(job, next, context);
            }
        }
    }

    pub(super) fn finish(&mut self, job: Job, next: Next, context: &LaneContext) {
        self.finish_with(job, next, None, context);
    }

    /// Decides a message's turn: remembered at once, then written, then made.
    fn finish_with(
        &mut self,
        job: Job,
        next: Next,
        provider_message_id: Option<String>,
        context: &LaneContext,
    ) {
        let now = Timestamp::now();
        let cleared = matches!(job.need, Need::CallAfterReading(_));
        let maybe_delivered = match next {
            Next::Die(Reason::UnknownOutcome) => true,
            Next::Die(_) if last_was_unknown(&job) => true,
            _ => job.headers.maybe_delivered && !cleared,
        };
        let turn = Turn {
            id: &job.message.id,
            account: &job.message.account,
            metadata: &job.message.metadata,
            headers: &job.headers,
            attempt: job.attempt.clone(),
            maybe_delivered,
            provider_message_id,
            events: context.config.events,
            now,
        };
        let (decision, settlement) = turn.settle(next);
        if let Phase::Open {
            inheritance: Inheritance::Only(ids),
            ..
        } = &mut self.phase
        {
            ids.remove(&job.message.id);
        }
        context.memory.lock().decide(&decision);
        context.metrics.ended(next, &job.message, now);
        let key = (job.message.id.clone(), job.headers.generation);
        self.settling.insert(job.delivery.ticket, Some(key));
        self.lane.settle.settle(job.delivery, settlement);
    }
}

fn last_was_unknown(job: &Job) -> bool {
    job.attempt
        .as_ref()
        .is_some_and(|attempt| attempt.verdict == Verdict::Unknown)
}

fn case<'a>(job: &'a Job, verdict: Verdict, gate: &Gate, context: &'a LaneContext) -> Case<'a> {
    let cleared = matches!(job.need, Need::CallAfterReading(_));
    Case {
        verdict,
        attempts: &job.headers.attempts,
        maybe_delivered: job.headers.maybe_delivered && !cleared,
        consent: job.headers.consent,
        can_look_up: can_look_up(context.account.provider()),
        on_unknown: context.config.on_unknown,
        retry: &context.config.retry,
        expires: job.message.expires(),
        paused_until: gate.paused().map(|(until, _)| until),
        now: Timestamp::now(),
        chance: rand::random(),
    }
}

fn learn(gate: &mut Gate, showed: Showed, context: &LaneContext) {
    let before = gate.paused();
    let now = Timestamp::now();
    let works = gate.learn(showed, now);
    // It may be another owner's, of which this one heard late.
    let ends_a_pause = works && context.memory.lock().pauses.paused.is_some();
    if ends_a_pause {
        tracing::info!(account = %context.account, "a call succeeded, and the lane's pause is over");
        context.record_reopening(now);
    }
    let after = gate.paused();
    if let Some((until, cause)) = after
        && after != before
    {
        tracing::warn!(account = %context.account, %until, why = %cause, "the lane pauses");
        context.record_pause(now, until, cause.to_string(), gate.streak());
    }
}

fn log(job: &Job, attempt: &Attempt, context: &LaneContext) {
    let (account, id, turn) = (&context.account, job.id(), job.headers.turn);
    let generation = job.headers.generation;
    let Attempt {
        verdict,
        status,
        error,
        took_ms,
        ..
    } = attempt;
    let error = error.as_deref().unwrap_or_default();
    match verdict {
        Verdict::Delivered => {
            tracing::debug!(%account, %id, generation, turn, %verdict, status, took_ms, "attempt");
        }
        Verdict::AccountProblem => {
            tracing::error!(%account, %id, generation, turn, %verdict, status, took_ms, error, "attempt");
        }
        _ => {
            tracing::info!(%account, %id, generation, turn, %verdict, status, took_ms, error, "attempt")
        }
    }
}
