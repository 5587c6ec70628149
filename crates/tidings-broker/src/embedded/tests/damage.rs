use std::os::unix::fs::PermissionsExt;

use super::*;

async fn open(kit: &Kit) -> Result<Embedded, BrokerError> {
    Embedded::open(&kit.path(), Options::new("one".into())).await
}

#[tokio::test]
async fn a_new_file_is_for_its_owner_only() {
    let kit = Kit::new();
    let broker = kit.join("one").await;
    publish(&broker, envelope("x")).await;
    for file in ["broker.db", "broker.db-wal", "broker.db-shm"] {
        let mode = kit
            .0
            .path()
            .join(file)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_refused_and_left_as_it_was() {
    let kit = Kit::new();
    let text = "some notes, and certainly no database ".repeat(100);
    std::fs::write(kit.path(), &text).unwrap();
    assert!(matches!(
        open(&kit).await,
        Err(BrokerError::Unsupported { .. })
    ));
    assert_eq!(std::fs::read_to_string(kit.path()).unwrap(), text);

    std::fs::remove_file(kit.path()).unwrap();
    let db = Connection::open(kit.path()).unwrap();
    db.execute("CREATE TABLE photos (name TEXT)", ()).unwrap();
    drop(db);
    let before = std::fs::read(kit.path()).unwrap();
    assert!(matches!(
        open(&kit).await,
        Err(BrokerError::Unsupported { .. })
    ));
    assert_eq!(std::fs::read(kit.path()).unwrap(), before);
}

#[tokio::test]
async fn a_file_of_another_version_is_refused_by_number() {
    let kit = Kit::new();
    kit.join("one").await.close().await;
    let db = Connection::open(kit.path()).unwrap();
    db.pragma_update(None, "user_version", 7).unwrap();
    let error = open(&kit).await.unwrap_err().to_string();
    assert!(error.contains("version 7"), "{error}");
}

#[tokio::test]
async fn a_folder_that_is_missing_is_named() {
    let error = Embedded::open("/nowhere/at/all.db", Options::new("one".into()))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("sqlite:/nowhere/at/all.db"),
        "{error}"
    );
}

#[tokio::test]
async fn many_processes_make_one_file_together() {
    let kit = Kit::new();
    let joined = futures::future::join_all((0..8).map(|n| {
        let name = n.to_string();
        let kit = &kit;
        async move { kit.join(&name).await }
    }))
    .await;
    for broker in &joined {
        publish(broker, envelope("x")).await;
    }
    assert_eq!(ready(&joined[0]).await, 8);
}

#[tokio::test]
async fn rows_that_make_no_sense_stop_nobody() {
    let kit = Kit::new();
    let broker = kit.join("one").await;
    publish_all(&broker, ["a", "b", "c"]).await;
    broker.append(vec![record("a")]).await.unwrap();
    let db = Connection::open(kit.path()).unwrap();
    db.execute_batch(
        "UPDATE messages SET headers = '{{' WHERE seq = 1;
         UPDATE messages SET returns = -5, body = 99 WHERE seq = 2;
         INSERT INTO ledger (fleet, at, writer, kind, lines) VALUES (1, 0, '', 'songs', x'ff0a7b7d0a');
         INSERT INTO dead (fleet, at, kind, head, body) VALUES (1, 0, 'letter', 'null', x'');
         INSERT INTO dead (fleet, at, kind, head, body) VALUES (1, 0, 'postcard', '{}', x'');
         INSERT INTO announcements (fleet, at, json) VALUES (1, 0, '[');",
    )
    .unwrap();
    let mut lane = broker.subscribe(ops_lane(), 3).await.unwrap();
    let (a, b) = (delivery(&mut lane).await, delivery(&mut lane).await);
    let c = delivery(&mut lane).await;
    assert!(
        a.headers.maybe_delivered,
        "what was tried is not known any more"
    );
    settle(&mut lane, a, Effect::Done).await;
    assert_eq!((b.body.len(), b.returns), (0, 0));
    let ticket = b.ticket;
    lane.settle.settle(b, settlement("b", letter()));
    settled(&mut lane, ticket).await;
    settle(&mut lane, c, Effect::Done).await;
    assert_eq!(decided(&broker).await, ["a", "a", "b", "c"]);
    let dead = broker.dead(ReadFrom::First, ReadUntil::Now).await.unwrap();
    assert_eq!(
        dead.count().await,
        1,
        "what is not understood is passed over"
    );
}

/// Lets the file grow no further, or frees it again, as a full disk would.
async fn set_full(broker: &Embedded, pages: i64) {
    let set = move |batch: &mut Batch<'_>| {
        batch
            .db
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
    };
    // It can come to share a transaction with something for which there is no room yet.
    soon("setting a limit", async {
        while broker.core.writer.ask(set).await.is_err() {}
    })
    .await;
}

#[tokio::test]
async fn a_full_disk_is_told_and_loses_nothing() {
    let kit = Kit::new();
    let broker = kit.join("one").await;
    let body = "x".repeat(10_000);
    publish_all(&broker, [body.as_str(), &body]).await;
    let mut lane = broker.subscribe(ops_lane(), 1).await.unwrap();
    let delivery = delivery(&mut lane).await;
    set_full(&broker, 1).await;
    let mut connected = broker.connected();
    let refused = broker.publish(envelope(&body)).await.unwrap().await;
    assert!(
        matches!(refused, Err(PublishError::Blocked(_))),
        "{refused:?}"
    );
    assert!(!*connected.borrow_and_update());
    // What is decided meanwhile waits for room.
    let ticket = delivery.ticket;
    lane.settle.settle(delivery, settlement("kept", letter()));
    assert!(
        broker
            .append(vec![record(&"y".repeat(60)); 200])
            .await
            .is_err()
    );
    set_full(&broker, 1_000_000).await;
    settled(&mut lane, ticket).await;
    soon("being well", connected.wait_for(|well| *well))
        .await
        .unwrap();
    assert_eq!(decided(&broker).await, ["kept"]);
    publish(&broker, envelope(&body)).await;
    let dead = broker.dead(ReadFrom::First, ReadUntil::Now).await.unwrap();
    assert_eq!(dead.count().await, 1);
    super::delivery(&mut lane).await.leave();
}

#[tokio::test]
async fn a_job_that_cannot_be_done_fails_alone() {
    let kit = Kit::new();
    let broker = kit.join("one").await;
    let bad = broker
        .core
        .writer
        .ask(|batch| batch.db.execute_batch("INSERT INTO nothing VALUES (1)"));
    let good = broker.publish(envelope("x")).await.unwrap();
    assert!(bad.await.is_err());
    good.await.unwrap();
    assert!(*broker.connected().borrow());
}
