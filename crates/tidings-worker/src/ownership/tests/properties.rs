use proptest::{collection::vec, prelude::*, sample::Index};

use super::{
    fleet::{Fleet, Weather},
    worker::{Millis, State},
};

/// Once nothing happens any more, no lane is unserved for longer: an announcement of a worker that is gone is up to
/// 2.5 s late, silence takes 3 s, letting go up to 1.5 s, and who was refused a place asks again after up to 3.2 s.
const UNSERVED: Millis = 9_000;

/// Once nothing happens any more, everything is in its place after so long: who stepped back does so for 10 s.
const SETTLED: Millis = 20_000;

const MOST_WORKERS: usize = 6;

#[derive(Debug, Clone)]
enum Event {
    Join(u8),
    Drain(Index),
    Kill(Index),
    Freeze(Index, Millis),
    Cut(Index, Millis),
    Island(Index, Millis),
    Deafen(Index, Millis),
    Refuse(Index, Index, Millis),
    Reload(Index, u8),
    RestartBroker,
    /// Everybody is cut off for a while.
    Stall(Millis),
    Weather(u32, Millis, Millis),
}

/// A bit for each lane that a worker serves.
fn serves() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(u8::MAX), 1 => any::<u8>()]
}

fn event() -> impl Strategy<Value = Event> {
    let who = any::<Index>;
    let short = || 100..4_000u64;
    let long = || prop_oneof![100..4_000u64, 4_000..30_000u64];
    prop_oneof![
        3 => serves().prop_map(Event::Join),
        2 => who().prop_map(Event::Drain),
        2 => who().prop_map(Event::Kill),
        2 => (who(), long()).prop_map(|(who, millis)| Event::Freeze(who, millis)),
        2 => (who(), long()).prop_map(|(who, millis)| Event::Cut(who, millis)),
        2 => (who(), long()).prop_map(|(who, millis)| Event::Island(who, millis)),
        1 => (who(), long()).prop_map(|(who, millis)| Event::Deafen(who, millis)),
        1 => (who(), who(), long()).prop_map(|(who, lane, millis)| Event::Refuse(who, lane, millis)),
        1 => (who(), serves()).prop_map(|(who, serves)| Event::Reload(who, serves)),
        1 => Just(Event::RestartBroker),
        1 => short().prop_map(Event::Stall),
        2 => (0..90u32, 100..2_500u64, long()).prop_map(|(lost, late, millis)| Event::Weather(lost, late, millis)),
    ]
}

fn lanes(serves: u8, lanes: usize) -> Vec<usize> {
    (0..lanes)
        .filter(|lane| serves & (1 << lane) != 0)
        .collect()
}

impl Fleet {
    /// Lets it happen; returns until when it lasts.
    fn meet(&mut self, event: &Event, lanes_there: usize) -> Millis {
        let now = self.now();
        let running = self.running();
        if running.is_empty() && !matches!(event, Event::Join(_)) {
            return now;
        }
        let the = |who: &Index| running[who.index(running.len())];
        match event {
            Event::Join(_) if running.len() == MOST_WORKERS => {}
            Event::Join(serves) => self.join(lanes(*serves, lanes_there)),
            Event::Drain(who) => self.drain(the(who)),
            Event::Kill(who) => self.kill(the(who)),
            Event::Freeze(who, millis) => self.trouble(the(who)).frozen = now + millis,
            Event::Cut(who, millis) => self.trouble(the(who)).cut = now + millis,
            Event::Island(who, millis) => self.trouble(the(who)).island = now + millis,
            Event::Deafen(who, millis) => self.trouble(the(who)).deaf = now + millis,
            Event::Refuse(who, lane, millis) => {
                self.refuse(the(who), lane.index(lanes_there), *millis);
            }
            Event::Reload(who, serves) => self.reload(the(who), lanes(*serves, lanes_there)),
            Event::RestartBroker => self.restart_broker(),
            Event::Stall(millis) => {
                for who in running {
                    self.trouble(who).cut = now + millis;
                }
            }
            Event::Weather(lost_percent, late, millis) => self.weather(Weather {
                lost_percent: *lost_percent,
                late: *late,
                until: now + millis,
            }),
        }
        match event {
            Event::Freeze(_, millis)
            | Event::Cut(_, millis)
            | Event::Island(_, millis)
            | Event::Deafen(_, millis)
            | Event::Refuse(_, _, millis)
            | Event::Stall(millis)
            | Event::Weather(_, _, millis) => now + millis,
            Event::RestartBroker => now + 6_000,
            _ => now,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// That nobody else starts attempts of a lane is looked at in every turn of the model.
    #[test]
    fn a_lane_has_one_owner_at_most_and_the_right_one_once_the_fleet_is_quiet(
        seed in any::<u64>(),
        lanes_there in 1..=8usize,
        first in vec(serves(), 2..=4),
        events in vec((0..5_000u64, event()), 0..12),
    ) {
        let mut fleet = Fleet::new(seed, lanes_there);
        fleet.let_go = 1_500;
        for serves in first {
            fleet.join(lanes(serves, lanes_there));
        }
        let mut over = 0;
        for (wait, event) in &events {
            fleet.run_for(*wait);
            over = over.max(fleet.meet(event, lanes_there));
        }
        fleet.run_for(over.saturating_sub(fleet.now()));
        fleet.forget_gaps();
        fleet.run_for(SETTLED);
        prop_assert!(fleet.longest_gap <= UNSERVED, "a lane was unserved for {} ms", fleet.longest_gap);
        for _ in 0..40 {
            fleet.run_for(50);
            fleet.assert_settled();
        }
        prop_assert!(fleet.workers.iter().all(|worker| worker.state != State::Draining));
    }
}
