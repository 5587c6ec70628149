//! A modelled fleet on a modelled broker: announcements to everybody, and one active consumer a lane, the longest there.

mod broker;
mod turn;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tidings_model::{Account, Announcement};
use tokio::time::Instant;

use self::turn::TURN;
use super::{
    super::{Ownership, weight::weight},
    worker::{Link, Millis, Place, State, Trouble, Worker},
};

pub(super) struct Fleet {
    began: Instant,
    now: Millis,
    random: StdRng,
    accounts: Vec<Account>,
    pub(super) workers: Vec<Worker>,
    mail: Vec<Mail>,
    /// For each lane, who has a place at it, the longest first: that one is active.
    places: Vec<Vec<usize>>,
    /// When the broker will drop the connection of a worker that it does not hear.
    drop_at: Vec<Option<Millis>>,
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
            drop_at: Vec::new(),
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
        self.drop_at.push(None);
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
