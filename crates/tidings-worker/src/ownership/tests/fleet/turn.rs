//! What each worker does in a turn of the model.

use std::time::Duration;

use rand::{Rng as _, seq::SliceRandom as _};
use tidings_model::Announcement;

use super::{
    super::worker::{Link, Millis, Place, State},
    Fleet, Mail, Weather,
};

/// How long a turn lasts.
pub(super) const TURN: Millis = 50;

impl Fleet {
    pub(super) fn turn(&mut self) {
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
}
