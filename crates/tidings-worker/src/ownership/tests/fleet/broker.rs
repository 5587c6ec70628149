//! The broker's part: whom it drops, and what that does.

use rand::Rng as _;

use super::{
    super::worker::{Link, State},
    Fleet,
};

impl Fleet {
    pub(super) fn is_refused(&self, worker: usize, lane: usize) -> bool {
        let now = self.now;
        let mut refusals = self.refusals.iter();
        refusals.any(|(who, which, until)| (*who, *which) == (worker, lane) && now < *until)
    }

    pub(super) fn drop_who_is_silent(&mut self, worker: usize) {
        let silent = &self.workers[worker];
        if silent.state == State::Gone || silent.link != Link::Up || silent.is_in_touch(self.now) {
            self.drop_at[worker] = None;
            return;
        }
        let patience = self.random.random_range(6_000..18_000);
        let drop_at = *self.drop_at[worker].get_or_insert(self.now + patience);
        if drop_at <= self.now {
            self.drop_connection(worker);
        }
    }

    pub(in super::super) fn drop_connection(&mut self, worker: usize) {
        if self.workers[worker].link == Link::Up {
            self.workers[worker].link = Link::Dropped;
        }
        self.close_connection(worker);
    }

    pub(super) fn close_connection(&mut self, worker: usize) {
        for places in &mut self.places {
            places.retain(|there| *there != worker);
        }
        self.mail.retain(|mail| mail.to != worker);
    }
}
