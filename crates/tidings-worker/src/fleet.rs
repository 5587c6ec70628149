//! Who else is there: announcements out, and what others announce.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use jiff::Timestamp;
use tidings_broker::Broker;
use tidings_model::{Account, Announcement, LaneReport, WorkerId};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::ownership::{Claim, Ownership};

/// How often the fleet is looked at: whom silence has made gone is noticed within this time.
const TURN: Duration = Duration::from_millis(80);

/// A name for this process that no other has: host, process and a random end.
#[must_use]
pub fn worker_id() -> WorkerId {
    let host = hostname::get()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "host".into());
    let host: String = host
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(40)
        .collect();
    format!(
        "{host}-{}-{:08x}",
        std::process::id(),
        rand::random::<u32>()
    )
    .into()
}

/// How long the broker may take over an announcement.
const ANNOUNCING: Duration = Duration::from_millis(500);

/// The accounts whose lanes this worker should be at.
pub(crate) type Wanted = watch::Receiver<BTreeSet<Account>>;

/// Who is there, and which lanes are this worker's by that.
#[derive(Debug)]
pub(crate) struct Fleet {
    me: WorkerId,
    ownership: Mutex<Ownership>,
    /// Something was heard, or changed here.
    news: Notify,
    wanted: watch::Sender<BTreeSet<Account>>,
}

impl Fleet {
    pub(crate) fn new(me: WorkerId) -> Self {
        let ownership = Mutex::new(Ownership::new(me.clone(), []));
        Self {
            me,
            ownership,
            news: Notify::new(),
            wanted: watch::Sender::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ownership> {
        self.ownership
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Ownership)) {
        change(&mut self.lock());
        self.news.notify_one();
    }

    /// The accounts that can be served here, from now on.
    pub(crate) fn serve(&self, accounts: impl IntoIterator<Item = Account>) {
        self.change(|ownership| ownership.serve(accounts));
    }

    /// This worker is stopping. It says so at once: its lanes may be free before it would be due to speak again, and whoever
    /// is not told waits until it counts as gone.
    pub(crate) async fn drain(&self, broker: &dyn Broker, lanes: Vec<LaneReport>) {
        self.change(Ownership::drain);
        let claim = self.lock().say(Instant::now());
        announce(broker, &self.announcement(claim, lanes)).await;
    }

    /// This worker has a place at the lane.
    pub(crate) fn took(&self, account: &Account) {
        self.change(|ownership| ownership.subscribed(account));
    }

    /// This worker begins to let the lane go, or has lost it.
    pub(crate) fn left(&self, account: &Account) {
        self.change(|ownership| ownership.left(account));
    }

    /// The lane cannot be served here at the moment: whoever else can may.
    pub(crate) fn step_back(&self, account: &Account) {
        self.change(|ownership| ownership.step_back(account, Instant::now()));
    }

    /// Which other worker has a place at the lane, as far as was heard.
    pub(crate) fn owner(&self, account: &Account) -> Option<WorkerId> {
        self.lock().owner(account, Instant::now())
    }

    /// The lanes that this worker should be at, as that changes.
    pub(crate) fn wanted(&self) -> Wanted {
        self.wanted.subscribe()
    }

    /// Whether a worker that left a lane without a note may still write one.
    pub(crate) fn may_write_a_note(&self, worker: &WorkerId) -> bool {
        self.lock().may_write_a_note(worker, Instant::now())
    }

    /// Waits until a worker cannot be expected to write a note any more.
    pub(crate) async fn is_given_up(&self, worker: &WorkerId) {
        while self.may_write_a_note(worker) {
            tokio::time::sleep(TURN).await;
        }
    }

    /// Listens for ever.
    pub(crate) async fn listen(&self, broker: &dyn Broker) {
        loop {
            match broker.observe().await {
                Ok(mut announcements) => {
                    while let Some(announcement) = announcements.next().await {
                        self.change(|ownership| ownership.hear(&announcement, Instant::now()));
                    }
                }
                Err(error) => tracing::debug!(%error, "the fleet cannot be heard at the moment"),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Announces this worker, and decides what is wanted, for ever.
    pub(crate) async fn turn(&self, broker: &dyn Broker, lanes: impl Fn() -> Vec<LaneReport>) {
        loop {
            if let Some(announcement) = self.decide(&lanes) {
                announce(broker, &announcement).await;
            }
            let _ = tokio::time::timeout(TURN, self.news.notified()).await;
        }
    }

    fn decide(&self, lanes: impl Fn() -> Vec<LaneReport>) -> Option<Announcement> {
        let now = Instant::now();
        let mut ownership = self.lock();
        let wanted = ownership.wanted(now);
        self.wanted.send_if_modified(|before| {
            let differs = *before != wanted;
            *before = wanted;
            differs
        });
        let claim = ownership.announce(now)?;
        drop(ownership);
        Some(self.announcement(claim, lanes()))
    }

    fn announcement(&self, claim: Claim, lanes: Vec<LaneReport>) -> Announcement {
        Announcement {
            worker: self.me.clone(),
            sequence: claim.sequence,
            at: Timestamp::now(),
            accounts: claim.accounts,
            subscribed: claim.subscribed,
            lanes,
            draining: claim.draining,
        }
    }
}

/// A broker that hangs must not keep this worker from deciding.
async fn announce(broker: &dyn Broker, announcement: &Announcement) {
    match tokio::time::timeout(ANNOUNCING, broker.announce(announcement)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "not announced"),
        Err(_) => tracing::debug!("an announcement was not taken in time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_workers_never_have_one_name() {
        assert_ne!(worker_id(), worker_id());
    }
}
