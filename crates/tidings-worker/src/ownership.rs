//! Which lanes this worker should be at, decided from what the fleet announces.
//!
//! The owner of a lane is the live worker, among those that serve its account, with the highest [`weight`]. Every worker
//! reckons that by itself; views that differ for a moment put two workers at a lane, of which the broker lets one act.

mod echo;
#[cfg(test)]
mod tests;
mod weight;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tidings_model::{Account, Announcement, WorkerId};
use tokio::time::Instant;

use self::{echo::Echo, weight::weight};

/// How often a worker announces itself, at the least.
pub(crate) const ANNOUNCE: Duration = Duration::from_secs(1);

/// Announcements of changes are so far apart, at the least: a change of many lanes is one announcement.
const SPACING: Duration = Duration::from_millis(50);

/// A worker that was not heard for so long is gone. A killed one's lanes are taken within this time.
const SILENT: Duration = Duration::from_secs(3);

/// A worker whose newest announcement to come back is older than this is deaf.
const DEAF: Duration = Duration::from_millis(1750);

// Where everybody stops hearing at once, each is deaf before another seems gone to it.
const _: () = assert!(DEAF.as_millis() + ANNOUNCE.as_millis() < SILENT.as_millis());

// Where everybody stops hearing at once, nobody was heard for so long before we hear again.
const _: () = assert!(LISTEN.as_millis() < DEAF.as_millis() - ANNOUNCE.as_millis());

/// A worker that has been deaf for so long does not stand in the way of others any more.
const STONE_DEAF: Duration = Duration::from_secs(10);

/// For how long a worker hears before it takes a lane. Who is there answers a newcomer at once.
const LISTEN: Duration = Duration::from_millis(500);

/// Within this time everybody is back whom a restart of the broker has cut off.
const COMING_BACK: Duration = Duration::from_secs(2);

/// The same where the machines are busy: whoever was known before is waited for so long after one is back oneself.
const BACK_AT_THE_LATEST: Duration = Duration::from_secs(5);

/// For how long a worker that failed at a lane leaves it to others.
const STEP_BACK: Duration = Duration::from_secs(10);

/// What was heard of a worker is forgotten after so long: longer than a broker is usually away, so that who comes back is
/// known.
const FORGET: Duration = Duration::from_secs(600);

/// More workers than this are not listened to.
const MOST_WORKERS: usize = 1024;

/// One worker's view of the fleet, and what it wants by it.
#[derive(Debug)]
pub(crate) struct Ownership {
    me: WorkerId,
    accounts: BTreeSet<Account>,
    subscribed: BTreeSet<Account>,
    /// Until when each is left to others.
    stepped_back: BTreeMap<Account, Instant>,
    draining: bool,
    others: BTreeMap<WorkerId, Heard>,
    echo: Echo,
    said: Option<(Instant, Claim)>,
    owes_greeting: bool,
}

/// What a worker announces of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Counts up with each announcement.
    pub(crate) sequence: u64,
    /// The accounts whose lanes it can take.
    pub(crate) accounts: Vec<Account>,
    /// Where it has a place, and is not letting go of it.
    pub(crate) subscribed: Vec<Account>,
    /// It is stopping.
    pub(crate) draining: bool,
}

#[derive(Debug)]
struct Heard {
    at: Instant,
    sequence: u64,
    accounts: BTreeSet<Account>,
    subscribed: BTreeSet<Account>,
    draining: bool,
}

impl Ownership {
    pub(crate) fn new(me: WorkerId, accounts: impl IntoIterator<Item = Account>) -> Self {
        Self {
            me,
            accounts: accounts.into_iter().collect(),
            subscribed: BTreeSet::new(),
            stepped_back: BTreeMap::new(),
            draining: false,
            others: BTreeMap::new(),
            echo: Echo::default(),
            said: None,
            owes_greeting: false,
        }
    }

    /// Whether this worker should be at a lane now: take a place where it has none, keep the one it has. Where not,
    /// it starts nothing new, lets calls in flight finish, writes its note and closes.
    pub(crate) fn wants(&self, account: &Account, now: Instant) -> bool {
        let is_there = self.subscribed.contains(account);
        if self.draining || !self.accounts.contains(account) {
            return false;
        }
        if !self.hears_itself(now) {
            return is_there;
        }
        match self.better_owner(account, now) {
            Some(owner) => is_there && !owner.subscribed.contains(account),
            None => is_there || self.echo.heard_for(now) >= LISTEN,
        }
    }

    /// All lanes that this worker should be at now.
    pub(crate) fn wanted(&self, now: Instant) -> BTreeSet<Account> {
        self.accounts
            .iter()
            .filter(|account| self.wants(account, now))
            .cloned()
            .collect()
    }

    /// The accounts that can be served changed.
    pub(crate) fn serve(&mut self, accounts: impl IntoIterator<Item = Account>) {
        self.accounts = accounts.into_iter().collect();
        let accounts = &self.accounts;
        self.stepped_back
            .retain(|account, _| accounts.contains(account));
    }

    /// It is stopping: no lane is wanted any more.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
    }

    /// The broker gave us a place at the lane.
    pub(crate) fn subscribed(&mut self, account: &Account) {
        self.subscribed.insert(account.clone());
        self.stepped_back.remove(account);
    }

    /// We begin to let the lane go, or have lost it.
    pub(crate) fn left(&mut self, account: &Account) {
        self.subscribed.remove(account);
    }

    /// The lane cannot be served here at the moment (a place is refused again and again, its loop hangs): whoever else
    /// can may. Not for a broker that is away: it is so for everybody.
    pub(crate) fn step_back(&mut self, account: &Account, now: Instant) {
        self.subscribed.remove(account);
        self.stepped_back.insert(account.clone(), now + STEP_BACK);
    }

    /// What to announce, if it is time to. To be asked a dozen times a second, and after each change.
    pub(crate) fn announce(&mut self, now: Instant) -> Option<Claim> {
        if let Some((at, said)) = &self.said {
            let since = now.saturating_duration_since(*at);
            let news = self.owes_greeting || self.claim(now) != *said;
            if since < SPACING || since < ANNOUNCE && !news {
                return None;
            }
        }
        Some(self.say(now))
    }

    /// What this worker announces, however soon after the last time.
    pub(crate) fn say(&mut self, now: Instant) -> Claim {
        let mut claim = self.claim(now);
        if let Some((_, said)) = &self.said {
            claim.sequence = said.sequence + 1;
        }
        self.owes_greeting = false;
        self.echo.said(claim.sequence, now);
        self.said = Some((now, claim.clone()));
        claim
    }

    /// Takes in what a worker announced, this one included.
    pub(crate) fn hear(&mut self, heard: &Announcement, now: Instant) {
        if heard.worker == self.me {
            return self.echo.heard(heard.sequence, now);
        }
        self.others
            .retain(|_, known| now.saturating_duration_since(known.at) <= FORGET);
        match self.others.get(&heard.worker) {
            Some(known) if known.sequence >= heard.sequence => return,
            None if self.others.len() >= MOST_WORKERS => return,
            _ => {}
        }
        self.owes_greeting |= !self.hears(&heard.worker, now);
        self.others
            .insert(heard.worker.clone(), Heard::new(heard, now));
    }

    /// Whether another worker counts as live.
    fn hears(&self, worker: &WorkerId, now: Instant) -> bool {
        self.others
            .get(worker)
            .is_some_and(|other| self.is_live(other, now))
    }

    /// Whether a worker that left a lane without a note may still write one: it is live, or what kept us from hearing
    /// anybody may still keep it from the broker.
    ///
    /// Others are heard a moment before our first echo: only a silence that began clearly earlier was shared, and who shared
    /// it is back soon after us. Of one that was never heard a newcomer cannot tell whether it is gone, or about to come back
    /// after the broker's restart.
    pub(crate) fn may_write_a_note(&self, worker: &WorkerId, now: Instant) -> bool {
        let heard_for = self.echo.heard_for(now);
        let Some(other) = self.others.get(worker) else {
            return heard_for <= COMING_BACK;
        };
        let silent_for = now.saturating_duration_since(other.at);
        let shared = silent_for >= heard_for + LISTEN && heard_for <= BACK_AT_THE_LATEST;
        self.is_live(other, now) || shared
    }

    /// Whether this worker's own announcements come back. While they do not, it neither takes lanes nor leaves them
    /// to others: it cannot tell who is there.
    pub(crate) fn hears_itself(&self, now: Instant) -> bool {
        self.echo.hears(now)
    }

    /// Silence counts only while we hear.
    fn is_live(&self, other: &Heard, now: Instant) -> bool {
        self.echo.heard_for(now) <= SILENT || now.saturating_duration_since(other.at) <= SILENT
    }

    /// Which other worker that is there has a place at the lane. While it moves two have, and one of them acts.
    pub(crate) fn owner(&self, account: &Account, now: Instant) -> Option<WorkerId> {
        let others = self
            .others
            .iter()
            .filter(|(_, other)| other.subscribed.contains(account) && self.is_live(other, now));
        let newest = others.max_by_key(|(_, other)| other.at);
        newest.map(|(worker, _)| worker.clone())
    }

    /// Who should be at the lane in this worker's stead.
    fn better_owner(&self, account: &Account, now: Instant) -> Option<&Heard> {
        let mine = (weight(account, &self.me), &self.me);
        self.others
            .iter()
            .filter(|(_, other)| self.is_live(other, now) && other.can_take(account))
            .map(|(worker, other)| ((weight(account, worker), worker), other))
            .max_by_key(|(weight, _)| *weight)
            .filter(|(weight, _)| *weight > mine || self.steps_back(account, now))
            .map(|(_, other)| other)
    }

    fn steps_back(&self, account: &Account, now: Instant) -> bool {
        self.stepped_back
            .get(account)
            .is_some_and(|until| now < *until)
    }

    /// While it takes no lane, this worker does not stand in the way of one that would. Deafness that everybody shares
    /// is soon over, and no reason to move lanes.
    fn claim(&self, now: Instant) -> Claim {
        let hears = self.echo.is_younger(STONE_DEAF, now);
        let can_take = |account: &&Account| {
            self.subscribed.contains(*account) || hears && !self.steps_back(account, now)
        };
        Claim {
            sequence: self.said.as_ref().map_or(0, |(_, said)| said.sequence),
            accounts: self.accounts.iter().filter(can_take).cloned().collect(),
            subscribed: self.subscribed.iter().cloned().collect(),
            draining: self.draining,
        }
    }
}

impl Heard {
    fn new(heard: &Announcement, at: Instant) -> Self {
        Self {
            at,
            sequence: heard.sequence,
            accounts: heard.accounts.iter().cloned().collect(),
            subscribed: heard.subscribed.iter().cloned().collect(),
            draining: heard.draining,
        }
    }

    fn can_take(&self, account: &Account) -> bool {
        !self.draining && self.accounts.contains(account)
    }
}
