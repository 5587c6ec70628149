use std::time::Instant;

use jiff::Timestamp;
use tidings_model::{Account, FleetView, LaneReport, LaneState};

/// How one account is served.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lane {
    pub(super) account: Account,
    /// `None` where nobody serves it.
    pub(super) report: Option<LaneReport>,
}

/// A lane for each account that any worker can serve or serves: those in trouble first.
pub(super) fn lanes(fleet: &FleetView, now: Instant) -> Vec<Lane> {
    let lane = |(account, report): (&Account, Option<&LaneReport>)| Lane {
        account: account.clone(),
        report: report.cloned(),
    };
    let mut lanes: Vec<_> = fleet.lanes(now).into_iter().map(lane).collect();
    lanes.sort_by_key(|lane| !lane.is_in_trouble());
    lanes
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
    use tidings_model::Announcement;

    use super::*;

    #[test]
    fn trouble_comes_first() {
        let report = |account: &str, state| LaneReport {
            account: account.parse().unwrap(),
            owner: Some("a".into()),
            state,
            rate: "20/s".parse().unwrap(),
            in_flight: 3,
            ready: Some(4),
            paused_until: None,
            why: None,
            orders: Default::default(),
        };
        let served = [
            report("groupme.ops", LaneState::Running),
            report("raven.crm", LaneState::Paused),
        ];
        let (mut fleet, now) = (FleetView::default(), Instant::now());
        let announcement = Announcement {
            worker: "a".into(),
            sequence: 1,
            at: Timestamp::UNIX_EPOCH,
            accounts: vec!["pingup.acme".parse().unwrap()],
            subscribed: Vec::new(),
            lanes: served.into(),
            draining: false,
        };
        fleet.hear(announcement, now);
        let states: Vec<_> = lanes(&fleet, now).iter().map(Lane::state).collect();
        assert_eq!(states, ["unserved", "paused", "running"]);
    }
}
