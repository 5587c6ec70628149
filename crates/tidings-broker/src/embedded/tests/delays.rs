use super::*;

#[tokio::test]
async fn what_is_due_later_is_never_early_and_comes_in_the_order_of_its_time() {
    let kit = Kit::new();
    let (producer, worker) = (kit.join("producer").await, kit.join("worker").await);
    let mut lane = worker.subscribe(ops_lane(), 1).await.unwrap();
    for (body, millis) in [("c", 700), ("a", 200), ("b", 450)] {
        publish(&producer, due_in(body, millis)).await;
    }
    publish(&producer, envelope("now")).await;
    assert_eq!(ready(&producer).await, 1, "what is not due does not count");
    for body in ["now", "a", "b", "c"] {
        let delivery = delivery(&mut lane).await;
        assert_eq!(
            (text(&delivery).as_str(), delivery.redelivered),
            (body, false)
        );
        assert!(
            delivery
                .headers
                .due
                .is_none_or(|due| due <= Timestamp::now()),
            "early"
        );
        settle(&mut lane, delivery, Effect::Done).await;
    }
}

#[tokio::test]
async fn delays_go_on_while_nobody_is_there() {
    let kit = Kit::new();
    let broker = kit.join("one").await;
    publish(&broker, due_in("a", 300)).await;
    broker.close().await;
    let broker = kit.join("two").await;
    soon("falling due", async {
        while ready(&broker).await == 0 {
            tokio::time::sleep(PACE.look).await;
        }
    })
    .await;
    let mut lane = broker.subscribe(ops_lane(), 1).await.unwrap();
    delivery(&mut lane).await.leave();
}

#[tokio::test]
async fn thousands_that_fall_due_together_all_come_once() {
    let kit = Kit::new();
    let broker = kit.join("one").await;
    let mut confirmations = Vec::new();
    for n in 0..5000 {
        confirmations.push(broker.publish(due_in(&n.to_string(), 500)).await.unwrap());
    }
    for confirmation in confirmations {
        confirmation.await.unwrap();
    }
    let mut lane = broker.subscribe(ops_lane(), 100).await.unwrap();
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 5000 {
        if let LaneEvent::Delivered(delivery) = event(&mut lane).await {
            assert!(seen.insert(text(&delivery)), "twice");
            lane.settle.settle(delivery, settlement("x", Effect::Done));
        }
    }
}

#[tokio::test]
async fn a_copy_goes_to_the_end_of_its_lane_or_through_the_delays() {
    let kit = Kit::new();
    let broker = kit.join("one").await;
    publish_all(&broker, ["a", "b", "c"]).await;
    let mut lane = broker.subscribe(ops_lane(), 1).await.unwrap();
    let copy = |due| {
        Effect::PutBack(Box::new(Headers {
            turn: 1,
            due,
            ..Headers::default()
        }))
    };
    let a = delivery(&mut lane).await;
    settle(&mut lane, a, copy(None)).await;
    let b = delivery(&mut lane).await;
    let due = Timestamp::now() + Duration::from_millis(400);
    settle(&mut lane, b, copy(Some(due))).await;
    for (body, turn) in [("c", 0), ("a", 1), ("b", 1)] {
        let delivery = delivery(&mut lane).await;
        assert_eq!(
            (text(&delivery).as_str(), delivery.headers.turn),
            (body, turn)
        );
        assert!(!delivery.redelivered, "a copy was not handed out yet");
        settle(&mut lane, delivery, Effect::Done).await;
    }
    assert!(Timestamp::now() >= due);
}

#[tokio::test]
async fn what_falls_due_without_a_lane_is_unroutable() {
    let kit = Kit::new();
    let broker = kit.join("one").await;
    let mut unroutable = broker.subscribe(LaneName::Unroutable, 1).await.unwrap();
    let mut envelope = due_in("lost", 200);
    envelope.account = "raven.nobody".parse().unwrap();
    let account = envelope.account.clone();
    publish(&broker, envelope.clone()).await;
    let unknown = broker.depth(&account).await;
    assert!(
        matches!(unknown, Err(BrokerError::Missing { .. })),
        "a delay makes no lane"
    );
    let lost = delivery(&mut unroutable).await;
    assert_eq!(text(&lost), "lost");
    assert_eq!(lost.headers.due, envelope.headers.due);
    settle(&mut unroutable, lost, letter()).await;
}

#[tokio::test]
async fn an_account_that_gets_its_lane_in_time_gets_its_delayed_messages() {
    let kit = Kit::new();
    let broker = kit.join("one").await;
    let mut envelope = due_in("in time", 400);
    envelope.account = "raven.late".parse().unwrap();
    let account = envelope.account.clone();
    publish(&broker, envelope).await;
    broker
        .apply(&Topology::of([account.clone()]))
        .await
        .unwrap();
    let mut lane = broker
        .subscribe(LaneName::Account(account), 1)
        .await
        .unwrap();
    let delivery = delivery(&mut lane).await;
    assert_eq!(text(&delivery), "in time");
    delivery.leave();
}
