//! Traces: a span for each attempt, in the trace of whoever sent the message. Where none are wanted, nothing is done.

use opentelemetry::{
    Context, KeyValue, StringValue,
    propagation::{Extractor, TextMapPropagator as _},
    trace::{Span as _, SpanKind, Status, Tracer as _},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{SdkTracer, Span},
};
use tidings_model::{Account, Headers, Message, Verdict};
use tidings_providers::Answer;

/// Where an account's spans go.
#[derive(Debug, Clone)]
pub(crate) struct Traces {
    tracer: Option<SdkTracer>,
    /// The spans' name, made once.
    name: StringValue,
}

/// An attempt's span, while the attempt is made; dropped, it ends without a verdict.
#[derive(Debug)]
pub(crate) struct Attempting(Option<Span>);

/// The one header of a trace that travels with a message.
struct Carrier<'t>(&'t str);

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

impl Traces {
    pub(crate) fn new(tracer: Option<SdkTracer>, account: &Account) -> Self {
        Self {
            tracer,
            name: format!("attempt {account}").into(),
        }
    }

    /// Begins an attempt's span: a child of the span in which the message was sent, where that is known.
    pub(crate) fn attempt(&self, message: &Message, headers: &Headers) -> Attempting {
        let Some(tracer) = &self.tracer else {
            return Attempting(None);
        };
        let sent_in = headers
            .traceparent
            .as_deref()
            .map_or_else(Context::new, |trace| {
                TraceContextPropagator::new().extract_with_context(&Context::new(), &Carrier(trace))
            });
        let attributes = [
            KeyValue::new("tidings.account", message.account.to_string()),
            KeyValue::new("messaging.message.id", message.id.to_string()),
            KeyValue::new("tidings.generation", i64::from(headers.generation)),
            KeyValue::new("tidings.turn", i64::from(headers.turn)),
        ];
        let span = tracer
            .span_builder(self.name.as_str().to_owned())
            .with_kind(SpanKind::Client)
            .with_attributes(attributes)
            .start_with_context(tracer, &sent_in);
        Attempting(Some(span))
    }
}

impl Attempting {
    /// Ends the span with what the attempt showed.
    pub(crate) fn showed(self, answer: &Answer) {
        let Some(mut span) = self.0 else { return };
        span.set_attribute(KeyValue::new("tidings.verdict", answer.verdict.as_str()));
        if let Some(status) = answer.status {
            span.set_attribute(KeyValue::new(
                "http.response.status_code",
                i64::from(status),
            ));
        }
        if !matches!(answer.verdict, Verdict::Delivered | Verdict::Duplicate) {
            span.set_status(Status::error(answer.error.clone().unwrap_or_default()));
        }
        span.end();
    }
}
