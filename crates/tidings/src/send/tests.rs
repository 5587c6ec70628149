use std::{collections::VecDeque, sync::Mutex, time::Duration};

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{FutureExt as _, SpanContext, TraceContextExt as _, TraceState},
};
use tidings_broker::{
    BrokerError, DeadEntry, DeadRecord, Delays, Depth, Difference, Lane, LaneName, LedgerEntry,
    ReadFrom, ReadUntil, Topology,
};
use tidings_model::{Announcement, Draft, Record, payload::groupme};
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};

use super::*;

/// What becomes of a publish.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Confirmed,
    /// Refused at once: away.
    Away,
    /// Refused at once: an alarm.
    Blocked,
    /// Published, and the confirmation was lost.
    Lost,
    /// Published, and nothing is heard of it.
    Silent,
}

/// A broker whose answers are written down beforehand; then the last one, again and again.
#[derive(Debug)]
struct Scripted {
    script: Mutex<VecDeque<Fate>>,
    published: Mutex<Vec<Envelope>>,
    silent: Mutex<Vec<oneshot::Sender<Result<(), PublishError>>>>,
}

fn away() -> BrokerError {
    BrokerError::Away {
        broker: "scripted".into(),
        why: "gone".into(),
    }
}

impl Scripted {
    fn sender(script: &[Fate]) -> (Arc<Self>, Arc<Sender>) {
        let broker = Arc::new(Self {
            script: Mutex::new(script.iter().copied().collect()),
            published: Mutex::default(),
            silent: Mutex::default(),
        });
        let sender = Sender::new(Arc::clone(&broker) as Arc<dyn Broker>, &Options::default());
        (broker, Arc::new(sender))
    }

    fn next(&self) -> Fate {
        let mut script = self.script.lock().unwrap();
        if script.len() > 1 {
            script.pop_front().unwrap()
        } else {
            script[0]
        }
    }

    /// The ids that were published, and whether the worker was told that it happened before.
    fn published(&self) -> Vec<(String, bool)> {
        let published = self.published.lock().unwrap();
        let told = |envelope: &Envelope| (envelope.id.to_string(), envelope.headers.again);
        published.iter().map(told).collect()
    }
}

#[async_trait]
impl Broker for Scripted {
    fn place(&self) -> String {
        "scripted".into()
    }
    fn connected(&self) -> watch::Receiver<bool> {
        watch::channel(true).1
    }
    async fn publish(&self, envelope: Envelope) -> Result<Confirmation, PublishError> {
        let fate = self.next();
        match fate {
            Fate::Away => return Err(PublishError::Away(away())),
            Fate::Blocked => return Err(PublishError::Blocked("memory".into())),
            Fate::Confirmed | Fate::Lost | Fate::Silent => {}
        }
        self.published.lock().unwrap().push(envelope);
        let (confirm, confirmation) = oneshot::channel();
        match fate {
            Fate::Confirmed => confirm.send(Ok(())).unwrap(),
            Fate::Silent => self.silent.lock().unwrap().push(confirm),
            _ => drop(confirm),
        }
        Ok(Confirmation::new(confirmation, away()))
    }
    async fn apply(&self, _: &Topology) -> Result<(), BrokerError> {
        Err(away())
    }
    async fn verify(&self, _: &Topology) -> Result<Vec<Difference>, BrokerError> {
        Err(away())
    }
    async fn subscribe(&self, _: LaneName, _: u16) -> Result<Lane, BrokerError> {
        Err(away())
    }
    async fn append(&self, _: Vec<Record>) -> Result<(), BrokerError> {
        Err(away())
    }
    async fn ledger(
        &self,
        _: ReadFrom,
        _: ReadUntil,
    ) -> Result<BoxStream<'static, Result<LedgerEntry, BrokerError>>, BrokerError> {
        Err(away())
    }
    async fn dead(
        &self,
        _: ReadFrom,
        _: ReadUntil,
    ) -> Result<BoxStream<'static, Result<DeadEntry, BrokerError>>, BrokerError> {
        Err(away())
    }
    async fn record(&self, _: Vec<DeadRecord>) -> Result<(), BrokerError> {
        Err(away())
    }
    async fn announce(&self, _: &Announcement) -> Result<(), BrokerError> {
        Err(away())
    }
    async fn observe(&self) -> Result<BoxStream<'static, Announcement>, BrokerError> {
        Err(away())
    }
    async fn depth(&self, _: &Account) -> Result<Depth, BrokerError> {
        Err(away())
    }
    async fn delays(&self, _: Duration) -> Result<Delays, BrokerError> {
        Err(away())
    }
    async fn close(&self) {}
}

fn message(id: &str) -> Outgoing {
    let payload = groupme::Text::to("1").text("hi").build().unwrap();
    let draft = Draft::new("groupme.ops".parse().unwrap(), payload).id(id.parse().unwrap());
    draft.into()
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_confirmation_was_lost_is_published_again_and_its_worker_told() {
    let (broker, sender) = Scripted::sender(&[Fate::Lost, Fate::Away, Fate::Confirmed]);
    sender.send(message("a")).await.unwrap();
    assert_eq!(
        broker.published(),
        [("a".into(), false), ("a".into(), true)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_comes_back_in_time_gets_the_message_once() {
    let (broker, sender) = Scripted::sender(&[Fate::Away, Fate::Blocked, Fate::Confirmed]);
    sender.send(message("a")).await.unwrap();
    assert_eq!(broker.published(), [("a".into(), false)]);
}

#[tokio::test(start_paused = true)]
async fn when_patience_runs_out_the_error_says_whether_the_message_may_be_queued() {
    for (script, may_be_queued) in [
        (&[Fate::Away][..], false),
        (&[Fate::Blocked], false),
        (&[Fate::Lost], true),
        (&[Fate::Lost, Fate::Away], true),
        (&[Fate::Silent], true),
    ] {
        let (_broker, sender) = Scripted::sender(script);
        let began = Instant::now();
        let error = sender.send(message("a")).await.unwrap_err();
        assert!(error.is_temporary(), "{error}");
        assert_eq!(error.may_be_queued(), may_be_queued, "{script:?}: {error}");
        assert_eq!(error.id().unwrap().as_str(), "a");
        assert!(!error.to_string().contains("not published"), "{error}");
        assert!(began.elapsed() <= Duration::from_secs(31), "{script:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_gives_up_on_a_broker_that_is_gone_as_soon_as_one_message_would() {
    let (_broker, sender) = Scripted::sender(&[Fate::Away]);
    let began = Instant::now();
    let messages = stream::iter(0..500).map(|n| message(&format!("m-{n}")));
    let results: Vec<_> = sender.send_all(messages, 100).collect().await;
    assert_eq!(results.len(), 500);
    assert!(results.iter().all(Result::is_err));
    assert!(began.elapsed() <= Duration::from_secs(31));
}

#[tokio::test(start_paused = true)]
async fn results_come_in_the_order_of_the_messages_whatever_happens_to_one() {
    let script = [Fate::Confirmed, Fate::Lost, Fate::Confirmed];
    let (broker, sender) = Scripted::sender(&script);
    let messages = stream::iter(["a", "b", "c", "d"]).map(message);
    let results: Vec<_> = sender.send_all(messages, 10).collect().await;
    let ids = results
        .into_iter()
        .map(|result| result.unwrap().id.to_string());
    assert_eq!(ids.collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    assert_eq!(broker.published().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_window_is_on_its_way() {
    let (broker, sender) = Scripted::sender(&[Fate::Silent]);
    let messages = stream::iter(0..100).map(|n| message(&format!("m-{n}")));
    let mut results = std::pin::pin!(sender.send_all(messages, 10));
    assert!(futures::poll!(results.next()).is_pending());
    assert_eq!(broker.published().len(), 10);
    broker
        .silent
        .lock()
        .unwrap()
        .remove(0)
        .send(Ok(()))
        .unwrap();
    results.next().await.unwrap().unwrap();
    assert!(futures::poll!(results.next()).is_pending());
    assert_eq!(broker.published().len(), 11);
}

#[tokio::test(start_paused = true)]
async fn what_breaks_a_rule_is_never_published() {
    let (broker, sender) = Scripted::sender(&[Fate::Confirmed]);
    let Outgoing { draft, .. } = message("a");
    let late = draft
        .delay("2h".parse().unwrap())
        .expires_in("1h".parse().unwrap());
    let error = sender.send(late.into()).await.unwrap_err();
    assert!(matches!(error, SendError::Invalid(_)) && !error.is_temporary());
    assert!(broker.published().is_empty());
}

#[tokio::test]
async fn the_callers_current_span_travels_unless_another_is_given() {
    const CURRENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00";
    let (broker, sender) = Scripted::sender(&[Fate::Confirmed]);
    let span = SpanContext::new(
        TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").unwrap(),
        SpanId::from_hex("b7ad6b7169203331").unwrap(),
        TraceFlags::SAMPLED,
        false,
        TraceState::default(),
    );
    let current = Context::new().with_remote_span_context(span);
    let given = message("given").traceparent(GIVEN.parse().unwrap());
    sender.send(message("none")).await.unwrap();
    sender
        .send(message("current"))
        .with_context(current.clone())
        .await
        .unwrap();
    sender.send(given).with_context(current).await.unwrap();
    let published = broker.published.lock().unwrap();
    let traces: Vec<_> = published
        .iter()
        .map(|envelope| envelope.headers.traceparent.as_deref())
        .collect();
    assert_eq!(traces, [None, Some(CURRENT), Some(GIVEN)]);
}
