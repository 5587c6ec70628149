use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use jiff::Timestamp;
use tidings_model::{Account, Announcement, LaneReport, LaneState, WorkerId};
use tokio::time::Instant;

/// Workers announce themselves each second or two: who is silent for so long is not there.
const SILENT: Duration = Duration::from_secs(8);

/// What the workers said lately.
#[derive(Debug, Default)]
pub(super) struct Fleet(HashMap<WorkerId, (Instant, Announcement)>);

/// How one account is served.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lane {
    pub(super) account: Account,
    /// `None` where nobody serves it.
    pub(super) report: Option<LaneReport>,
}

impl Fleet {
    /// A late announcement does not replace a newer one.
    pub(super) fn hear(&mut self, heard: Announcement, now: Instant) {
        let known = self.0.get(&heard.worker);
        if known.is_none_or(|(_, known)| known.sequence <= heard.sequence) {
            self.0.insert(heard.worker.clone(), (now, heard));
        }
    }

    /// A lane for each account that any worker can serve or serves: those in trouble first.
    pub(super) fn lanes(&self, now: Instant) -> Vec<Lane> {
        let mut lanes: BTreeMap<&Account, Option<&LaneReport>> = BTreeMap::new();
        for (heard, announcement) in self.0.values() {
            if now.duration_since(*heard) > SILENT {
                continue;
            }
            for account in &announcement.accounts {
                lanes.entry(account).or_default();
            }
            let served = announcement.lanes.iter();
            for report in served.filter(|report| report.state != LaneState::Standby) {
                lanes.insert(&report.account, Some(report));
            }
        }
        let mut lanes: Vec<_> = lanes
            .into_iter()
            .map(|(account, report)| Lane {
                account: account.clone(),
                report: report.cloned(),
            })
            .collect();
        lanes.sort_by_key(|lane| !lane.is_in_trouble());
        lanes
    }
}

impl Lane {
    pub(super) fn is_in_trouble(&self) -> bool {
        let state = self.report.as_ref().map(|report| report.state);
        matches!(state, None | Some(LaneState::Paused | LaneState::Probing))
    }

    pub(super) fn state(&self) -> &'static str {
        let report = self.report.as_ref();
        report.map_or("unserved", |report| report.state.as_str())
    }

    /// Until when it is paused, where it is.
    pub(super) fn paused_until(&self) -> Option<Timestamp> {
        self.report.as_ref()?.paused_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(worker: &str, sequence: u64, state: LaneState) -> Announcement {
        let account: Account = "groupme.ops".parse().unwrap();
        let report = LaneReport {
            account: account.clone(),
            owner: worker.into(),
            state,
            rate: "20/s".parse().unwrap(),
            in_flight: 3,
            ready: Some(4),
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
    fn a_lane_is_told_by_its_owner_trouble_comes_first_and_the_silent_are_gone() {
        let (mut fleet, now) = (Fleet::default(), Instant::now());
        fleet.hear(announcement("a", 7, LaneState::Running), now);
        fleet.hear(announcement("b", 1, LaneState::Standby), now);
        fleet.hear(announcement("a", 6, LaneState::Paused), now);
        let states = |now| -> Vec<_> { fleet.lanes(now).iter().map(Lane::state).collect() };
        assert_eq!(states(now), ["unserved", "running"]);
        assert_eq!(states(now + SILENT * 2), [""; 0]);
    }
}
