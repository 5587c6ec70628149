//! A modelled fleet on a modelled broker: announcements to everybody, and one active consumer a lane, the longest there.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use tidings_model::{Account, Announcement};
use tokio::time::Instant;

use super::{
    super::{Ownership, weight::weight},
    worker::{Link, Millis, Place, State, Trouble, Worker},
};

/// One turn of the model.
const TURN: Millis = 50;

pub(super) struct Fleet {
    began: Instant,
    now: Millis,
    random: StdRng,
    accounts: Vec<Account>,
    pub(super) workers: Vec<Worker>,
    mail: Vec<Mail>,
    /// For each lane, who has a place at it, the longest first: that one is active.
    places: Vec<Vec<usize>>,
    /// Since when the broker has not heard of a worker, and when it will drop the connection.
    missed: Vec<Option<Millis>>,
    /// A lane that a worker gets no place at, until when.
    refusals: Vec<(usize, usize, Millis)>,
    weather: Weather,
    /// When the broker is there again.
    back_at: Millis,
    /// How long letting a lane go takes, at the most.
    pub(super) let_go: Millis,
    /// Since when each lane is unserved, although somebody could.
    unserved_since: Vec<Option<Millis>>,
    /// For how long any lane was unserved.
    pub(super) longest_gap: Millis,
    /// How often a place was given.
    pub(super) places_given: u32,
}

struct Mail {
    at: Millis,
    to: usize,
    announcement: Announcement,
}

/// How announcements fare.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    pub(super) lost_percent: u32,
    pub(super) late: Millis,
    pub(super) until: Millis,
}

impl Weather {
    const FAIR: Self = Self {
        lost_percent: 0,
        late: 60,
        until: Millis::MAX,
    };
}

impl Fleet {
    pub(super) fn new(seed: u64, lanes: usize) -> Self {
        Self {
            began: Instant::now(),
            now: 0,
            random: StdRng::seed_from_u64(seed),
            accounts: (0..lanes)
                .map(|lane| format!("raven.lane-{lane}").parse().unwrap())
                .collect(),
            workers: Vec::new(),
            mail: Vec::new(),
            places: vec![Vec::new(); lanes],
            missed: Vec::new(),
            refusals: Vec::new(),
            weather: Weather::FAIR,
            back_at: 0,
            let_go: 0,
            unserved_since: vec![None; lanes],
            longest_gap: 0,
            places_given: 0,
        }
    }

    /// A fleet of workers that serve every lane, and have found their places.
    pub(super) fn settled(seed: u64, workers: usize, lanes: usize) -> Self {
        let mut fleet = Self::new(seed, lanes);
        for _ in 0..workers {
            fleet.join((0..lanes).collect());
        }
        fleet.run_for(8_000);
        fleet.assert_settled();
        fleet.longest_gap = 0;
        fleet
    }

    // What happens to it.

    pub(super) fn join(&mut self, serves: Vec<usize>) {
        let id = format!(
            "host-{}-{:08x}",
            self.workers.len(),
            self.random.random::<u32>()
        );
        self.workers.push(Worker {
            id: id.as_str().into(),
            ownership: Ownership::new(id.into(), self.accounts_of(&serves)),
            serves,
            state: State::Running,
            lanes: vec![Place::NONE; self.accounts.len()],
            link: Link::Down { until: self.now },
            trouble: Trouble::default(),
            confirmed: None,
        });
        self.missed.push(None);
    }

    pub(super) fn drain(&mut self, worker: usize) {
        self.workers[worker].state = State::Draining;
        self.workers[worker].ownership.drain();
    }

    pub(super) fn kill(&mut self, worker: usize) {
        self.workers[worker].state = State::Gone;
        self.close_connection(worker);
    }

    pub(super) fn reload(&mut self, worker: usize, serves: Vec<usize>) {
        let accounts = self.accounts_of(&serves);
        self.workers[worker].ownership.serve(accounts);
        self.workers[worker].serves = serves;
    }

    pub(super) fn refuse(&mut self, worker: usize, lane: usize, millis: Millis) {
        self.refusals.push((worker, lane, self.now + millis));
    }

    pub(super) fn weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// It takes longer than the fence holds: a worker that was not told starts nothing by then.
    pub(super) fn restart_broker(&mut self) {
        self.back_at = self.now + self.random.random_range(3_200..6_000);
        for worker in 0..self.workers.len() {
            self.drop_connection(worker);
        }
    }

    pub(super) fn trouble(&mut self, worker: usize) -> &mut Trouble {
        &mut self.workers[worker].trouble
    }

    pub(super) fn now(&self) -> Millis {
        self.now
    }

    pub(super) fn run_for(&mut self, millis: Millis) {
        for _ in 0..millis.div_ceil(TURN) {
            self.turn();
        }
    }

    // What can be seen of it.

    /// Those that run, and are not about to stop.
    pub(super) fn running(&self) -> Vec<usize> {
        (0..self.workers.len())
            .filter(|worker| self.workers[*worker].state == State::Running)
            .collect()
    }

    /// Whom the hash calls to a lane.
    pub(super) fn called(&self, lane: usize) -> Option<usize> {
        self.running()
            .into_iter()
            .filter(|worker| self.workers[*worker].serves.contains(&lane))
            .max_by_key(|worker| weight(&self.accounts[lane], &self.workers[*worker].id))
    }

    pub(super) fn lanes_of(&self, worker: usize) -> Vec<usize> {
        (0..self.accounts.len())
            .filter(|lane| self.workers[worker].may_start(*lane, self.now))
            .collect()
    }

    /// Every lane has the one owner that the hash gives, and nobody else has a place at it.
    pub(super) fn assert_settled(&self) {
        for lane in 0..self.accounts.len() {
            let called = Vec::from_iter(self.called(lane));
            assert_eq!(
                self.places[lane], called,
                "places at lane {lane} at {}",
                self.now
            );
            assert_eq!(self.starting(lane), called, "lane {lane} at {}", self.now);
        }
    }

    fn starting(&self, lane: usize) -> Vec<usize> {
        (0..self.workers.len())
            .filter(|worker| self.workers[*worker].may_start(lane, self.now))
            .collect()
    }

    // How it goes on.

    fn turn(&mut self) {
        self.now += TURN;
        if self.weather.until <= self.now {
            self.weather = Weather::FAIR;
        }
        (0..self.workers.len()).for_each(|worker| self.drop_who_is_silent(worker));
        let mut order = Vec::from_iter(0..self.workers.len());
        order.shuffle(&mut self.random);
        for worker in order {
            self.work(worker);
            self.look();
        }
    }

    fn work(&mut self, worker: usize) {
        if !self.workers[worker].is_awake(self.now) {
            return;
        }
        self.notice(worker);
        self.deliver(worker);
        if self.workers[worker].is_in_touch(self.now) {
            self.workers[worker].confirmed =
                Some(self.now.saturating_sub(self.random.random_range(0..200)));
        }
        for lane in 0..self.accounts.len() {
            self.work_at(worker, lane);
        }
        self.announce(worker);
        let at_work = &mut self.workers[worker];
        let is_done = at_work
            .lanes
            .iter()
            .all(|place| matches!(place, Place::None { .. }));
        if at_work.state == State::Draining && is_done {
            at_work.state = State::Gone;
        }
    }

    /// A worker notices that its connection is gone before it starts anything, and connects again.
    fn notice(&mut self, worker: usize) {
        let is_there = self.back_at <= self.now;
        let noticed = &mut self.workers[worker];
        let reaches = noticed.trouble.cut.max(noticed.trouble.island) <= self.now;
        match noticed.link {
            Link::Dropped if reaches => {
                noticed.link = Link::Down {
                    until: self.now + self.random.random_range(50..600),
                };
                noticed.confirmed = None;
                for (lane, place) in noticed.lanes.iter_mut().enumerate() {
                    noticed.ownership.left(&self.accounts[lane]);
                    *place = Place::None {
                        retry_at: self.now + self.random.random_range(0..=self.let_go),
                        failures: 0,
                    };
                }
            }
            Link::Down { until } if reaches && is_there && until <= self.now => {
                noticed.link = Link::Up;
            }
            _ => {}
        }
    }

    fn deliver(&mut self, to: usize) {
        let now = self.now;
        let receiver = &mut self.workers[to];
        if receiver.trouble.cut > now {
            return;
        }
        let due = |mail: &mut Mail| mail.to == to && mail.at <= now;
        let mut arrived = Vec::from_iter(self.mail.extract_if(.., due));
        arrived.sort_by_key(|mail| mail.at);
        if receiver.trouble.deaf <= now {
            let at = self.began + Duration::from_millis(now);
            for mail in arrived {
                receiver.ownership.hear(&mail.announcement, at);
            }
        }
    }

    fn announce(&mut self, from: usize) {
        let sender = &mut self.workers[from];
        let at = self.began + Duration::from_millis(self.now);
        let Some(claim) = sender.ownership.announce(at) else {
            return;
        };
        if !matches!(sender.link, Link::Up | Link::Dropped) {
            return;
        }
        let announcement = Announcement {
            worker: sender.id.clone(),
            sequence: claim.sequence,
            at: jiff::Timestamp::UNIX_EPOCH,
            accounts: claim.accounts,
            subscribed: claim.subscribed,
            lanes: Vec::new(),
            draining: claim.draining,
        };
        // What is written into a connection that is cut off arrives when it is whole again.
        let leaves_at = sender.trouble.cut.max(self.now);
        let alone = sender.trouble.island > self.now;
        for to in 0..self.workers.len() {
            let receiver = &self.workers[to];
            let apart = to != from && (alone || receiver.trouble.island > self.now);
            let is_there = receiver.state != State::Gone && receiver.link == Link::Up;
            let lost = self.random.random_ratio(self.weather.lost_percent, 100);
            if apart || lost || !(is_there || alone) {
                continue;
            }
            self.mail.push(Mail {
                at: leaves_at + self.random.random_range(1..=self.weather.late),
                to,
                announcement: announcement.clone(),
            });
        }
    }

    fn work_at(&mut self, worker: usize, lane: usize) {
        let at = self.began + Duration::from_millis(self.now);
        let account = &self.accounts[lane];
        let in_touch = self.workers[worker].is_in_touch(self.now);
        let is_active = self.places[lane].first() == Some(&worker);
        let is_refused = self.is_refused(worker, lane);
        let me = &mut self.workers[worker];
        let is_away = me.link != Link::Up;
        let wants = me.ownership.wants(account, at);
        me.lanes[lane] = match me.lanes[lane] {
            Place::None { retry_at, failures } if wants && retry_at <= self.now && !is_away => {
                Place::Asked {
                    until: self.now + self.random.random_range(10..150),
                    failures,
                }
            }
            Place::Asked { until, failures } if until <= self.now => {
                if in_touch && !is_refused {
                    me.ownership.subscribed(account);
                    self.places[lane].push(worker);
                    self.places_given += 1;
                    Place::Held { delivered: false }
                } else {
                    if failures >= 2 {
                        me.ownership.step_back(account, at);
                    }
                    Place::None {
                        retry_at: self.now + (200 << failures.min(4)),
                        failures: failures + 1,
                    }
                }
            }
            Place::Held { .. } if !wants => {
                me.ownership.left(account);
                Place::LettingGo {
                    until: self.now + self.random.random_range(0..=self.let_go),
                }
            }
            Place::Held { delivered } => Place::Held {
                delivered: delivered || is_active && in_touch,
            },
            Place::LettingGo { until } if until <= self.now && in_touch => {
                self.places[lane].retain(|there| *there != worker);
                Place::NONE
            }
            unchanged => unchanged,
        };
    }

    // The broker.

    fn is_refused(&self, worker: usize, lane: usize) -> bool {
        let now = self.now;
        let mut refusals = self.refusals.iter();
        refusals.any(|(who, which, until)| (*who, *which) == (worker, lane) && now < *until)
    }

    fn drop_who_is_silent(&mut self, worker: usize) {
        let silent = &self.workers[worker];
        if silent.state == State::Gone || silent.link != Link::Up || silent.is_in_touch(self.now) {
            self.missed[worker] = None;
            return;
        }
        let patience = self.random.random_range(6_000..18_000);
        let drop_at = *self.missed[worker].get_or_insert(self.now + patience);
        if drop_at <= self.now {
            self.drop_connection(worker);
        }
    }

    pub(super) fn drop_connection(&mut self, worker: usize) {
        if self.workers[worker].link == Link::Up {
            self.workers[worker].link = Link::Dropped;
        }
        self.close_connection(worker);
    }

    fn close_connection(&mut self, worker: usize) {
        for places in &mut self.places {
            places.retain(|there| *there != worker);
        }
        self.mail.retain(|mail| mail.to != worker);
    }

    fn look(&mut self) {
        for lane in 0..self.accounts.len() {
            let starting = self.starting(lane);
            assert!(
                starting.len() <= 1,
                "{starting:?} start attempts of lane {lane} at {}",
                self.now
            );
            if !starting.is_empty() || self.called(lane).is_none() {
                self.unserved_since[lane] = None;
                continue;
            }
            let since = *self.unserved_since[lane].get_or_insert(self.now);
            self.longest_gap = self.longest_gap.max(self.now - since);
        }
    }

    /// From now on, gaps count.
    pub(super) fn forget_gaps(&mut self) {
        self.unserved_since.fill(None);
        self.longest_gap = 0;
    }

    fn accounts_of(&self, lanes: &[usize]) -> Vec<Account> {
        lanes
            .iter()
            .map(|lane| self.accounts[*lane].clone())
            .collect()
    }
}
