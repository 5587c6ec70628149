use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use tidings_model::{Account, Announcement, LaneReport, LaneState, Orders, Rate, WorkerId};

/// What the workers said lately.
#[derive(Debug, Default)]
pub(super) struct Fleet(HashMap<WorkerId, Announcement>);

/// How one account is served.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct LaneRow<'f> {
    pub(super) account: &'f Account,
    pub(super) state: &'static str,
    /// Who serves it; nobody does where it is `None`.
    pub(super) owner: Option<&'f WorkerId>,
    #[serde(flatten)]
    pub(super) report: Option<Report<'f>>,
}

/// What the owner says of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Report<'f> {
    pub(super) rate: Rate,
    pub(super) in_flight: usize,
    pub(super) ready: Option<u64>,
    pub(super) paused_until: Option<jiff::Timestamp>,
    pub(super) why: &'f Option<String>,
    /// What operators asked of it.
    #[serde(skip_serializing_if = "Orders::is_empty")]
    pub(super) orders: &'f Orders,
}

impl Fleet {
    /// A late announcement does not replace a newer one.
    pub(super) fn hear(&mut self, heard: Announcement) {
        let known = self.0.get(&heard.worker);
        if known.is_none_or(|known| known.sequence <= heard.sequence) {
            self.0.insert(heard.worker.clone(), heard);
        }
    }

    /// Whether any worker can serve the account.
    pub(super) fn serves(&self, account: &Account) -> bool {
        self.0
            .values()
            .any(|announcement| announcement.accounts.contains(account))
    }

    /// What is told of an account's lane by those who do not merely stand by, or leave it.
    pub(super) fn reports_of(&self, account: &Account) -> impl Iterator<Item = &LaneReport> {
        let reports = self.0.values().flat_map(|announcement| &announcement.lanes);
        reports.filter(move |report| {
            report.account == *account
                && !matches!(report.state, LaneState::Standby | LaneState::Draining)
        })
    }

    /// A row for each account that any worker can serve or serves.
    pub(super) fn rows(&self) -> Vec<LaneRow<'_>> {
        let mut lanes: BTreeMap<&Account, Option<&LaneReport>> = BTreeMap::new();
        for announcement in self.0.values() {
            for account in &announcement.accounts {
                lanes.entry(account).or_default();
            }
            let served = announcement.lanes.iter();
            for report in served.filter(|report| report.state != LaneState::Standby) {
                lanes.insert(&report.account, Some(report));
            }
        }
        lanes
            .into_iter()
            .map(|(account, report)| row(account, report))
            .collect()
    }
}

fn row<'f>(account: &'f Account, report: Option<&'f LaneReport>) -> LaneRow<'f> {
    LaneRow {
        account,
        state: report.map_or("unserved", |report| report.state.as_str()),
        owner: report.map(|report| &report.owner),
        report: report.map(|report| Report {
            rate: report.rate,
            in_flight: report.in_flight,
            ready: report.ready,
            paused_until: report.paused_until,
            why: &report.why,
            orders: &report.orders,
        }),
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
            ready: None,
            paused_until: None,
            why: None,
            orders: Orders::default(),
        };
        Announcement {
            worker: worker.into(),
            sequence,
            at: jiff::Timestamp::UNIX_EPOCH,
            accounts: vec![account, "raven.desk".parse().unwrap()],
            subscribed: Vec::new(),
            lanes: vec![report],
            draining: false,
        }
    }

    #[test]
    fn a_lane_is_shown_as_its_owner_tells_it_and_one_without_is_unserved() {
        let mut fleet = Fleet::default();
        fleet.hear(announcement("a", 7, LaneState::Running));
        fleet.hear(announcement("b", 1, LaneState::Standby));
        fleet.hear(announcement("a", 6, LaneState::Paused));
        let rows = fleet.rows();
        assert_eq!(
            (rows[0].state, rows[0].owner.map(WorkerId::as_str)),
            ("running", Some("a"))
        );
        assert_eq!((rows[1].state, rows[1].owner), ("unserved", None));
        let json = serde_json::to_value(&rows[0]).unwrap();
        assert_eq!(
            (json["in_flight"].as_u64(), json["account"].as_str()),
            (Some(3), Some("groupme.ops"))
        );
    }
}
