//! The embedded broker: one SQLite file, which all processes of a host share.
//!
//! Each process has one thread that writes ([`pen`]): it takes all that waits into one transaction, so that one
//! wait for the disk serves many. Readers have a connection of their own and hold up nobody. Who owns a lane is a
//! lease with a number ([`lease`]); each lane of a process has a task that renews it and hands messages out
//! ([`keeper`]), and settling checks the number in the transaction that writes record, effect and end ([`settle`]).
//! A lease runs out where its owner stands still, and ends at once with its owner's process ([`owner`]).
//! Each process looks some forty times a second, for microseconds, whether another one wrote.
//!
//! What it cannot do: a process that is stopped (`SIGSTOP`) in the middle of a transaction keeps the file locked until
//! it goes on or is killed. The file does not shrink: room that messages leave is used again.

mod batch;
mod clock;
mod delays;
mod file;
mod headers;
mod keeper;
mod lease;
mod news;
mod owner;
mod pages;
mod pen;
mod place;
mod publish;
mod queue;
mod reader;
mod settle;
#[cfg(test)]
mod tests;
mod topology;
mod trim;
mod writer;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use rusqlite::{Connection, params};
use tidings_model::{Account, Announcement, MAX_BODY_BYTES, Record, config::Prefix};
use tokio::{
    sync::{OnceCell, Semaphore, oneshot, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    batch::Batch,
    file::File,
    keeper::Keeper,
    news::{News, Topic},
    owner::{Owner, Owners},
    place::Place,
    publish::Publishing,
    reader::Reader,
    settle::Hands,
    writer::Writer,
};
use crate::{
    Broker, BrokerError, Confirmation, DeadEntry, DeadRecord, Delays, Depth, Difference, Envelope,
    Lane, LaneName, LedgerEntry, Options, PublishError, ReadFrom, ReadUntil, Topology,
};

/// The embedded broker.
#[derive(Debug)]
pub(crate) struct Embedded {
    core: Arc<Core>,
    connected: watch::Receiver<bool>,
    /// Room among the unconfirmed.
    room: Arc<Semaphore>,
    most: u32,
    keepers: TaskTracker,
}

/// What all parts of a process's broker share.
#[derive(Debug)]
struct Core {
    file: File,
    owners: Owners,
    /// This process among them, once it wants a lane.
    owner: OnceCell<Owner>,
    fleet: i64,
    pace: Pace,
    writer: Writer,
    reader: Reader,
    news: Arc<News>,
    closing: CancellationToken,
    began: Instant,
}

/// How fast things go.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// How long a lane is its owner's after a renewal.
    lease: Duration,
    /// How often it is renewed.
    renew: Duration,
    /// How often a process looks for what others wrote.
    look: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(8),
            renew: Duration::from_secs(1),
            look: Duration::from_millis(25),
        }
    }
}

impl Core {
    /// All leases of a process are renewed at the same moments, so that they share a commit.
    fn next_renewal(&self) -> Instant {
        let renew = self.pace.renew.as_nanos().max(1);
        let left = renew - self.began.elapsed().as_nanos() % renew;
        Instant::now() + Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX))
    }

    /// Follows news, also of other processes.
    fn hear(&self, topic: Topic) -> watch::Receiver<()> {
        let news = self.news.hear(topic);
        self.writer.listen();
        news
    }

    /// The number of a declared lane.
    async fn lane(&self, lane: &LaneName) -> Result<i64, BrokerError> {
        let (fleet, name) = (self.fleet, queue::name(lane).to_owned());
        let found = self
            .reader
            .read(move |db| topology::lane(db, fleet, &name))
            .await?;
        found.ok_or_else(|| BrokerError::Missing {
            broker: self.file.place().to_owned(),
            what: format!("lane {lane}"),
        })
    }
}

impl Embedded {
    /// Opens the file, and makes it where it is missing.
    pub(crate) async fn open(path: &str, options: Options) -> Result<Self, BrokerError> {
        Self::open_at(path, options, Pace::default()).await
    }

    async fn open_at(path: &str, options: Options, pace: Pace) -> Result<Self, BrokerError> {
        let path = path.to_owned();
        let place = format!("sqlite:{path}");
        let open = move || Self::open_now(&path, options, pace);
        match tokio::task::spawn_blocking(open).await {
            Ok(opened) => opened,
            Err(error) => Err(BrokerError::Away {
                broker: place,
                why: error.to_string(),
            }),
        }
    }

    fn open_now(path: &str, options: Options, pace: Pace) -> Result<Self, BrokerError> {
        let file = File::open(path)?;
        let db = file.writer()?;
        let fleet = fleet(&db, &options.prefix).map_err(|error| file.error(&error))?;
        let news = Arc::new(News::default());
        let (writer, connected) = Writer::start(
            file.clone(),
            db,
            options.name,
            fleet,
            Arc::clone(&news),
            pace.look,
        )?;
        let most = options.unconfirmed.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            core: Arc::new(Core {
                reader: Reader::open(file.clone())?,
                owners: Owners::of(file.path()),
                owner: OnceCell::new(),
                file,
                fleet,
                pace,
                writer,
                news,
                closing: CancellationToken::new(),
                began: Instant::now(),
            }),
            connected,
            room: Arc::new(Semaphore::new(most)),
            most: u32::try_from(most).unwrap_or(u32::MAX),
            keepers: TaskTracker::new(),
        })
    }

    /// How much of the room for the unconfirmed a body takes: large ones count as many, so that a thousand of them do
    /// not fill the memory.
    fn weight(&self, body: usize) -> u32 {
        let weight = u32::try_from(1 + body / (64 << 10)).unwrap_or(u32::MAX);
        weight.min(self.most)
    }
}

/// The number of a prefix's fleet.
fn fleet(db: &Connection, prefix: &Prefix) -> rusqlite::Result<i64> {
    db.execute(
        "INSERT INTO fleets (prefix) VALUES (?1) ON CONFLICT DO NOTHING",
        [prefix.as_str()],
    )?;
    db.query_row(
        "SELECT fleet FROM fleets WHERE prefix = ?1",
        [prefix.as_str()],
        |row| row.get(0),
    )
}

/// How many messages nobody holds. Those that were handed out count where their owner is gone.
fn ready(db: &Connection, lane: i64, longest: Duration) -> rusqlite::Result<u64> {
    let lease = lease::look(db, lane)?;
    let owned = lease.is_some_and(|lease| lease.left(clock::uptime(), longest) > 0);
    let ready: i64 = db
        .prepare_cached(
            "SELECT (SELECT count(*) FROM messages WHERE lane = ?1
                     AND seq > iif(?2, (SELECT handed FROM lanes WHERE lane = ?1), 0))
                  + (SELECT count(*) FROM delayed WHERE lane = ?1 AND due <= ?3)",
        )?
        .query_row(params![lane, owned, clock::now()], |row| row.get(0))?;
    Ok(ready.unsigned_abs())
}

#[async_trait]
impl Broker for Embedded {
    fn place(&self) -> String {
        self.core.file.place().to_owned()
    }

    fn connected(&self) -> watch::Receiver<bool> {
        self.connected.clone()
    }

    async fn apply(&self, topology: &Topology) -> Result<(), BrokerError> {
        let topology = topology.clone();
        let apply = move |batch: &mut Batch<'_>| topology::apply(batch, &topology);
        self.core.writer.ask(apply).await
    }

    async fn verify(&self, topology: &Topology) -> Result<Vec<Difference>, BrokerError> {
        let (fleet, topology) = (self.core.fleet, topology.clone());
        let verify = move |db: &Connection| topology::verify(db, fleet, &topology);
        self.core.reader.read(verify).await
    }

    async fn publish(&self, envelope: Envelope) -> Result<Confirmation, PublishError> {
        let size = envelope.body.len();
        if size > MAX_BODY_BYTES {
            return Err(PublishError::TooLarge(size));
        }
        let closed = || self.core.file.closed();
        let room = Arc::clone(&self.room)
            .acquire_many_owned(self.weight(size))
            .await
            .map_err(|_| PublishError::Away(closed()))?;
        let (reply, answer) = oneshot::channel();
        self.core
            .writer
            .put(Box::new(Publishing::new(envelope, reply, room)));
        Ok(Confirmation::new(answer, closed()))
    }

    async fn subscribe(&self, lane: LaneName, window: u16) -> Result<Lane, BrokerError> {
        let number = self.core.lane(&lane).await?;
        let owner = self.core.owner().await?;
        let (place, events) = Place::new(number, lane, window);
        let place = Arc::new(place);
        let closing = self.core.closing.child_token();
        let closed = CancellationToken::new();
        let keeper = Keeper {
            core: Arc::clone(&self.core),
            place: Arc::clone(&place),
            owner,
            news: self.core.hear(Topic::Lanes),
            closing: closing.clone(),
            handed: 0,
        };
        let fence = place.fence.clone();
        let ended = closed.clone().drop_guard();
        self.keepers.spawn(async move {
            let _ended = ended;
            keeper.keep().await;
        });
        let writer = self.core.writer.clone();
        Ok(Lane {
            events,
            settle: Arc::new(Hands {
                place,
                writer,
                closing,
                closed,
            }),
            fence,
        })
    }

    async fn append(&self, records: Vec<Record>) -> Result<(), BrokerError> {
        let lines: Vec<_> = records
            .iter()
            .map(|record| (batch::kind_of(record), LedgerEntry::lines([record])))
            .collect();
        let append = move |batch: &mut Batch<'_>| {
            let mut lines = lines.iter();
            lines.try_for_each(|(kind, line)| batch.record(*kind, line))
        };
        self.core.writer.ask(append).await
    }

    async fn ledger(
        &self,
        from: ReadFrom,
        until: ReadUntil,
    ) -> Result<BoxStream<'static, Result<LedgerEntry, BrokerError>>, BrokerError> {
        let entries = pages::read(Arc::clone(&self.core), from, until).await?;
        Ok(entries.boxed())
    }

    async fn dead(
        &self,
        from: ReadFrom,
        until: ReadUntil,
    ) -> Result<BoxStream<'static, Result<DeadEntry, BrokerError>>, BrokerError> {
        let entries = pages::read(Arc::clone(&self.core), from, until).await?;
        Ok(entries.boxed())
    }

    async fn record(&self, records: Vec<DeadRecord>) -> Result<(), BrokerError> {
        let record = move |batch: &mut Batch<'_>| {
            records.iter().try_for_each(|one| pages::record(batch, one))
        };
        self.core.writer.ask(record).await
    }

    async fn announce(&self, announcement: &Announcement) -> Result<(), BrokerError> {
        // Plain data with string keys: writing it cannot fail.
        let json = serde_json::to_string(announcement).unwrap_or_default();
        let announce = move |batch: &mut Batch<'_>| pages::announce(batch, &json);
        self.core.writer.ask(announce).await
    }

    async fn observe(&self) -> Result<BoxStream<'static, Announcement>, BrokerError> {
        let (from, until) = (ReadFrom::Next, ReadUntil::Forever);
        let announcements = pages::read(Arc::clone(&self.core), from, until).await?;
        Ok(announcements
            .filter_map(async |announcement| announcement.ok())
            .boxed())
    }

    async fn depth(&self, account: &Account) -> Result<Depth, BrokerError> {
        let lane = self.core.lane(&LaneName::Account(account.clone())).await?;
        let longest = self.core.pace.lease;
        let ready = self
            .core
            .reader
            .read(move |db| ready(db, lane, longest))
            .await?;
        Ok(Depth { ready })
    }

    async fn delays(&self, _patience: Duration) -> Result<Delays, BrokerError> {
        let fleet = self.core.fleet;
        self.core
            .reader
            .read(move |db| delays::look(db, fleet))
            .await
    }

    async fn close(&self) {
        self.room.close();
        self.core.closing.cancel();
        self.keepers.close();
        self.keepers.wait().await;
        self.core.writer.stop().await;
        self.core.leave().await;
    }
}
