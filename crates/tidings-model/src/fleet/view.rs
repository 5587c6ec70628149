use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use super::{Announcement, LaneReport, LaneState, WorkerId};
use crate::Account;

/// The fleet, as one who only listens knows it: what each worker said lately.
#[derive(Debug, Default)]
pub struct FleetView(HashMap<WorkerId, (Instant, Announcement)>);

impl FleetView {
    /// Workers announce themselves each second or two: who was not heard for so long is not there.
    pub const SILENT: Duration = Duration::from_secs(4);

    /// Takes in what a worker says. A late announcement does not replace a newer one, and who fell silent is forgotten:
    /// a worker that is started anew has another name.
    pub fn hear(&mut self, heard: Announcement, now: Instant) {
        self.0
            .retain(|_, (at, _)| now.duration_since(*at) <= Self::SILENT);
        let known = self.0.get(&heard.worker);
        if known.is_none_or(|(_, known)| known.sequence <= heard.sequence) {
            self.0.insert(heard.worker.clone(), (now, heard));
        }
    }

    /// What those who are there said last.
    pub fn workers(&self, now: Instant) -> impl Iterator<Item = &Announcement> {
        self.there(now).map(|(_, announcement)| announcement)
    }

    fn there(&self, now: Instant) -> impl Iterator<Item = &(Instant, Announcement)> {
        let heard = self.0.values();
        heard.filter(move |(at, _)| now.duration_since(*at) <= Self::SILENT)
    }

    /// Each account that any worker can serve or serves, with its lane as the owner tells of it; `None` where nobody
    /// serves it.
    #[must_use]
    pub fn lanes(&self, now: Instant) -> BTreeMap<&Account, Option<&LaneReport>> {
        let mut lanes: BTreeMap<&Account, Option<(Instant, &LaneReport)>> = BTreeMap::new();
        for (at, announcement) in self.there(now) {
            for account in &announcement.accounts {
                lanes.entry(account).or_default();
            }
            let served = announcement.lanes.iter();
            for report in served.filter(|report| report.state != LaneState::Standby) {
                let told = lanes.entry(&report.account).or_default();
                // While a lane moves, its next owner is idle beside the one that still works; and one that was killed
                // says nothing new.
                let rank =
                    |(at, report): (Instant, &LaneReport)| (report.state != LaneState::Idle, at);
                if told.is_none_or(|other| rank(other) < rank((*at, report))) {
                    *told = Some((*at, report));
                }
            }
        }
        let reports = lanes.into_iter();
        reports
            .map(|(account, told)| (account, told.map(|(_, report)| report)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn announcement(worker: &str, sequence: u64, state: LaneState) -> Announcement {
        let account: Account = "groupme.ops".parse().unwrap();
        let report = LaneReport {
            account: account.clone(),
            owner: Some(worker.into()),
            state,
            rate: "20/s".parse().unwrap(),
            in_flight: 3,
            ready: None,
            paused_until: None,
            why: None,
            orders: Default::default(),
        };
        Announcement {
            worker: worker.into(),
            sequence,
            at: Timestamp::UNIX_EPOCH,
            accounts: vec![account, "raven.desk".parse().unwrap()],
            subscribed: Vec::new(),
            lanes: vec![report],
            draining: false,
        }
    }

    #[test]
    fn a_lane_is_told_by_its_owner_and_the_silent_are_gone() {
        let (mut fleet, now) = (FleetView::default(), Instant::now());
        fleet.hear(announcement("a", 7, LaneState::Running), now);
        fleet.hear(announcement("b", 1, LaneState::Standby), now);
        fleet.hear(announcement("a", 6, LaneState::Paused), now);
        let states = |fleet: &FleetView, now| -> Vec<_> {
            let lanes = fleet.lanes(now).into_values();
            lanes.map(|lane| lane.map(|lane| lane.state)).collect()
        };
        assert_eq!(states(&fleet, now), [Some(LaneState::Running), None]);
        let later = now + FleetView::SILENT * 2;
        assert_eq!(states(&fleet, later), []);
        fleet.hear(announcement("c", 1, LaneState::Running), later);
        assert_eq!(fleet.0.len(), 1, "nobody else is remembered");
    }

    #[test]
    fn a_lane_whose_owner_was_killed_is_told_by_the_next_one() {
        for (killed, next) in [("a", "b"), ("b", "a")] {
            let (mut fleet, now) = (FleetView::default(), Instant::now());
            fleet.hear(announcement(killed, 7, LaneState::Running), now);
            let later = now + Duration::from_secs(3);
            fleet.hear(announcement(next, 9, LaneState::Running), later);
            let lanes = fleet.lanes(later).into_values().flatten();
            assert!(lanes.map(|lane| lane.owner.clone()).eq([Some(next.into())]));
        }
    }

    #[test]
    fn a_lane_that_moves_is_told_by_who_still_works() {
        for others in [["b", "c", "d"], ["y", "x", "z"], ["0", "1", "2"]] {
            let (mut fleet, now) = (FleetView::default(), Instant::now());
            for worker in others {
                fleet.hear(announcement(worker, 1, LaneState::Idle), now);
            }
            fleet.hear(announcement("a", 1, LaneState::Draining), now);
            let lanes = fleet.lanes(now).into_values().flatten();
            assert!(lanes.map(|lane| lane.state).eq([LaneState::Draining]));
        }
    }
}
