//! Following the ledger: what every worker of the fleet decided, and which tenures there were.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use tidings_broker::{Broker, BrokerError, EntryKind, Position, ReadFrom, ReadUntil};
use tidings_model::{Account, Orders, Pauses, Record, WorkerId, config::Remember};
use tokio::sync::{Notify, OnceCell, watch};

use crate::{
    memory::{Memory, lane_of, pauses_of},
    orders::Known,
    tenures::Tenures,
};

/// What this worker remembers, lane by lane.
#[derive(Debug)]
pub(crate) struct Memories {
    me: WorkerId,
    remember: Remember,
    /// Where reading began: what was decided before is not known.
    pub(crate) since: Timestamp,
    /// What had been written when reading began is read.
    caught_up: watch::Sender<bool>,
    lanes: Mutex<HashMap<Account, Arc<LaneMemory>>>,
    archive: OnceCell<Archive>,
}

/// What this worker remembers of one lane. Its lock is shared with the follower alone, and held for moments.
#[derive(Debug)]
pub(crate) struct LaneMemory {
    memory: Mutex<Memory>,
    learned: Notify,
    /// What operators asked of the lane.
    pub(crate) orders: watch::Sender<Known>,
}

/// The tenures, the orders and the pauses of the whole ledger, read once: for lanes of which it told nothing lately.
#[derive(Debug, Default)]
struct Archive {
    tenures: HashMap<Account, Tenures>,
    orders: HashMap<Account, Orders>,
    pauses: HashMap<Account, Pauses>,
    /// Whether the ledger still begins where it once began: then a lane without a tenure never had one.
    whole: bool,
}

impl LaneMemory {
    fn learn(&self, record: Record) {
        match record {
            Record::Ordered { orders, .. } => {
                self.orders.send_if_modified(|known| known.ordered(&orders));
            }
            record => {
                if let Record::Standing { orders, at, .. } = &record {
                    self.orders
                        .send_if_modified(|known| known.stated(orders, *at));
                }
                self.lock().learn(record);
            }
        }
        self.learned.notify_waiters();
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something is learned for which `look` has an answer.
    pub(crate) async fn until<T>(&self, mut look: impl FnMut(&Memory) -> Option<T>) -> T {
        loop {
            // Register before looking, so that what is learned between the two is not missed.
            let learned = self.learned.notified();
            if let Some(seen) = look(&self.lock()) {
                return seen;
            }
            learned.await;
        }
    }
}

impl Memories {
    pub(crate) fn new(me: WorkerId, remember: Remember, now: Timestamp) -> Self {
        let back = SignedDuration::try_from(remember.time).unwrap_or(SignedDuration::MAX);
        let since = now.checked_sub(back).unwrap_or(Timestamp::MIN);
        Self {
            me,
            remember,
            since,
            caught_up: watch::Sender::new(false),
            lanes: Mutex::default(),
            archive: OnceCell::new(),
        }
    }

    pub(crate) fn lane(&self, account: &Account) -> Arc<LaneMemory> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = lanes.entry(account.clone()).or_insert_with(|| {
            Arc::new(LaneMemory {
                memory: Mutex::new(Memory::new(self.remember)),
                learned: Notify::new(),
                orders: watch::Sender::default(),
            })
        });
        lane.clone()
    }

    /// Follows the ledger for ever.
    pub(crate) async fn follow(&self, broker: &dyn Broker) {
        let mut from = ReadFrom::Since(self.since);
        let mut until = ReadUntil::Now;
        loop {
            match self.read(broker, &mut from, until).await {
                Ok(()) if until == ReadUntil::Now => {
                    until = ReadUntil::Forever;
                    self.caught_up.send_replace(true);
                    continue;
                }
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%error, "following the ledger was interrupted, and goes on");
                }
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Waits until what had been written of the ledger lately is read: a lane that was taken earlier would stand still until
    /// then.
    pub(crate) async fn caught_up(&self) {
        // The sender is this one's own.
        let _ = self.caught_up.subscribe().wait_for(|read| *read).await;
    }

    pub(crate) fn has_caught_up(&self) -> bool {
        *self.caught_up.borrow()
    }

    async fn read(
        &self,
        broker: &dyn Broker,
        from: &mut ReadFrom,
        until: ReadUntil,
    ) -> Result<(), BrokerError> {
        let mut entries = broker.ledger(*from, until).await?;
        while let Some(entry) = entries.next().await {
            let entry = entry?;
            *from = ReadFrom::After(entry.position);
            // One's own decisions are remembered as they are made.
            if entry.kind == EntryKind::Decisions && entry.writer.as_ref() == Some(&self.me) {
                continue;
            }
            for record in entry.records() {
                self.lane(lane_of(&record)).learn(record);
            }
        }
        Ok(())
    }

    /// What the whole ledger says of a lane that had no tenure lately.
    ///
    /// `None`: nobody ever owned it. `Some` of no tenures: whoever owned it is beyond the ledger's memory.
    pub(crate) async fn archived<T>(
        &self,
        broker: &dyn Broker,
        account: &Account,
        look: impl FnOnce(Option<&Tenures>, bool) -> T,
    ) -> Result<T, BrokerError> {
        let archive = self.archive(broker).await?;
        self.take_in_pauses(account, archive);
        Ok(look(archive.tenures.get(account), archive.whole))
    }

    /// Takes in what the whole ledger says of a lane's orders, and of its pauses.
    pub(crate) async fn read_all_orders(
        &self,
        broker: &dyn Broker,
        account: &Account,
    ) -> Result<(), BrokerError> {
        let archive = self.archive(broker).await?;
        self.take_in_pauses(account, archive);
        let orders = archive.orders.get(account).cloned().unwrap_or_default();
        self.lane(account)
            .orders
            .send_if_modified(|known| known.read_whole(&orders));
        Ok(())
    }

    fn take_in_pauses(&self, account: &Account, archive: &Archive) {
        if let Some(pauses) = archive.pauses.get(account) {
            self.lane(account).lock().pauses.learn(pauses.clone());
        }
    }

    async fn archive(&self, broker: &dyn Broker) -> Result<&Archive, BrokerError> {
        self.archive.get_or_try_init(|| Archive::read(broker)).await
    }
}

impl Archive {
    async fn read(broker: &dyn Broker) -> Result<Self, BrokerError> {
        let mut archive = Self {
            whole: true,
            ..Self::default()
        };
        let mut entries = broker.ledger(ReadFrom::First, ReadUntil::Now).await?;
        let mut first = None;
        while let Some(entry) = entries.next().await {
            let entry = entry?;
            first.get_or_insert(entry.position);
            if entry.kind == EntryKind::Tenures {
                for record in entry.records() {
                    archive.learn(record);
                }
            }
        }
        // The first entry that was ever written stands at 0 or 1.
        archive.whole = first.is_none_or(|first| first <= Position(1));
        Ok(archive)
    }

    fn learn(&mut self, record: Record) {
        if let Some(pauses) = pauses_of(&record) {
            let account = lane_of(&record).clone();
            self.pauses.entry(account).or_default().learn(pauses);
        }
        match record {
            Record::Opened { tenure, .. } => self
                .tenures
                .entry(tenure.account.clone())
                .or_default()
                .opened(tenure),
            Record::Note { tenure, left, .. } => {
                self.tenures
                    .entry(tenure.account.clone())
                    .or_default()
                    .noted(&tenure, left);
            }
            Record::Ordered { account, orders } => {
                self.orders.entry(account).or_default().learn(&orders);
            }
            Record::Standing {
                account,
                orders,
                last,
                ..
            } => {
                self.orders
                    .entry(account.clone())
                    .or_default()
                    .learn(&orders);
                if let Some((tenure, left)) = last.map(|last| *last) {
                    self.tenures
                        .entry(account)
                        .or_default()
                        .restated(tenure, left);
                }
            }
            Record::Decided(_) | Record::Paused { .. } | Record::Reopened { .. } => {}
        }
    }
}
