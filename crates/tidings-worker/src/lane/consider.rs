//! What to do with a message that was just handed out, before anything is called.

use std::{collections::hash_map::Entry, sync::Arc};

use jiff::Timestamp;
use tidings_broker::{Delivery, Effect};
use tidings_model::{Message, MessageId, Metadata, Reason, UndecodableHead};

use tokio::time::Instant;

use super::{
    LaneContext,
    job::{Job, Need},
    tenure::{Phase, Serving},
};
use crate::{
    attempt::can_look_up,
    policy::{self, Back, Next, Unknown},
    settlement::{Turn, digest_id, letter_again},
    tenures::Inheritance,
};

/// A message handed out so often without a decision does harm to who handles it.
const POISONOUS: u32 = 20;

impl Serving {
    pub(super) fn consider(&mut self, delivery: Delivery, context: &LaneContext) {
        match decode(&delivery, context) {
            Ok(message) => self.consider_message(delivery, message, context),
            Err(why) => self.bury_undecodable(delivery, &why, context),
        }
    }

    fn consider_message(
        &mut self,
        mut delivery: Delivery,
        message: Message,
        context: &LaneContext,
    ) {
        let now = Timestamp::now();
        let (id, generation) = (message.id.clone(), delivery.headers.generation);
        if let Some(effect) = self.effect_again(&delivery, &id, context) {
            return self.repeat(delivery, effect, context);
        }
        match self.underway.entry((id, generation)) {
            // A copy of one that is under way waits for it, and then finds it decided.
            Entry::Occupied(mut first) => return first.get_mut().push(delivery),
            Entry::Vacant(free) => free.insert(Vec::new()),
        };
        let inherited = self.inherits(&delivery, &message);
        let forgotten = delivery.headers.again
            && context
                .memory
                .lock()
                .may_have_forgotten(message.enqueued_at, context.memories.since);
        let poisonous = delivery.returns >= POISONOUS;
        let mut headers = std::mem::take(&mut delivery.headers);
        if (inherited || forgotten) && !headers.maybe_delivered {
            context.metrics.maybe_delivered();
            headers.maybe_delivered = true;
        }
        let due = headers.due.unwrap_or_else(|| message.due());
        let job = Job {
            delivery,
            headers,
            attempt: None,
            inherited,
            need: Need::Call,
            held_since: Instant::now(),
            message: Arc::new(message),
        };
        if due > now {
            return self.put_back(job, due, context);
        }
        if poisonous {
            return match self.phase {
                Phase::Open {
                    inheritance: Inheritance::All,
                    ..
                } => self.finish(job, Next::Die(Reason::Poison), context),
                // It came back that often for no fault of its own: a copy starts counting anew.
                _ => self.put_back(job, now, context),
            };
        }
        self.hold(job, context);
    }

    fn hold(&mut self, mut job: Job, context: &LaneContext) {
        if job.headers.maybe_delivered {
            let provider = context.account.provider();
            match policy::on_unknown(
                can_look_up(provider),
                context.config.on_unknown,
                job.headers.consent,
            ) {
                Unknown::LookUp => job.need = Need::LookUp,
                Unknown::Send => {}
                Unknown::Park => {
                    return self.finish(job, Next::Die(Reason::UnknownOutcome), context);
                }
            }
        }
        self.held.push_back(job);
    }

    /// Whether an earlier tenure may have sent it. The first message that was never handed out shows that all that
    /// earlier tenures held has come back.
    fn inherits(&mut self, delivery: &Delivery, message: &Message) -> bool {
        let Phase::Open { inheritance, .. } = &mut self.phase else {
            return false;
        };
        if delivery.redelivered {
            return inheritance.covers(&message.id);
        }
        if *inheritance == Inheritance::All {
            *inheritance = Inheritance::Only(Default::default());
        }
        false
    }

    fn effect_again(
        &self,
        delivery: &Delivery,
        id: &MessageId,
        context: &LaneContext,
    ) -> Option<Effect> {
        let memory = context.memory.lock();
        let decided = memory.decided(id, &delivery.headers)?;
        let key = (id.clone(), delivery.headers.generation);
        // Decided here and not confirmed yet: its copy waits for that.
        (!self.underway.contains_key(&key)).then(|| {
            decided.effect(&delivery.headers, |died, headers| {
                letter_again(id, &context.account, died, headers)
            })
        })
    }

    fn repeat(&mut self, delivery: Delivery, effect: Effect, context: &LaneContext) {
        tracing::debug!(account = %context.account, ticket = delivery.ticket.0, "decided before: its effect is made again");
        self.settling.insert(delivery.ticket, None);
        self.lane.settle.repeat(delivery, effect);
    }

    pub(super) fn put_back(&mut self, job: Job, due: Timestamp, context: &LaneContext) {
        let back = Back {
            due,
            maybe_delivered: job.headers.maybe_delivered,
            consent: job.headers.consent,
        };
        self.finish(job, Next::PutBack(back), context);
    }

    fn bury_undecodable(&mut self, delivery: Delivery, why: &str, context: &LaneContext) {
        let head = UndecodableHead::find(&delivery.body);
        // A message's id in a body that is none says nothing of that message, and its bytes are kept.
        let is_a_messages = |id: &MessageId| {
            let memory = context.memory.lock();
            let decided = memory.decided(id, &delivery.headers);
            decided.is_some_and(|decided| !decided.is_undecodable())
        };
        let id = head.id.filter(|id| !is_a_messages(id));
        let id = id.unwrap_or_else(|| digest_id(&delivery.body));
        if let Some(effect) = self.effect_again(&delivery, &id, context) {
            return self.repeat(delivery, effect, context);
        }
        let key = (id.clone(), delivery.headers.generation);
        if let Some(waiting) = self.underway.get_mut(&key) {
            return waiting.push(delivery);
        }
        self.underway.insert(key.clone(), Vec::new());
        tracing::warn!(account = %context.account, %id, why, "a body is not a message, and becomes a dead letter");
        let turn = Turn {
            id: &id,
            account: &context.account,
            metadata: &Metadata::new(),
            headers: &delivery.headers,
            attempt: None,
            maybe_delivered: delivery.headers.maybe_delivered,
            provider_message_id: None,
            events: context.config.events,
            now: Timestamp::now(),
        };
        let (decision, settlement) = turn.settle(Next::Die(Reason::Undecodable));
        context.memory.lock().decide(&decision);
        context.metrics.outcome(Some(Reason::Undecodable));
        self.settling.insert(delivery.ticket, Some(key));
        self.lane.settle.settle(delivery, settlement);
    }
}

fn decode(delivery: &Delivery, context: &LaneContext) -> Result<Message, String> {
    let message = Message::decode(&delivery.body).map_err(|error| error.to_string())?;
    if message.account != context.account {
        return Err(format!(
            "it is for account {}, and lay in the lane of {}",
            message.account, context.account
        ));
    }
    Ok(message)
}
