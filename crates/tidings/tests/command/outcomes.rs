use std::io::{BufRead as _, BufReader};

use jiff::{Timestamp, ToSpan as _};
use tidings::{Metadata, Outcome, Reason};
use tidings_broker::Broker;
use tidings_model::{Decision, Record, Verdicted};

use crate::world::{World, account};

fn delivered(id: &str, account_name: &str, at: Timestamp) -> Record {
    ended(Outcome::Delivered {
        id: id.parse().unwrap(),
        generation: 0,
        account: account(account_name),
        attempts: 1,
        at,
        provider_message_id: Some("\u{1b}[2J".into()),
        deduplicated: false,
        metadata: Metadata::new(),
    })
}

fn dead(id: &str, generation: u32) -> Record {
    ended(Outcome::Dead {
        id: id.parse().unwrap(),
        generation,
        account: account("pingup.shop"),
        attempts: 8,
        at: Timestamp::now(),
        reason: Reason::AttemptsExhausted,
        last: None,
        metadata: Metadata::new(),
    })
}

fn ended(outcome: Outcome) -> Record {
    Record::Decided(Box::new(Decision {
        turn: 0,
        attempt: None,
        verdicted: Verdicted::Ended {
            outcome,
            maybe_delivered: false,
        },
    }))
}

async fn append(broker: &dyn Broker, records: Vec<Record>) {
    broker.append(records).await.unwrap();
}

#[tokio::test]
async fn each_outcome_is_told_once_and_filters_narrow_it() {
    let world = World::new().await;
    let broker = world.broker().await;
    let now = Timestamp::now();
    let yesterday = now - 24.hours();
    append(
        &*broker,
        vec![
            delivered("a", "groupme.ops", yesterday),
            dead("b", 0),
            dead("b", 0),
        ],
    )
    .await;
    append(
        &*broker,
        vec![dead("b", 1), delivered("c", "groupme.ops", now)],
    )
    .await;
    broker.close().await;

    let all = world.run(&["outcomes"]);
    assert_eq!((all.status, all.stderr.as_str()), (0, ""));
    assert_eq!(all.column("id"), ["a", "b", "b", "c"]);
    assert_eq!(
        all.column("outcome"),
        ["delivered", "dead", "dead", "delivered"]
    );
    assert_eq!(all.json()[1]["reason"], "attempts-exhausted");
    assert!(!all.stdout.contains('\u{1b}'));

    assert_eq!(
        world.run(&["outcomes", "--id", "a", "c"]).column("id"),
        ["a", "c"]
    );
    assert_eq!(
        world
            .run(&["outcomes", "--account", "pingup.shop"])
            .column("id"),
        ["b", "b"]
    );
    assert_eq!(
        world.run(&["outcomes", "--since", "1h"]).column("id"),
        ["b", "b", "c"]
    );
    let since = (yesterday - 1.hour()).to_string();
    assert_eq!(
        world
            .run(&["outcomes", "--since", &since])
            .column("id")
            .len(),
        4
    );
    assert_eq!(world.run(&["outcomes", "--since", "yesterday"]).status, 2);
}

#[tokio::test]
async fn following_tells_what_comes_and_an_interrupt_ends_it_well() {
    let world = World::new().await;
    let broker = world.broker().await;
    append(&*broker, vec![dead("before", 0)]).await;
    let mut child = world.command(&["outcomes", "--follow"]).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || output.next().unwrap().unwrap();
    assert!(next().contains("before"));
    append(&*broker, vec![dead("after", 0)]).await;
    assert!(next().contains("after"));
    broker.close().await;
    let pid = child.id().to_string();
    std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
