//! A producer and a worker that never stop: what failed is sent again, and a lost lane is taken again.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tidings_broker::{Broker, LaneName, PublishError};
use tokio::{sync::watch, task::JoinHandle, time::sleep};

use super::{
    fixture::{Fixture, OPS, account},
    in_time,
    owner::{Lost, Owner},
    sending::{message, number, send_all},
    within,
};
use crate::PATIENCE;

/// The number of the last message, behind all others.
const END: usize = 9_999_999;

pub(super) struct Load {
    stop: watch::Sender<bool>,
    producer: JoinHandle<usize>,
    worker: JoinHandle<BTreeSet<usize>>,
}

impl Load {
    pub(super) async fn on<F: Fixture>(fixture: &F) -> Self {
        let (stop, stopped) = watch::channel(false);
        let producer = fixture.connect("producer").await;
        let worker = fixture.connect("worker").await;
        Self {
            stop,
            producer: tokio::spawn(produce(producer, stopped)),
            worker: tokio::spawn(work(worker)),
        }
    }

    /// Ends it: what was confirmed must have been delivered.
    pub(super) async fn assert_nothing_is_lost(self) {
        self.stop.send_replace(true);
        let sent = in_time("the producer to end", self.producer)
            .await
            .expect("no panic");
        let delivered = within(2 * PATIENCE, "the worker to end", self.worker).await;
        let delivered = delivered.expect("no panic");
        let lost: Vec<_> = (0..sent).filter(|n| !delivered.contains(n)).collect();
        assert!(lost.is_empty(), "lost of {sent}: {lost:?}");
    }
}

/// Sends each message until it is confirmed; tells how many.
async fn produce(broker: Arc<dyn Broker>, stopped: watch::Receiver<bool>) -> usize {
    const AT_ONCE: usize = 50;
    let mut sent = 0;
    while !*stopped.borrow() {
        insist(&*broker, (sent..sent + AT_ONCE).collect()).await;
        sent += AT_ONCE;
        sleep(Duration::from_millis(20)).await;
    }
    insist(&*broker, vec![END]).await;
    sent
}

async fn insist(broker: &dyn Broker, mut numbers: Vec<usize>) {
    while !numbers.is_empty() {
        let results = send_all(broker, numbers.iter().copied().map(message)).await;
        let pairs = numbers.iter().copied().zip(results);
        let failed = pairs.filter(|(n, result)| match result {
            Ok(()) => false,
            Err(PublishError::Away(_) | PublishError::Lost(_) | PublishError::Blocked(_)) => true,
            Err(error) => panic!("message {n}: {error}"),
        });
        numbers = failed.map(|(n, _)| n).collect();
        if !numbers.is_empty() {
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Takes messages until the last one; tells which they were.
async fn work(broker: Arc<dyn Broker>) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    loop {
        let lane = LaneName::Account(account(OPS));
        let Ok(mut owner) = Owner::try_of(&*broker, lane, 100).await else {
            sleep(Duration::from_millis(200)).await;
            continue;
        };
        if let Ok(()) = take_all(&mut owner, &mut seen).await {
            owner.close().await;
            return seen;
        }
    }
}

async fn take_all(owner: &mut Owner, seen: &mut BTreeSet<usize>) -> Result<(), Lost> {
    loop {
        let delivery = owner.try_next().await?;
        let n = number(&delivery);
        owner.done(delivery);
        if n == END {
            return owner.try_settled().await;
        }
        seen.insert(n);
    }
}
