//! Messages that no worker can handle.

use std::collections::HashSet;

use bytes::Bytes;
use futures::{StreamExt as _, future::ready};
use jiff::Timestamp;
use tidings_broker::{DeadEntry, DeadRecord, Envelope, LaneEvent, LaneName, ReadFrom, ReadUntil};
use tidings_model::{Headers, Reason, Record, Tenure};
use tidings_tests::{
    eventually,
    fleet::{Fleet, On, message, messages},
};

use super::QUICK;

pub(super) async fn what_cannot_be_handled_stops_no_lane(on: On) {
    let fleet = Fleet::on(on).account("raven.crm", QUICK).start().await;
    let publish = async |id: &str, body: &[u8]| {
        let envelope = Envelope {
            account: "raven.crm".parse().unwrap(),
            id: id.parse().unwrap(),
            body: Bytes::copy_from_slice(body),
            headers: Headers::default(),
        };
        fleet.broker.publish(envelope).await.unwrap().await.unwrap();
    };
    let poison = fleet.send(&[message("raven.crm", "poison")]).await;
    hand_out_without_a_decision(&fleet, 20).await;
    let garbage: [(&str, &[u8]); 4] = [
        ("bytes", b"\xff\x00 not JSON"),
        ("empty", b""),
        ("no-payload", br#"{"id": "no-payload", "account": "raven.crm"}"#),
        ("astray", br#"{"id": "astray", "account": "groupme.ops", "enqueued_at": "2026-01-01T00:00:00Z", "payload": {"group_id": "1", "text": "x"}}"#),
    ];
    let mut ids = poison.clone();
    for (index, (id, body)) in garbage.iter().enumerate() {
        publish(id, body).await;
        ids.extend(
            fleet
                .send(&messages("raven.crm", &index.to_string(), 3))
                .await,
        );
    }
    let worker = fleet.worker().await;

    let outcomes = fleet.ended(&ids).await;
    for (id, outcome) in &outcomes {
        let wanted = poison.contains(id).then_some(Reason::Poison);
        assert_eq!(outcome.reason(), wanted, "{outcome:?}");
    }
    let letters = eventually("the dead letters", async || {
        let letters = fleet.letters().await;
        if letters.len() == 1 + garbage.len() {
            Ok(letters)
        } else {
            Err(letters)
        }
    })
    .await;
    let undecodable = letters
        .iter()
        .filter(|letter| letter.reason == Reason::Undecodable)
        .count();
    assert_eq!(undecodable, garbage.len());
    let mut bodies = bodies_of_the_dead(&fleet).await;
    for (id, body) in garbage {
        assert!(
            bodies.remove(body),
            "the bytes of {id} are kept as they were"
        );
    }

    // It has the id of a message that was delivered, and is none.
    let delivered = outcomes.keys().find(|id| !poison.contains(*id)).unwrap();
    let body = format!("{{\"id\": {delivered:?}, \"account\": \"raven.crm\"}}");
    publish(delivered, body.as_bytes()).await;
    eventually("its bytes are kept too", async || {
        let bodies = bodies_of_the_dead(&fleet).await;
        match bodies.contains(body.as_bytes()) {
            true => Ok(()),
            false => Err(bodies.len()),
        }
    })
    .await;
    worker.ready().await;
    assert!(worker.terminate().await.success());
}

/// A worker that owned the lane, wrote no note, and was handed its messages so often without deciding anything.
async fn hand_out_without_a_decision(fleet: &Fleet, times: u32) {
    let tenure = Tenure {
        account: "raven.crm".parse().unwrap(),
        worker: "one-that-crashes".into(),
        number: 1,
    };
    let opened = Record::Opened {
        tenure: tenure.clone(),
        at: Timestamp::now(),
    };
    fleet.broker.append(vec![opened]).await.unwrap();
    for _ in 0..times {
        let mut lane = fleet
            .broker
            .subscribe(LaneName::Account(tenure.account.clone()), 1)
            .await
            .unwrap();
        eventually("a message is handed out", async || {
            match lane.events.recv().await {
                Some(LaneEvent::Delivered(delivery)) => {
                    delivery.leave();
                    Ok(())
                }
                other => Err(other),
            }
        })
        .await;
        lane.settle.close().await;
    }
}

async fn bodies_of_the_dead(fleet: &Fleet) -> HashSet<Vec<u8>> {
    let entries = fleet
        .broker
        .dead(ReadFrom::First, ReadUntil::Now)
        .await
        .unwrap();
    let body = |entry: Result<DeadEntry, _>| match entry.unwrap().record {
        DeadRecord::Letter { body, .. } => ready(Some(body.to_vec())),
        _ => ready(None),
    };
    entries.filter_map(body).collect().await
}
