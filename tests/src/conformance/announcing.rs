//! The fleet hears itself.

use futures::StreamExt;
use jiff::Timestamp;
use tidings_broker::Broker;
use tidings_model::{Announcement, LaneReport, LaneState, Orders};

use super::{
    fixture::{ALERTS, Fixture, OPS, account},
    in_time,
};

pub(super) fn announcement(worker: &str, sequence: u64) -> Announcement {
    Announcement {
        worker: worker.into(),
        sequence,
        at: Timestamp::now(),
        accounts: vec![account(OPS), account(ALERTS)],
        subscribed: Vec::new(),
        lanes: vec![LaneReport {
            account: account(OPS),
            owner: Some(worker.into()),
            state: LaneState::Paused,
            rate: "20/s".parse().expect("a rate"),
            in_flight: 3,
            ready: Some(17),
            paused_until: Some(Timestamp::now()),
            why: Some("HTTP 429".into()),
            orders: Orders::default(),
        }],
        draining: true,
    }
}

pub(super) async fn announce(broker: &dyn Broker, announcement: &Announcement) {
    in_time("the announcement", broker.announce(announcement))
        .await
        .expect("announced");
}

pub async fn everybody_hears_an_announcement<F: Fixture>(fixture: &F) {
    let speaker = fixture.connect("speaker").await;
    let listener = fixture.connect("listener").await;
    let mut own = speaker.observe().await.expect("the fleet is there");
    let mut others = listener.observe().await.expect("the fleet is there");
    for sequence in 0..10 {
        let said = announcement("speaker", sequence);
        announce(&*speaker, &said).await;
        for heard in [&mut own, &mut others] {
            assert_eq!(
                in_time("an announcement", heard.next()).await,
                Some(said.clone())
            );
        }
    }
}

pub async fn nothing_is_kept_for_who_was_not_there<F: Fixture>(fixture: &F) {
    let speaker = fixture.connect("speaker").await;
    let mut own = speaker.observe().await.expect("the fleet is there");
    announce(&*speaker, &announcement("speaker", 1)).await;
    in_time("its own announcement", own.next()).await;
    let late = fixture.connect("late").await;
    let mut heard = late.observe().await.expect("the fleet is there");
    let said = announcement("speaker", 2);
    announce(&*speaker, &said).await;
    assert_eq!(in_time("an announcement", heard.next()).await, Some(said));
}
