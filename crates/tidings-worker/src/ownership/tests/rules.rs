//! The rules one by one, for a worker `a` and others that announce themselves.

use std::time::Duration;

use tidings_model::{Account, Announcement, WorkerId};
use tokio::time::Instant;

use super::super::{
    ANNOUNCE, BACK_AT_THE_LATEST, COMING_BACK, DEAF, LISTEN, Ownership, SILENT, STEP_BACK,
    weight::weight,
};

const TICK: Duration = Duration::from_millis(1);

struct World {
    me: Ownership,
    now: Instant,
    lane: Account,
}

impl World {
    /// A worker that has not heard itself yet.
    fn begun() -> Self {
        let lane: Account = "groupme.ops".parse().unwrap();
        Self {
            me: Ownership::new("a".into(), [lane.clone()]),
            now: Instant::now(),
            lane,
        }
    }

    /// A worker that hears.
    fn new() -> Self {
        let mut world = Self::begun();
        world.echo();
        world
    }

    /// One that has listened long enough to take lanes.
    fn listened() -> Self {
        let mut world = Self::new();
        world.pass(LISTEN);
        world
    }

    /// One that has a place at the lane.
    fn there() -> Self {
        let mut world = Self::listened();
        world.me.subscribed(&world.lane);
        world
    }

    fn wants(&self) -> bool {
        self.me.wants(&self.lane, self.now)
    }

    /// Time in which it hears itself.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = end.min(self.now + ANNOUNCE);
            self.echo();
        }
    }

    fn echo(&mut self) {
        if let Some(claim) = self.me.announce(self.now) {
            let echo = Announcement {
                accounts: claim.accounts,
                subscribed: claim.subscribed,
                ..said(&"a".into(), claim.sequence)
            };
            self.me.hear(&echo, self.now);
        }
    }

    fn hear(&mut self, said: Announcement) {
        self.me.hear(&said, self.now);
    }

    /// A worker that outweighs this one, or does not, and can serve the lane.
    fn other(&self, outweighs: Outweighs) -> Announcement {
        let weight = |worker: &WorkerId| weight(&self.lane, worker);
        let worker = (0..)
            .map(|number: u32| WorkerId::from(format!("w{number}")))
            .find(|worker| (weight(worker) > weight(&"a".into())) == (outweighs == Outweighs::Yes));
        Announcement {
            accounts: vec![self.lane.clone()],
            ..said(&worker.unwrap(), 1)
        }
    }

    fn heavier(&self) -> Announcement {
        self.other(Outweighs::Yes)
    }
}

#[derive(PartialEq)]
enum Outweighs {
    Yes,
    No,
}

fn said(worker: &WorkerId, sequence: u64) -> Announcement {
    Announcement {
        worker: worker.clone(),
        sequence,
        at: jiff::Timestamp::UNIX_EPOCH,
        accounts: Vec::new(),
        subscribed: Vec::new(),
        lanes: Vec::new(),
        draining: false,
    }
}

fn subscribed(announcement: &Announcement) -> Announcement {
    Announcement {
        sequence: announcement.sequence + 1,
        subscribed: announcement.accounts.clone(),
        ..announcement.clone()
    }
}

#[test]
fn a_newcomer_listens_before_it_takes_a_lane() {
    let mut world = World::new();
    world.now += LISTEN - TICK;
    assert!(!world.wants());
    world.now += TICK;
    assert!(world.wants());
}

#[test]
fn one_that_does_not_hear_itself_takes_nothing() {
    let lane: Account = "groupme.ops".parse().unwrap();
    let mut me = Ownership::new("a".into(), [lane.clone()]);
    let now = Instant::now();
    assert!(me.announce(now).unwrap().accounts.is_empty());
    assert!(!me.wants(&lane, now + Duration::from_secs(60)));
}

#[test]
fn a_lane_whose_account_is_not_served_here_is_not_wanted() {
    let mut world = World::there();
    world.me.serve([]);
    assert!(!world.wants());
}

#[test]
fn the_heaviest_that_serves_the_account_is_called() {
    let mut world = World::listened();
    world.hear(world.other(Outweighs::No));
    assert!(world.wants());
    let heavier = world.heavier();
    world.hear(Announcement {
        accounts: vec![],
        ..heavier.clone()
    });
    assert!(world.wants());
    world.hear(Announcement {
        sequence: 2,
        ..heavier
    });
    assert!(!world.wants());
}

#[test]
fn an_owner_goes_on_until_its_successor_is_there() {
    let mut world = World::there();
    let heavier = world.heavier();
    world.hear(heavier.clone());
    assert!(world.wants());
    world.hear(subscribed(&heavier));
    assert!(!world.wants());
}

#[test]
fn an_owner_does_not_wait_for_a_successor_that_is_stopping() {
    let mut world = World::there();
    let heavier = subscribed(&world.heavier());
    world.hear(Announcement {
        draining: true,
        ..heavier
    });
    assert!(world.wants());
}

#[test]
fn one_that_is_stopping_wants_no_lane_even_where_nobody_else_does() {
    let mut world = World::there();
    world.me.drain();
    assert!(!world.wants());
    world.now += Duration::from_millis(50);
    assert!(world.me.announce(world.now).unwrap().draining);
}

#[test]
fn one_that_was_silent_for_long_is_gone() {
    let mut world = World::listened();
    world.pass(SILENT);
    world.hear(world.heavier());
    world.pass(SILENT);
    assert!(!world.wants());
    world.pass(TICK);
    assert!(world.wants());
}

#[test]
fn a_late_announcement_changes_nothing() {
    let mut world = World::there();
    let heavier = subscribed(&world.heavier());
    world.hear(Announcement {
        sequence: 9,
        accounts: vec![],
        ..heavier.clone()
    });
    world.hear(heavier);
    assert!(world.wants());
}

#[test]
fn one_that_became_deaf_keeps_what_it_has_and_takes_nothing() {
    let mut there = World::there();
    let heavier = there.heavier();
    there.hear(heavier.clone());
    there.now += DEAF + TICK;
    there.hear(subscribed(&heavier));
    assert!(there.wants());

    let mut elsewhere = World::listened();
    elsewhere.hear(heavier);
    elsewhere.now += Duration::from_secs(60);
    assert!(!elsewhere.wants());
}

#[test]
fn silence_while_deaf_does_not_count() {
    let mut world = World::listened();
    world.pass(SILENT);
    world.hear(world.heavier());
    world.now += Duration::from_secs(30);
    world.pass(SILENT);
    assert!(!world.wants());
    world.pass(ANNOUNCE + TICK);
    assert!(world.wants());
}

#[test]
fn a_note_is_expected_from_one_that_may_only_be_slower_to_come_back() {
    let mut world = World::listened();
    world.pass(SILENT);
    let other = world.heavier();
    world.hear(other.clone());
    world.pass(SILENT + TICK);
    let expected = |world: &World| world.me.may_write_a_note(&other.worker, world.now);
    assert!(!expected(&world), "it fell silent while we heard");
    world.hear(subscribed(&other));
    world.now += Duration::from_secs(120);
    world.pass(SILENT + TICK);
    assert!(expected(&world), "we were deaf as well");
    world.pass(BACK_AT_THE_LATEST);
    assert!(!expected(&world), "it would be back by now");
    world.hear(Announcement {
        sequence: 9,
        ..other.clone()
    });
    world.pass(SILENT + TICK);
    assert!(!expected(&world), "it came back, and fell silent");
    assert!(!world.me.may_write_a_note(&"never-heard".into(), world.now));
}

#[test]
fn a_newcomer_expects_a_note_of_one_that_may_be_about_to_come_back() {
    let mut world = World::listened();
    let other = world.heavier();
    let expected = |world: &World| world.me.may_write_a_note(&other.worker, world.now);
    assert!(expected(&world), "the broker may have restarted just now");
    world.pass(COMING_BACK);
    assert!(!expected(&world), "it would be back by now");
    let mut world = World::listened();
    world.hear(other.clone());
    world.pass(COMING_BACK);
    assert!(expected(&world), "it is back");
}

#[test]
fn no_note_is_expected_from_one_that_fell_silent_as_we_came() {
    let mut world = World::begun();
    let other = world.heavier();
    world.hear(other.clone());
    world.now += LISTEN - TICK;
    world.echo();
    world.pass(SILENT + TICK);
    assert!(
        !world.me.may_write_a_note(&other.worker, world.now),
        "it was killed just after we heard it, and just before we heard ourselves"
    );
}

#[test]
fn old_echoes_in_the_socket_of_one_that_was_frozen_prove_nothing() {
    let mut world = World::listened();
    world.now += ANNOUNCE;
    let before = world.me.announce(world.now).unwrap();
    world.now += Duration::from_secs(30);
    world.hear(said(&"a".into(), before.sequence));
    assert!(!world.me.hears_itself(world.now));
    world.echo();
    assert!(world.me.hears_itself(world.now));
}

#[test]
fn one_that_stepped_back_leaves_the_lane_to_others_for_a_while() {
    let mut world = World::there();
    world.hear(world.other(Outweighs::No));
    world.me.step_back(&world.lane, world.now);
    assert!(!world.wants());
    world.now += Duration::from_millis(50);
    assert!(world.me.announce(world.now).unwrap().accounts.is_empty());
    for second in 1..STEP_BACK.as_secs() {
        world.pass(ANNOUNCE);
        let other = world.other(Outweighs::No);
        world.hear(Announcement {
            sequence: second + 1,
            ..other
        });
    }
    assert!(!world.wants());
    world.pass(ANNOUNCE);
    assert!(world.wants());
}

#[test]
fn one_that_stepped_back_tries_again_where_there_is_nobody_else() {
    let mut world = World::there();
    world.me.step_back(&world.lane, world.now);
    assert!(world.wants());
}

#[test]
fn changes_and_newcomers_are_announced_at_once_and_else_nothing_before_its_time() {
    let mut world = World::listened();
    world.pass(ANNOUNCE);
    let soon = Duration::from_millis(50);
    world.now += soon;
    assert_eq!(world.me.announce(world.now), None);
    world.me.subscribed(&world.lane);
    let claim = world.me.announce(world.now).unwrap();
    assert_eq!(claim.subscribed, [world.lane.clone()]);
    world.me.left(&world.lane);
    assert_eq!(
        world.me.announce(world.now + TICK),
        None,
        "too soon after the last"
    );
    world.now += soon;
    assert!(world.me.announce(world.now).unwrap().subscribed.is_empty());
    world.pass(SILENT + ANNOUNCE);
    world.hear(world.heavier());
    world.now += soon;
    assert!(
        world.me.announce(world.now).is_some(),
        "the newcomer is answered"
    );
    world.now += soon;
    assert_eq!(world.me.announce(world.now), None);
}
