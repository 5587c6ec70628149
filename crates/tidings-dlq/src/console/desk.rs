mod acting;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use futures::StreamExt;
use jiff::Timestamp;
use tidings_broker::{Broker, BrokerError, DeadEntry, Position, ReadFrom, ReadUntil};
use tidings_model::{FleetView, LetterKey, LetterState, OperationId, Verb};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

pub(super) use self::acting::{Order, Running};

use super::{
    fleet::{Lane, lanes},
    guard::Guard,
};
use crate::{
    Filter, Index, Indexed, Letter, Operator, Plan, Register, Request, Retention, cache::first,
    follow::read_next,
};

/// How soon reading is tried again after an error.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a page waits for the stream to be read for the first time.
const READING: Duration = Duration::from_secs(15);
/// How often is looked what the stream does not keep any more.
const FORGET: Duration = Duration::from_secs(60);

/// What the pages are made from: the dead stream as far as it was read, what the workers said lately, and the
/// operations that were begun here.
#[derive(Clone)]
pub(super) struct Desk {
    broker: Arc<dyn Broker>,
    guard: Arc<Guard>,
    retention: Retention,
    seen: Arc<RwLock<Seen>>,
    whole: watch::Receiver<bool>,
    fleet: Arc<Mutex<FleetView>>,
    running: Arc<Mutex<HashMap<OperationId, Arc<Running>>>>,
}

/// What the dead stream says.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) index: Index,
    pub(super) register: Register,
}

impl Seen {
    fn take_in(&mut self, entry: &DeadEntry) {
        self.index.take_in(entry);
        self.register.take_in(entry);
    }

    /// Until when a letter is kept, where nothing has been done about it and that is near.
    pub(super) fn ends(
        &self,
        letter: &Indexed<'_>,
        retention: Retention,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let written_at = self.register.standing(&letter.key)?.written_at?;
        let open = letter.state == LetterState::Open;
        let near = open && written_at < retention.near(now);
        near.then(|| retention.end(written_at))
    }
}

impl Desk {
    pub(super) async fn open(
        broker: Arc<dyn Broker>,
        guard: Arc<Guard>,
        retention: Retention,
    ) -> Result<Self, BrokerError> {
        // So that a missing stream is told at once.
        let announcements = broker.observe().await?;
        drop(broker.dead(ReadFrom::Next, ReadUntil::Now).await?);
        let (tell, whole) = watch::channel(false);
        let desk = Self {
            broker,
            guard,
            retention,
            seen: Arc::default(),
            whole,
            fleet: Arc::default(),
            running: Arc::default(),
        };
        tokio::spawn(desk.clone().read(tell));
        tokio::spawn(desk.clone().forget());
        let fleet = Arc::clone(&desk.fleet);
        tokio::spawn(announcements.for_each(move |heard| {
            lock(&fleet).hear(heard, Instant::now().into_std());
            std::future::ready(())
        }));
        Ok(desk)
    }

    pub(super) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// How long letters are kept.
    pub(super) fn retention(&self) -> Retention {
        self.retention
    }

    pub(super) fn place(&self) -> String {
        self.broker.place()
    }

    /// Looks at what the stream says, once all of it was read for the first time.
    pub(super) async fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        // The reader lives as long as the process.
        let _ = self.whole.clone().wait_for(|whole| *whole).await;
        look(&self.seen.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn lanes(&self) -> Vec<Lane> {
        lanes(&lock(&self.fleet), Instant::now().into_std())
    }

    /// Reads one letter with its content; `None` where it is no longer kept.
    pub(super) async fn letter(&self, key: &LetterKey) -> Result<Option<Letter>, BrokerError> {
        let position = self
            .look(|seen| seen.index.letter(key).map(|letter| letter.position))
            .await;
        let Some(position) = position else {
            return Ok(None);
        };
        let from = match position.0.checked_sub(1) {
            Some(before) => ReadFrom::After(Position(before)),
            None => ReadFrom::First,
        };
        // It is there, so that this ends; and the end of the stream need not be looked for.
        let mut entries = self.broker.dead(from, ReadUntil::Forever).await?;
        let entry = read_next(&mut entries, &*self.broker).await?;
        let found = entry.position == position;
        let letter = self.look(|seen| Letter::open(entry, &seen.register)).await;
        Ok(letter.filter(|_| found))
    }

    /// The letters that a filter lets through, read for what it asks about their content.
    pub(super) async fn holding(&self, filter: Filter) -> Result<Vec<LetterKey>, BrokerError> {
        let register = self.look(|seen| seen.register.clone()).await;
        let mut letters = crate::read_with(&*self.broker, register, filter).await?;
        let mut holding = Vec::new();
        while let Some(letter) = letters.next().await {
            holding.push(letter?.key);
        }
        Ok(holding)
    }

    pub(super) async fn plan(&self, verb: Verb, request: Request) -> Result<Plan, BrokerError> {
        let operator = Operator::new(Arc::clone(&self.broker), String::new());
        operator.plan(verb, request, Timestamp::now()).await
    }

    /// Whether all of the stream was read once, now or soon.
    pub(super) async fn is_read(&self) -> bool {
        let mut whole = self.whole.clone();
        let read = timeout(READING, whole.wait_for(|whole| *whole)).await;
        read.is_ok()
    }

    /// Forgets what the stream forgets, for ever.
    async fn forget(self) {
        loop {
            tokio::time::sleep(FORGET).await;
            if self.look(|seen| seen.register.position()).await.is_none() {
                continue;
            }
            match first(&*self.broker).await {
                Ok(first) => {
                    let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
                    seen.index.forget_before(first);
                    seen.register.forget_before(first);
                }
                Err(error) => {
                    tracing::debug!(%error, "what the stream forgot is forgotten as soon as it can be");
                }
            }
        }
    }

    /// Reads the stream, and goes on with what is written later.
    async fn read(self, whole: watch::Sender<bool>) {
        loop {
            let until = match *whole.borrow() {
                true => ReadUntil::Forever,
                false => ReadUntil::Now,
            };
            match self.read_on(until).await {
                Ok(()) if until == ReadUntil::Now => {
                    whole.send_replace(true);
                    continue;
                }
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%error, "reading the dead letters goes on as soon as it can")
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn read_on(&self, until: ReadUntil) -> Result<(), BrokerError> {
        let read = self
            .seen
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .register
            .position();
        let from = read.map_or(ReadFrom::First, ReadFrom::After);
        let mut entries = self.broker.dead(from, until).await?;
        while let Some(entry) = entries.next().await {
            let entry = entry?;
            self.seen
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .take_in(&entry);
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
