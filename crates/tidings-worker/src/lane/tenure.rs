//! The loop of a tenure: what happens at the lane and in its calls, in turn.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use jiff::Timestamp;
use tidings_broker::{BrokerError, Delivery, Lane, LaneEvent, Ticket};
use tidings_model::{Account, LaneState, MessageId, Tenure};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{End, LaneContext, SHORT_PAUSE, Told, job::Job, open::open};
use crate::{
    attempt::CallEnded,
    gate::Gate,
    limits::{AccountLimit, DestinationLimits},
    tenures::Inheritance,
};

/// (id, generation): what a decision is about.
pub(super) type Key = (MessageId, u32);

/// One's place at a lane, and what goes on there.
pub(super) struct Serving {
    pub(super) lane: Lane,
    pub(super) window: u16,
    pub(super) phase: Phase,
    pub(super) limit: Arc<AccountLimit>,
    pub(super) destinations: DestinationLimits,
    /// Messages that wait for a permit, in queue order.
    pub(super) held: VecDeque<Job>,
    /// Messages whose call, or whose group's look-up, is under way.
    pub(super) calling: HashMap<Ticket, Job>,
    pub(super) calls: FuturesUnordered<BoxFuture<'static, CallEnded>>,
    /// Every message that is held, called or being settled; with its copies that came meanwhile and wait for it.
    pub(super) underway: HashMap<Key, Vec<Delivery>>,
    /// Deliveries given back whose settling is not confirmed yet.
    pub(super) settling: HashMap<Ticket, Option<Key>>,
    /// When to look again at what waits.
    pub(super) wake_at: Option<Instant>,
    pub(super) waits_for_fence: bool,
    /// The end of the pause after which the secret was read again.
    pub(super) renewed_after: Option<Timestamp>,
    /// The lane is let go, or lost.
    pub(super) end: CancellationToken,
}

/// How far a tenure has come.
pub(super) enum Phase {
    /// Nothing was delivered yet: another may own the lane.
    Standby,
    /// A message came, so the lane is ours; the ledger is read up to the tenure's opening.
    Opening {
        tenure: Tenure,
        arrived: VecDeque<Delivery>,
        opening: BoxFuture<'static, Result<Inheritance, BrokerError>>,
    },
    /// What was left by earlier tenures is known, and calls may start.
    Open {
        tenure: Tenure,
        inheritance: Inheritance,
    },
}

/// What happened next.
enum Turned {
    Lane(Option<LaneEvent>),
    Call(CallEnded),
    Opened(Result<Inheritance, BrokerError>),
    Time,
    Stop,
    /// Another worker serves the lane from now on.
    Unwanted,
    /// Operators asked something of it.
    Ordered,
}

impl Serving {
    pub(super) fn new(lane: Lane, window: u16, context: &LaneContext) -> Self {
        let now = Instant::now();
        Self {
            lane,
            window,
            phase: Phase::Standby,
            limit: Arc::new(AccountLimit::new(
                &context.config.rate,
                context.config.burst,
                now,
            )),
            destinations: DestinationLimits::new(&context.config.destination_rate, now),
            held: VecDeque::new(),
            calling: HashMap::new(),
            calls: FuturesUnordered::new(),
            underway: HashMap::new(),
            settling: HashMap::new(),
            wake_at: None,
            waits_for_fence: false,
            renewed_after: None,
            end: CancellationToken::new(),
        }
    }

    /// Serves until it is told to stop, the lane is lost, or it is better taken anew: after a long pause, or a probe.
    pub(super) async fn serve(
        mut self,
        context: &LaneContext,
        gate: &mut Gate,
        told: &mut Told,
    ) -> End {
        let mut clock = tokio::time::interval(Duration::from_secs(1));
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.start_what_may(context, gate);
            self.tell(context, gate);
            if self.is_paused_for_long(gate) || self.outgrew_its_window(context, gate) {
                self.let_go(context, gate, context.drain).await;
                return End::Again;
            }
            match self.turn(&context.account, told, &mut clock).await {
                Turned::Lane(Some(event)) => {
                    if let Some(why) = self.on_event(event, context) {
                        return self.lose(context, gate, &mut told.stop, &why).await;
                    }
                }
                Turned::Lane(None) => {
                    return self
                        .lose(context, gate, &mut told.stop, "its deliveries ended")
                        .await;
                }
                Turned::Call(ended) => self.on_call(ended, context, gate),
                Turned::Opened(Ok(inheritance)) => {
                    self.opened(inheritance, context, gate);
                    if context.has_to_change(&mut told.orders) {
                        return self.change(context, gate).await;
                    }
                }
                Turned::Opened(Err(error)) => {
                    return self
                        .lose(context, gate, &mut told.stop, &error.to_string())
                        .await;
                }
                Turned::Time => {}
                Turned::Ordered if context.has_to_change(&mut told.orders) => {
                    return self.change(context, gate).await;
                }
                Turned::Ordered => {}
                Turned::Unwanted => {
                    tracing::info!(account = %context.account, "the lane moves to another worker");
                    context.status.set(LaneState::Draining);
                    self.let_go(context, gate, context.drain).await;
                    return End::Again;
                }
                Turned::Stop => {
                    context.status.set(LaneState::Draining);
                    self.let_go(context, gate, context.drain).await;
                    return End::Stopped;
                }
            }
        }
    }

    /// Lets the lane go, to take it anew as operators want it served: with other limits and empty buckets, or not now.
    async fn change(self, context: &LaneContext, gate: &mut Gate) -> End {
        tracing::info!(account = %context.account, "the lane changes, as an operator asked");
        context.status.set(LaneState::Draining);
        self.let_go(context, gate, context.drain).await;
        End::Again
    }

    async fn turn(
        &mut self,
        account: &Account,
        told: &mut Told,
        clock: &mut tokio::time::Interval,
    ) -> Turned {
        let wake_at = self.wake_at;
        let opening = match &mut self.phase {
            Phase::Opening { opening, .. } => opening.left_future(),
            Phase::Standby | Phase::Open { .. } => std::future::pending().right_future(),
        };
        tokio::select! {
            Some(ended) = self.calls.next() => Turned::Call(ended),
            event = self.lane.events.recv() => Turned::Lane(event),
            opened = opening => Turned::Opened(opened),
            () = async { tokio::time::sleep_until(wake_at.unwrap_or_else(Instant::now)).await }, if wake_at.is_some() => Turned::Time,
            () = self.lane.fence.held(), if self.waits_for_fence => Turned::Time,
            _ = clock.tick() => Turned::Time,
            _ = told.stop.wait_for(|stop| *stop) => Turned::Stop,
            _ = told.wanted.wait_for(|wanted| !wanted.contains(account)) => Turned::Unwanted,
            _ = told.orders.changed() => Turned::Ordered,
        }
    }

    /// Takes in an event, and those that are ready behind it. Says why, where the lane is lost.
    fn on_event(&mut self, event: LaneEvent, context: &LaneContext) -> Option<String> {
        let mut next = Some(event);
        while let Some(event) = next {
            match event {
                LaneEvent::Delivered(delivery) => self.on_delivery(delivery, context),
                LaneEvent::Settled(ticket) => self.on_settled(ticket, context),
                LaneEvent::Lost(why) => return Some(why),
            }
            next = self.lane.events.try_recv().ok();
        }
        None
    }

    fn on_delivery(&mut self, delivery: Delivery, context: &LaneContext) {
        match &mut self.phase {
            Phase::Standby => {
                let tenure = context.next_tenure();
                tracing::info!(account = %context.account, tenure = tenure.number, "the lane is ours, and opens");
                let opening = open(context, tenure.clone()).boxed();
                self.phase = Phase::Opening {
                    tenure,
                    arrived: VecDeque::from([delivery]),
                    opening,
                };
            }
            Phase::Opening { arrived, .. } => arrived.push_back(delivery),
            Phase::Open { .. } => self.consider(delivery, context),
        }
    }

    fn opened(&mut self, inheritance: Inheritance, context: &LaneContext, gate: &mut Gate) {
        let Phase::Opening {
            tenure, arrived, ..
        } = std::mem::replace(&mut self.phase, Phase::Standby)
        else {
            return;
        };
        // From now on, and not from the subscription, which may be old: the buckets start empty.
        let now = Instant::now();
        self.limit = Arc::new(AccountLimit::new(
            &context.config.rate,
            context.config.burst,
            now,
        ));
        self.destinations = DestinationLimits::new(&context.config.destination_rate, now);
        gate.keep_to(
            context.memory.lock().pauses.paused.as_ref(),
            Timestamp::now(),
        );
        self.phase = Phase::Open {
            tenure,
            inheritance,
        };
        for delivery in arrived {
            self.consider(delivery, context);
        }
    }

    fn on_settled(&mut self, ticket: Ticket, context: &LaneContext) {
        if let Some(Some(key)) = self.settling.remove(&ticket)
            && let Some(waiting) = self.underway.remove(&key)
        {
            for copy in waiting {
                self.consider(copy, context);
            }
        }
    }

    fn is_paused_for_long(&self, gate: &Gate) -> bool {
        let short =
            jiff::SignedDuration::try_from(SHORT_PAUSE).unwrap_or(jiff::SignedDuration::ZERO);
        gate.paused()
            .is_some_and(|(until, _)| until.duration_since(Timestamp::now()) > short)
    }

    /// A lane that was opened to probe, with a window of one, and may do more now: it is taken anew.
    fn outgrew_its_window(&self, context: &LaneContext, gate: &Gate) -> bool {
        gate.is_open() && self.window < context.config.window() && self.calls.is_empty()
    }

    /// Tells the onlookers how the lane does.
    fn tell(&self, context: &LaneContext, gate: &Gate) {
        let now = Timestamp::now();
        match (&self.phase, gate.paused()) {
            (_, Some((until, cause))) if until > now => {
                context.status.pause(Some(until), &cause.to_string())
            }
            (Phase::Standby, _) => context.status.set(LaneState::Idle),
            (Phase::Opening { .. }, _) => context.status.set(LaneState::Opening),
            (Phase::Open { .. }, _) if gate.is_open() => context.status.set(LaneState::Running),
            // Its pause is over, and nothing is there to probe with.
            (Phase::Open { .. }, _) if self.held.is_empty() && self.calls.is_empty() => {
                context.status.set(LaneState::Idle);
            }
            (Phase::Open { .. }, _) => context.status.set(LaneState::Probing),
        }
        self.tell_calls(context);
    }

    pub(super) fn tell_calls(&self, context: &LaneContext) {
        context.status.in_flight(self.calls.len());
        context.metrics.in_flight(self.calls.len());
    }
}
