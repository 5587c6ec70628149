use super::*;

/// Ends what a process's broker does, not the process: nothing is let go.
async fn kill(broker: Embedded) {
    broker.core.writer.stop().await;
}

/// Keeps a process's lanes from being renewed, as a process that stands still would.
async fn freeze(broker: &Embedded) {
    let db = Connection::open(broker.core.file.path()).unwrap();
    db.execute("UPDATE lanes SET lease_until = 0", ()).unwrap();
}

#[tokio::test]
async fn one_who_closes_hands_the_rest_over_in_order() {
    let kit = Kit::new();
    let (first, second) = (kit.join("first").await, kit.join("second").await);
    publish_all(&first, ["a", "b", "c", "d", "e"]).await;
    let mut old = first.subscribe(ops_lane(), 3).await.unwrap();
    let mut held = [
        delivery(&mut old).await,
        delivery(&mut old).await,
        delivery(&mut old).await,
    ];
    let mut new = second.subscribe(ops_lane(), 9).await.unwrap();
    held.rotate_left(1);
    let [b, c, a] = held;
    settle(&mut old, b, Effect::Done).await;
    for delivery in [c, a] {
        delivery.leave();
    }
    delivery(&mut old).await.leave();
    assert!(new.events.try_recv().is_err(), "the lane has an owner");
    assert!(!new.fence.holds(Instant::now()));
    old.settle.close().await;
    for (body, returns) in [("a", 1), ("c", 1), ("d", 1), ("e", 0)] {
        let delivery = delivery(&mut new).await;
        assert_eq!(
            (text(&delivery).as_str(), delivery.returns),
            (body, returns)
        );
        assert_eq!(delivery.redelivered, returns > 0);
        delivery.leave();
    }
}

#[tokio::test]
async fn a_lane_that_is_not_renewed_is_taken_when_its_lease_ends() {
    let kit = Kit::new();
    let (first, second) = (kit.join("first").await, kit.join("second").await);
    publish_all(&first, ["a", "b"]).await;
    let mut old = first.subscribe(ops_lane(), 1).await.unwrap();
    delivery(&mut old).await.leave();
    let mut new = second.subscribe(ops_lane(), 2).await.unwrap();
    kill(first).await;
    let a = delivery(&mut new).await;
    assert_eq!((text(&a).as_str(), a.redelivered), ("a", true));
    let b = delivery(&mut new).await;
    assert_eq!((text(&b).as_str(), b.redelivered), ("b", false));
    settle(&mut new, a, Effect::Done).await;
    settle(&mut new, b, Effect::Done).await;
    assert_eq!(decided(&second).await, ["a", "b"]);
}

#[tokio::test]
async fn a_lane_is_taken_when_its_owners_process_ends() {
    let kit = Kit::new();
    // A lease that outlasts the test's patience.
    let pace = Pace {
        lease: PATIENCE * 2,
        ..PACE
    };
    let options = Options::new("second".into());
    let second = Embedded::open_at(&kit.path(), options, pace).await.unwrap();
    second.apply(&Topology::of([ops()])).await.unwrap();
    publish(&second, envelope("a")).await;

    let name = uuid::Uuid::now_v7().to_string();
    let folder = format!("{}-owners", kit.path());
    std::fs::create_dir(&folder).unwrap();
    let lock = std::fs::File::create(format!("{folder}/{name}")).unwrap();
    lock.lock().unwrap();
    let taken = {
        let name = name.clone();
        let take = move |batch: &mut Batch<'_>| lease::take(batch, 1, &name, None, pace.lease);
        second.core.writer.ask(take).await.unwrap()
    };
    assert_eq!(taken, Some(1));
    let mut new = second.subscribe(ops_lane(), 1).await.unwrap();
    tokio::time::sleep(PACE.renew * 5).await;
    assert!(new.events.try_recv().is_err(), "its owner lives");
    // As the operating system does with all locks of a process that ends.
    drop(lock);
    let a = delivery(&mut new).await;
    settle(&mut new, a, Effect::Done).await;
    // Swept by whoever joins next.
    let third = kit.join("third").await;
    let _standby = third.subscribe(ops_lane(), 1).await.unwrap();
    assert!(!std::fs::exists(format!("{folder}/{name}")).unwrap());
}

#[tokio::test]
async fn an_owner_keeps_its_lane_for_many_leases() {
    let kit = Kit::new();
    let (first, second) = (kit.join("first").await, kit.join("second").await);
    let mut old = first.subscribe(ops_lane(), 1).await.unwrap();
    soon("owning", old.fence.held()).await;
    let mut new = second.subscribe(ops_lane(), 1).await.unwrap();
    tokio::time::sleep(PACE.lease * 3).await;
    publish(&second, envelope("a")).await;
    let a = delivery(&mut old).await;
    settle(&mut old, a, Effect::Done).await;
    assert!(new.events.try_recv().is_err());
}

#[tokio::test]
async fn who_lost_a_lane_settles_nothing_but_what_it_decided_is_recorded() {
    let kit = Kit::new();
    let (first, second) = (kit.join("first").await, kit.join("second").await);
    publish(&first, envelope("a")).await;
    let mut old = first.subscribe(ops_lane(), 1).await.unwrap();
    let a = delivery(&mut old).await;
    // The lease runs out unnoticed while the old owner stands still.
    let taken = loop {
        freeze(&first).await;
        let take = |batch: &mut Batch<'_>| lease::take(batch, 1, "somebody", None, PACE.lease);
        if let Some(tenure) = second.core.writer.ask(take).await.unwrap() {
            break tenure;
        }
    };
    old.settle.settle(a, settlement("a", letter()));
    lost(&mut old).await;
    assert_eq!(decided(&second).await, ["a"]);
    let dead = second.dead(ReadFrom::First, ReadUntil::Now).await.unwrap();
    assert_eq!(
        dead.count().await,
        0,
        "the effect is left to the next owner"
    );
    let release = move |batch: &mut Batch<'_>| lease::release(batch, 1, taken, 0);
    second.core.writer.ask(release).await.unwrap();

    let mut new = second.subscribe(ops_lane(), 1).await.unwrap();
    let a = delivery(&mut new).await;
    assert!(a.redelivered);
    let ticket = a.ticket;
    new.settle.repeat(a, letter());
    settled(&mut new, ticket).await;
    let dead = second.dead(ReadFrom::First, ReadUntil::Now).await.unwrap();
    assert_eq!(dead.count().await, 1, "who repeats the decision makes it");
    assert_eq!((decided(&second).await.len(), ready(&second).await), (1, 0));
}

#[tokio::test]
async fn a_message_that_returns_again_and_again_is_counted() {
    let kit = Kit::new();
    let broker = kit.join("one").await;
    publish_all(&broker, ["a", "b"]).await;
    for returns in 0..5 {
        let mut lane = broker.subscribe(ops_lane(), 1).await.unwrap();
        let a = delivery(&mut lane).await;
        assert_eq!((text(&a).as_str(), a.returns), ("a", returns));
        a.leave();
        lane.settle.close().await;
    }
    let mut lane = broker.subscribe(ops_lane(), 2).await.unwrap();
    delivery(&mut lane).await.leave();
    let b = delivery(&mut lane).await;
    assert_eq!(
        (b.returns, b.redelivered),
        (0, false),
        "it was never handed out"
    );
    b.leave();
}

#[tokio::test]
async fn a_lane_that_is_dropped_is_let_go() {
    let kit = Kit::new();
    let (first, second) = (kit.join("first").await, kit.join("second").await);
    let old = first.subscribe(ops_lane(), 1).await.unwrap();
    soon("owning", old.fence.held()).await;
    let new = second.subscribe(ops_lane(), 1).await.unwrap();
    drop(old);
    soon("taking over", new.fence.held()).await;
}

#[tokio::test]
async fn a_broker_that_closes_lets_its_lanes_go() {
    let kit = Kit::new();
    let (first, second) = (kit.join("first").await, kit.join("second").await);
    let mut old = first.subscribe(ops_lane(), 1).await.unwrap();
    soon("owning", old.fence.held()).await;
    first.close().await;
    assert!(soon("the end", old.events.recv()).await.is_none());
    let lease = second
        .core
        .reader
        .read(|db| lease::look(db, 1))
        .await
        .unwrap();
    assert_eq!(lease.unwrap().left(clock::uptime(), PACE.lease), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_writes_without_a_pause_lets_others_write() {
    let kit = Kit::new();
    let (busy, other) = (kit.join("busy").await, kit.join("other").await);
    let writing = CancellationToken::new();
    let flood = async {
        let mut newest = None;
        while !writing.is_cancelled() {
            newest = Some(busy.publish(envelope("x")).await.unwrap());
        }
        newest.unwrap().await.unwrap();
    };
    let others = async {
        for _ in 0..50 {
            publish(&other, envelope("y")).await;
        }
        writing.cancel();
    };
    soon("fifty writes of the other", async {
        tokio::join!(flood, others)
    })
    .await;
}
