use jiff::Timestamp;
use tidings_model::{Announcement, LaneReport, LaneState, Orders};
use tokio::time::{Duration, interval};

use crate::world::{World, account};

fn announcement(sequence: u64) -> Announcement {
    Announcement {
        worker: "w-1".into(),
        sequence,
        at: Timestamp::now(),
        accounts: vec![account("groupme.ops"), account("pingup.shop")],
        subscribed: Vec::new(),
        lanes: vec![LaneReport {
            account: account("groupme.ops"),
            owner: Some("w-1".into()),
            state: LaneState::Paused,
            rate: "20/s".parse().unwrap(),
            in_flight: 2,
            ready: Some(41),
            paused_until: Some(Timestamp::now()),
            why: Some("429 \u{1b}[31mslow down".into()),
            orders: Orders::default(),
        }],
        draining: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lanes_are_those_that_workers_announce() {
    let world = World::new().await;
    let broker = world.broker().await;
    let speaking = tokio::spawn(async move {
        let mut ticks = interval(Duration::from_millis(200));
        for sequence in 0.. {
            ticks.tick().await;
            broker.announce(&announcement(sequence)).await.unwrap();
        }
    });
    let json = world.run(&["lanes", "--json"]);
    assert_eq!(json.status, 0, "{json:?}");
    assert_eq!(json.column("account"), ["groupme.ops", "pingup.shop"]);
    assert_eq!(json.column("state"), ["paused", "unserved"]);
    assert_eq!(json.json()[0]["ready"], 41);

    let table = world.run(&["lanes"]);
    speaking.abort();
    assert!(
        table.stdout.contains("paused") && table.stdout.contains("slow down"),
        "{}",
        table.stdout
    );
    assert!(!table.stdout.contains('\u{1b}'), "{}", table.stdout);
}

#[tokio::test]
async fn where_the_broker_is_may_be_said_before_what_is_asked() {
    let world = World::new().await;
    let url = world.url();
    for arguments in [
        ["lanes", "--broker", &url, "pause", "groupme.ops"],
        ["lanes", "pause", "groupme.ops", "--broker", &url],
    ] {
        let said = world.run(&arguments);
        assert_eq!(said.status, 0, "{said:?}");
        assert!(said.stderr.contains("no worker serves"), "{said:?}");
    }
    let both = world.run(&["lanes", "--json", "pause", "groupme.ops"]);
    assert_eq!(both.status, 2, "{both:?}");
}

#[tokio::test]
async fn without_a_worker_there_are_no_lanes_and_it_says_so() {
    let said = World::new().await.run(&["lanes"]);
    assert_eq!((said.status, said.stdout.as_str()), (0, ""));
    assert!(said.stderr.contains("tidings-worker"), "{}", said.stderr);
}
