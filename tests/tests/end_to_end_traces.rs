//! Traces: from whoever sends, through the queue, to the call.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, extract::State, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value::Value,
    trace::v1::{Span, status::StatusCode},
};
use prost::Message as _;
use serde_json::Value as Json;
use tidings_broker::Envelope;
use tidings_model::{Headers, Verdict};
use tidings_sandbox::{Fault, Faults, On as Calls};
use tidings_tests::{
    eventually,
    fleet::{Fleet, On, message},
    on_each_broker,
};

on_each_broker! {
    an_attempts_span_is_a_child_of_the_span_that_sent_it,
}

/// Keeps the spans that are exported to it.
struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    async fn start() -> Self {
        let spans = Arc::new(Mutex::new(Vec::new()));
        let app = Router::new()
            .route("/v1/traces", post(take))
            .with_state(spans.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, spans }
    }

    fn spans_of(&self, id: &str) -> Vec<Span> {
        let mut spans = self.spans.lock().unwrap().clone();
        spans.retain(|span| attribute(span, "messaging.message.id") == Some(id.into()));
        spans
    }
}

async fn take(State(spans): State<Arc<Mutex<Vec<Span>>>>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let scopes = request
        .resource_spans
        .into_iter()
        .flat_map(|resource| resource.scope_spans);
    spans
        .lock()
        .unwrap()
        .extend(scopes.flat_map(|scope| scope.spans));
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{key} is {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn traced(mut message: Json, traceparent: &str) -> Envelope {
    message["enqueued_at"] = jiff::Timestamp::now().to_string().into();
    let headers = Headers {
        traceparent: Some(traceparent.to_owned()),
        ..Headers::default()
    };
    Envelope {
        account: message["account"].as_str().unwrap().parse().unwrap(),
        id: message["id"].as_str().unwrap().parse().unwrap(),
        body: message.to_string().into(),
        headers,
    }
}

async fn an_attempts_span_is_a_child_of_the_span_that_sent_it(on: On) {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SENDER: &str = "b7ad6b7169203331";
    let account = "raven.crm";
    let collector = Collector::start().await;
    let fleet = Fleet::on(on)
        .account(
            account,
            "rate = \"50/s\"\nretry = { base = \"1s\", cap = \"1s\" }",
        )
        .faults(Faults::none().fault(Fault::status(500).on(Calls::everything()).times(1)))
        .start()
        .await;
    let worker = fleet
        .worker_in(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)])
        .await;
    // The first attempt fails, and the copy that goes through the delays is of the same trace.
    let sent = traced(
        message(account, "traced"),
        &format!("00-{TRACE}-{SENDER}-01"),
    );
    fleet.broker.publish(sent).await.unwrap().await.unwrap();
    fleet.ended(&["traced".to_owned()]).await;
    let unsampled = traced(
        message(account, "unsampled"),
        &format!("00-{TRACE}-{SENDER}-00"),
    );
    fleet
        .broker
        .publish(unsampled)
        .await
        .unwrap()
        .await
        .unwrap();
    let mut ids = fleet.send(&[message(account, "alone")]).await;
    ids.push("unsampled".to_owned());
    fleet.ended(&ids).await;
    // What was not exported yet is before the end.
    assert!(worker.terminate().await.success());

    let spans = eventually("both attempts are exported", async || {
        let mut spans = collector.spans_of("traced");
        spans.sort_by_key(|span| span.start_time_unix_nano);
        if spans.len() == 2 {
            Ok(spans)
        } else {
            Err(spans)
        }
    })
    .await;
    for span in &spans {
        assert_eq!(span.name, "attempt raven.crm");
        assert_eq!(
            (hex(&span.trace_id), hex(&span.parent_span_id)),
            (TRACE.into(), SENDER.into())
        );
        assert!(span.start_time_unix_nano < span.end_time_unix_nano);
    }
    assert_ne!(spans[0].span_id, spans[1].span_id);
    let shown: Vec<_> = spans
        .iter()
        .map(|span| {
            let failed = span
                .status
                .as_ref()
                .is_some_and(|status| status.code() == StatusCode::Error);
            (
                attribute(span, "tidings.verdict"),
                attribute(span, "tidings.turn"),
                failed,
            )
        })
        .collect();
    let verdict = |verdict: Verdict| Some(verdict.as_str().to_owned());
    assert_eq!(
        shown,
        [
            (verdict(Verdict::Unknown), Some("0".into()), true),
            (verdict(Verdict::Delivered), Some("1".into()), false),
        ]
    );
    assert!(collector.spans_of("unsampled").is_empty());
    let alone = collector.spans_of("alone");
    assert!(
        alone.len() == 1 && alone[0].parent_span_id.is_empty() && hex(&alone[0].trace_id) != TRACE
    );
}
