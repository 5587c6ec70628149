use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};

use tokio::sync::{Notify, mpsc};

use crate::{Delivery, Fence, LaneEvent, LaneName, Ticket};

/// One's place at a lane: what its keeper, its owner's hands and the writer's jobs share.
#[derive(Debug)]
pub(super) struct Place {
    /// The lane's number in the file.
    pub(super) lane: i64,
    pub(super) name: LaneName,
    pub(super) fence: Fence,
    /// The number of the tenure; 0 before it began.
    tenure: AtomicI64,
    window: usize,
    in_hand: AtomicUsize,
    /// Until the lane is lost or closed.
    events: Mutex<Option<mpsc::UnboundedSender<LaneEvent>>>,
    /// Wakes the keeper: a delivery was settled, or the lane is lost.
    pub(super) stirred: Notify,
}

impl Place {
    pub(super) fn new(
        lane: i64,
        name: LaneName,
        window: u16,
    ) -> (Self, mpsc::UnboundedReceiver<LaneEvent>) {
        let (events, received) = mpsc::unbounded_channel();
        let place = Self {
            lane,
            name,
            fence: Fence::default(),
            tenure: AtomicI64::new(0),
            window: usize::from(window.max(1)),
            in_hand: AtomicUsize::new(0),
            events: Mutex::new(Some(events)),
            stirred: Notify::new(),
        };
        (place, received)
    }

    pub(super) fn own(&self, tenure: i64) {
        self.tenure.store(tenure, Ordering::Release);
    }

    pub(super) fn tenure(&self) -> i64 {
        self.tenure.load(Ordering::Acquire)
    }

    /// How many more messages may be handed out.
    pub(super) fn free(&self) -> usize {
        self.window
            .saturating_sub(self.in_hand.load(Ordering::Acquire))
    }

    /// Hands messages out.
    pub(super) fn deliver(&self, deliveries: Vec<Delivery>) {
        self.in_hand.fetch_add(deliveries.len(), Ordering::AcqRel);
        for delivery in deliveries {
            self.tell(LaneEvent::Delivered(delivery));
        }
    }

    /// A delivery is done with.
    pub(super) fn settled(&self, ticket: Ticket) {
        self.tell(LaneEvent::Settled(ticket));
        self.in_hand.fetch_sub(1, Ordering::AcqRel);
        self.stirred.notify_one();
    }

    /// The lane is somebody else's.
    pub(super) fn lose(&self, why: &str) {
        self.tell(LaneEvent::Lost(why.to_owned()));
        self.end();
        self.stirred.notify_one();
    }

    /// Nothing happens here any more.
    pub(super) fn end(&self) {
        self.events().take();
    }

    pub(super) fn is_over(&self) -> bool {
        self.events().is_none()
    }

    fn tell(&self, event: LaneEvent) {
        let unheard = match &*self.events() {
            Some(events) => events.send(event).map_err(|unheard| unheard.0),
            None => Err(event),
        };
        if let Err(LaneEvent::Delivered(delivery)) = unheard {
            delivery.leave();
        }
    }

    fn events(&self) -> MutexGuard<'_, Option<mpsc::UnboundedSender<LaneEvent>>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
