use tidings_model::{Announcement, Left, Tenure};

use super::*;
use crate::{DeadRecord, EntryKind};

fn note() -> Record {
    Record::Note {
        tenure: Tenure {
            account: ops(),
            worker: "one".into(),
            number: 1,
        },
        at: Timestamp::now(),
        left: Left::All,
        pauses: tidings_model::Pauses::default(),
    }
}

#[tokio::test]
async fn the_ledger_is_read_from_any_point_and_twice() {
    let kit = Kit::new();
    let (writer, reader) = (kit.join("writer").await, kit.join("reader").await);
    writer
        .append(vec![record("a"), record("b"), note(), record("c")])
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let between = Timestamp::now();
    writer.append(vec![record("d")]).await.unwrap();
    let read = async |from| {
        let entries = reader.ledger(from, ReadUntil::Now).await.unwrap();
        entries
            .map(Result::unwrap)
            .collect::<Vec<LedgerEntry>>()
            .await
    };
    let all = read(ReadFrom::First).await;
    let kinds: Vec<_> = all
        .iter()
        .map(|entry| (entry.kind, entry.records().count()))
        .collect();
    let (decisions, tenures) = (EntryKind::Decisions, EntryKind::Tenures);
    assert_eq!(
        kinds,
        [(decisions, 2), (tenures, 1), (decisions, 1), (decisions, 1)]
    );
    assert!(
        all.iter()
            .all(|entry| entry.writer == Some("writer".into()))
    );
    assert!(all.is_sorted_by_key(|entry| entry.position));
    assert_eq!(
        read(ReadFrom::First).await.len(),
        4,
        "reading changes nothing"
    );
    assert_eq!(read(ReadFrom::After(all[1].position)).await.len(), 2);
    assert_eq!(read(ReadFrom::Since(between)).await.len(), 1);
    assert_eq!(read(ReadFrom::Since(Timestamp::MAX)).await.len(), 0);
    assert_eq!(read(ReadFrom::Next).await.len(), 0);
}

#[tokio::test]
async fn who_follows_the_ledger_reads_what_others_write() {
    let kit = Kit::new();
    let (writer, reader) = (kit.join("writer").await, kit.join("reader").await);
    writer.append(vec![record("before")]).await.unwrap();
    let mut all = reader
        .ledger(ReadFrom::First, ReadUntil::Forever)
        .await
        .unwrap();
    let mut new = reader
        .ledger(ReadFrom::Next, ReadUntil::Forever)
        .await
        .unwrap();
    let mut read = Vec::new();
    for n in 0..50 {
        writer.append(vec![record(&n.to_string())]).await.unwrap();
        let entry = soon("reading", new.next()).await.unwrap().unwrap();
        read.extend(entry.records());
    }
    assert_eq!(read.len(), 50);
    for _ in 0..51 {
        soon("reading", all.next()).await.unwrap().unwrap();
    }
    reader.close().await;
    assert!(soon("the end", new.next()).await.is_none());
}

#[tokio::test]
async fn settlings_that_share_a_commit_share_an_entry() {
    let kit = Kit::new();
    let broker = kit.join("one").await;
    publish_all(&broker, (0..200).map(|_| "x")).await;
    let mut lane = broker.subscribe(ops_lane(), 200).await.unwrap();
    let mut held = Vec::new();
    while held.len() < 200 {
        held.push(delivery(&mut lane).await);
    }
    for delivery in held {
        lane.settle.settle(delivery, settlement("x", Effect::Done));
    }
    lane.settle.close().await;
    assert_eq!(decided(&broker).await.len(), 200);
    let entries = broker
        .ledger(ReadFrom::First, ReadUntil::Now)
        .await
        .unwrap();
    assert!(entries.count().await < 100);
}

#[tokio::test]
async fn a_dead_letter_keeps_its_bytes_as_they_were() {
    let kit = Kit::new();
    let broker = kit.join("one").await;
    let mut garbage = envelope("");
    garbage.body = vec![0, 159, 146, 150].into();
    publish(&broker, garbage.clone()).await;
    let mut lane = broker.subscribe(ops_lane(), 1).await.unwrap();
    let delivery = delivery(&mut lane).await;
    let ticket = delivery.ticket;
    let effect = letter();
    let Effect::Bury(expected) = effect.clone() else {
        unreachable!()
    };
    lane.settle.settle(
        delivery,
        Settlement {
            record: None,
            effect,
            event: None,
        },
    );
    settled(&mut lane, ticket).await;
    for _ in 0..2 {
        let mut dead = broker.dead(ReadFrom::First, ReadUntil::Now).await.unwrap();
        let DeadRecord::Letter { head, body } = dead.next().await.unwrap().unwrap().record else {
            panic!("not a letter");
        };
        assert_eq!((&head, &body), (&*expected, &garbage.body));
        assert!(dead.next().await.is_none());
    }
    assert_eq!(decided(&broker).await, [""; 0]);
}

#[tokio::test]
async fn the_fleet_hears_what_is_announced_from_now_on() {
    let kit = Kit::new();
    let (one, two) = (kit.join("one").await, kit.join("two").await);
    let announcement = |sequence| Announcement {
        worker: "one".into(),
        sequence,
        at: Timestamp::now(),
        accounts: vec![ops()],
        subscribed: Vec::new(),
        lanes: Vec::new(),
        draining: false,
    };
    one.announce(&announcement(1)).await.unwrap();
    let mut own = one.observe().await.unwrap();
    let mut others = two.observe().await.unwrap();
    for sequence in 2..5 {
        one.announce(&announcement(sequence)).await.unwrap();
    }
    for sequence in 2..5 {
        for heard in [&mut own, &mut others] {
            let heard = soon("hearing", heard.next()).await.unwrap();
            assert_eq!(heard.sequence, sequence);
        }
    }
}

#[tokio::test]
async fn what_outlived_its_age_is_trimmed() {
    let kit = Kit::new();
    let broker = kit.join("one").await;
    broker.append(vec![record("old")]).await.unwrap();
    let db = Connection::open(kit.path()).unwrap();
    let week = 7 * 24 * 3600 * 1000;
    db.execute("UPDATE ledger SET at = at - ?1 - 1000", [week])
        .unwrap();
    broker.append(vec![record("new")]).await.unwrap();
    // A letter that was written again, for which it counts from then.
    let Effect::Bury(head) = letter() else {
        unreachable!()
    };
    let letter = |body: &'static str| DeadRecord::Letter {
        head: (*head).clone(),
        body: body.into(),
    };
    broker.record(vec![letter("old")]).await.unwrap();
    let half_a_year = 180 * 24 * 3600 * 1000_i64;
    db.execute("UPDATE dead SET at = at - ?1 - 1000", [half_a_year])
        .unwrap();
    broker.record(vec![letter("renewed")]).await.unwrap();
    trim::trim(&db, broker.core.fleet).unwrap();
    assert_eq!(decided(&broker).await, ["new"]);
    let dead = broker.dead(ReadFrom::First, ReadUntil::Now).await.unwrap();
    let kept: Vec<_> = dead.map(|entry| entry.unwrap().record).collect().await;
    assert_eq!(kept, [letter("renewed")]);
}
