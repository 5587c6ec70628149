//! A lane's owner, as a worker would be one.

use std::collections::{HashSet, VecDeque};

use jiff::Timestamp;
use tidings_broker::{
    Broker, BrokerError, Delivery, Effect, Lane, LaneEvent, LaneName, Settlement, Ticket,
};
use tidings_model::{
    Account, Decision, Headers, LetterHead, MessageId, Outcome, Reason, Record, Verdicted,
};

use super::{
    fixture::{OPS, account},
    in_time,
    sending::{id, number},
};

/// The lane was lost. In words, why.
#[derive(Debug)]
pub(super) struct Lost(pub(super) String);

/// One's place at a lane, with what has happened there so far.
pub(super) struct Owner {
    pub(super) lane: Lane,
    account: Account,
    delivered: VecDeque<Delivery>,
    unsettled: HashSet<Ticket>,
}

impl Owner {
    /// Takes a place at the lane of [`OPS`].
    pub(super) async fn of_ops(broker: &dyn Broker, window: u16) -> Self {
        Self::of(broker, LaneName::Account(account(OPS)), window).await
    }

    pub(super) async fn of(broker: &dyn Broker, lane: LaneName, window: u16) -> Self {
        let owner = Self::try_of(broker, lane.clone(), window).await;
        owner.unwrap_or_else(|error| panic!("no place at {lane}: {error}"))
    }

    pub(super) async fn try_of(
        broker: &dyn Broker,
        name: LaneName,
        window: u16,
    ) -> Result<Self, BrokerError> {
        let account = match &name {
            LaneName::Account(account) => account.clone(),
            LaneName::Unroutable => account(OPS),
        };
        let lane = in_time("a place at the lane", broker.subscribe(name, window)).await?;
        Ok(Self {
            lane,
            account,
            delivered: VecDeque::new(),
            unsettled: HashSet::new(),
        })
    }

    /// The next message, or the end of the lane.
    pub(super) async fn try_next(&mut self) -> Result<Delivery, Lost> {
        while self.delivered.is_empty() {
            self.event("a message").await?;
        }
        Ok(self.delivered.pop_front().expect("one was delivered"))
    }

    pub(super) async fn next(&mut self) -> Delivery {
        match self.try_next().await {
            Ok(delivery) => delivery,
            Err(Lost(why)) => panic!("the lane was lost: {why}"),
        }
    }

    pub(super) async fn take(&mut self, count: usize) -> Vec<Delivery> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            taken.push(self.next().await);
        }
        taken
    }

    /// The numbers of the next messages, each settled as done.
    pub(super) async fn finish(&mut self, count: usize) -> Vec<usize> {
        let mut numbers = Vec::with_capacity(count);
        while numbers.len() < count {
            let delivery = self.next().await;
            numbers.push(number(&delivery));
            self.done(delivery);
        }
        self.settled().await;
        numbers
    }

    /// Waits until all that was settled and repeated is confirmed.
    pub(super) async fn settled(&mut self) {
        if let Err(Lost(why)) = self.try_settled().await {
            panic!("the lane was lost: {why}");
        }
    }

    pub(super) async fn try_settled(&mut self) -> Result<(), Lost> {
        while !self.unsettled.is_empty() {
            self.event("all to be settled").await?;
        }
        Ok(())
    }

    /// Waits until the lane is lost; what it held comes again.
    pub(super) async fn lost(mut self) -> String {
        loop {
            if let Err(Lost(why)) = self.event("the loss of the lane").await {
                return why;
            }
        }
    }

    /// Whether nothing has been delivered that was not taken.
    pub(super) fn has_nothing(&mut self) -> bool {
        while let Ok(event) = self.lane.events.try_recv() {
            self.note(event).expect("the lane is not lost");
        }
        self.delivered.is_empty()
    }

    async fn event(&mut self, what: &str) -> Result<(), Lost> {
        match in_time(what, self.lane.events.recv()).await {
            Some(event) => self.note(event),
            None => Err(Lost("its events ended".into())),
        }
    }

    fn note(&mut self, event: LaneEvent) -> Result<(), Lost> {
        match event {
            LaneEvent::Delivered(delivery) => self.delivered.push_back(delivery),
            LaneEvent::Settled(ticket) => {
                assert!(
                    self.unsettled.remove(&ticket),
                    "{ticket:?} settled twice, or never given back"
                );
            }
            LaneEvent::Lost(why) => return Err(Lost(why)),
        }
        Ok(())
    }

    /// Delivered.
    pub(super) fn done(&mut self, delivery: Delivery) {
        let record = self.ended(&delivery);
        self.settle(delivery, record, Effect::Done);
    }

    /// Put back with these headers.
    pub(super) fn put_back(&mut self, delivery: Delivery, headers: Headers) {
        let record = Verdicted::PutBack {
            id: id_of(&delivery),
            generation: headers.generation,
            account: self.account.clone(),
            at: Timestamp::now(),
            due: headers.due.unwrap_or_else(Timestamp::now),
            maybe_delivered: false,
            consent: false,
        };
        self.settle(delivery, record, Effect::PutBack(Box::new(headers)));
    }

    /// Dead, as no message.
    pub(super) fn bury(&mut self, delivery: Delivery) -> LetterHead {
        let head = self.letter(&delivery);
        let record = self.ended(&delivery);
        self.settle(delivery, record, Effect::Bury(Box::new(head.clone())));
        head
    }

    pub(super) fn repeat(&mut self, delivery: Delivery, effect: Effect) {
        self.unsettled.insert(delivery.ticket);
        self.lane.settle.repeat(delivery, effect);
    }

    fn settle(&mut self, delivery: Delivery, verdicted: Verdicted, effect: Effect) {
        let decision = Decision {
            turn: delivery.headers.turn,
            attempt: None,
            verdicted,
        };
        self.unsettled.insert(delivery.ticket);
        let settlement = Settlement {
            record: Some(Record::Decided(Box::new(decision))),
            effect,
            event: None,
        };
        self.lane.settle.settle(delivery, settlement);
    }

    fn ended(&self, delivery: &Delivery) -> Verdicted {
        Verdicted::Ended {
            outcome: Outcome::Delivered {
                id: id_of(delivery),
                generation: delivery.headers.generation,
                account: self.account.clone(),
                attempts: 1,
                at: Timestamp::now(),
                provider_message_id: None,
                deduplicated: false,
                metadata: Default::default(),
            },
            maybe_delivered: false,
        }
    }

    pub(super) fn letter(&self, delivery: &Delivery) -> LetterHead {
        LetterHead {
            id: None,
            account: Some(self.account.clone()),
            reason: Reason::Undecodable,
            attempts: delivery.headers.attempts.list.clone(),
            dead_at: Timestamp::now(),
            generation: delivery.headers.generation,
            maybe_delivered: delivery.headers.maybe_delivered,
            stood_at: None,
        }
    }

    /// Lets the lane go.
    pub(super) async fn close(self) {
        in_time("the lane to be closed", self.lane.settle.close()).await;
    }
}

/// The id of a message; a body that is none of this suite's messages has none.
fn id_of(delivery: &Delivery) -> MessageId {
    let number = std::str::from_utf8(&delivery.body)
        .ok()
        .and_then(|text| text.parse().ok());
    number.map_or_else(|| "unnamed".parse().expect("an id"), id)
}

impl Drop for Owner {
    /// Nobody asked for the messages that nobody took.
    fn drop(&mut self) {
        self.lane.events.close();
        while let Ok(event) = self.lane.events.try_recv() {
            if let LaneEvent::Delivered(delivery) = event {
                delivery.leave();
            }
        }
        for delivery in self.delivered.drain(..) {
            delivery.leave();
        }
    }
}
