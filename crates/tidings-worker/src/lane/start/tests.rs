use std::{sync::Mutex, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tidings_broker::{Delivery, Effect, Fence, Lane, Options, Settle, Settlement, Ticket, connect};
use tidings_model::{Config, Draft, Headers, Tenure};
use tokio::{sync::mpsc, time::advance};

use super::{super::job::HELD, *};
use crate::{
    attempt::Caller, fleet::Fleet, follow::Memories, lane::Status, metrics::LaneMetrics,
    tenures::Inheritance, traces::Traces,
};

const TICK: Duration = Duration::from_millis(10);

/// What was given back.
#[derive(Debug, Default)]
struct Hands(Mutex<Vec<(Ticket, Effect)>>);

#[async_trait]
impl Settle for Hands {
    fn settle(&self, delivery: Delivery, settlement: Settlement) {
        self.repeat(delivery, settlement.effect);
    }

    fn repeat(&self, delivery: Delivery, effect: Effect) {
        let (ticket, ..) = delivery.into_parts();
        self.0.lock().unwrap().push((ticket, effect));
    }

    async fn close(&self) {}
}

async fn context(folder: &std::path::Path, rate: &str) -> LaneContext {
    let broker = format!("sqlite:{}", folder.join("tidings.db").display());
    let text = format!(
        "broker = {broker:?}\n[accounts.\"raven.crm\"]\nsecret = {{ env = \"S\" }}\nrate = {rate:?}"
    );
    let config = Config::parse("test", &text, &Default::default()).unwrap();
    let (account, wanted) = config.accounts.first_key_value().unwrap();
    let traces = Traces::new(None, account);
    let secrets: crate::attempt::Secrets = Arc::new(|_| Ok("s".to_owned().into()));
    let memories = Arc::new(Memories::new(
        "me".into(),
        config.remember,
        Timestamp::now(),
    ));
    LaneContext {
        account: account.clone(),
        config: wanted.clone(),
        configured: wanted.clone(),
        me: "me".into(),
        broker: connect(&config.broker, Options::new("me".into()))
            .await
            .unwrap(),
        caller: Caller::new(account, wanted, secrets, traces).unwrap(),
        memory: memories.lane(account),
        memories,
        fleet: Arc::new(Fleet::new("me".into())),
        metrics: Arc::new(LaneMetrics::new(account)),
        status: Arc::new(Status::new(account.clone(), "me".into(), wanted.rate)),
        tenures: Arc::default(),
        drain: Duration::from_secs(1),
    }
}

/// A tenure that is open, and the other ends of its lane.
fn serving(context: &LaneContext) -> (Serving, Arc<Hands>, Fence) {
    let (hands, fence) = (Arc::new(Hands::default()), Fence::default());
    let lane = Lane {
        events: mpsc::unbounded_channel().1,
        settle: hands.clone(),
        fence: fence.clone(),
    };
    context.status.took(&lane.settle);
    let mut serving = Serving::new(lane, context.config.window(), context);
    serving.phase = Phase::Open {
        tenure: Tenure {
            account: context.account.clone(),
            worker: context.me.clone(),
            number: 1,
        },
        inheritance: Inheritance::Only(Default::default()),
    };
    (serving, hands, fence)
}

fn delivery(number: u64) -> Delivery {
    let json = br#"{"account": "raven.crm", "payload": {"username": "u", "message": "m",
        "topic": {"type": "persona", "name": "n"},
        "recipient": [{"name": "r", "contact": [{"type": "whatsapp", "name": "n", "key": "1"}]}]}}"#;
    let id = format!("m-{number}").parse().unwrap();
    let message = Draft::parse(json).unwrap().accept(Timestamp::now(), || id);
    let body = Bytes::from(message.unwrap().encode());
    Delivery::new(Ticket(number), body, Headers::default(), false, 0)
}

#[tokio::test]
async fn what_waits_for_a_slow_rate_goes_back_before_the_broker_takes_it_and_its_permit_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path(), "1/h").await;
    tokio::time::pause();
    let (mut serving, hands, fence) = serving(&context);
    let mut gate = Gate::new(context.config.account_probe);
    let mut wait = async |serving: &mut Serving, time| {
        advance(time).await;
        fence.confirmed(Instant::now());
        serving.start_what_may(&context, &mut gate);
    };
    for number in 1..=3 {
        serving.consider(delivery(number), &context);
        wait(&mut serving, HELD + TICK).await;
        assert!(serving.held.is_empty() && serving.calling.is_empty());
    }
    serving.consider(delivery(4), &context);
    wait(&mut serving, HELD - TICK).await;
    assert!(
        serving.calling.contains_key(&Ticket(4)),
        "an hour has passed"
    );
    let back = hands.0.lock().unwrap();
    assert!(
        back.iter()
            .all(|(_, effect)| matches!(effect, Effect::PutBack(_)))
    );
    assert_eq!(
        back.iter().map(|(ticket, _)| ticket.0).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    serving.calling.into_values().for_each(Job::leave);
}

/// Whoever gave it up, since this loop hung, let another worker have it.
#[tokio::test]
async fn nothing_starts_at_a_place_that_was_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path(), "unlimited").await;
    let (mut serving, _hands, fence) = serving(&context);
    let mut gate = Gate::new(context.config.account_probe);
    serving.consider(delivery(1), &context);
    fence.confirmed(Instant::now());
    assert!(context.status.take_place().is_some());
    serving.start_what_may(&context, &mut gate);
    assert_eq!((serving.held.len(), serving.calling.len()), (1, 0));
    serving.held.drain(..).for_each(Job::leave);
}
