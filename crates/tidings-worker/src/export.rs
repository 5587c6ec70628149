//! Exporting traces by OTLP, where the standard environment variables say where to.

use std::{env, time::Duration};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracer, SdkTracerProvider},
};

/// Any of these says where traces go.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// How long the last spans may take to leave.
const LAST: Duration = Duration::from_secs(5);

/// The way out for traces. Dropped, it lets the last ones go.
pub(crate) struct Traces(SdkTracerProvider);

/// Where the environment names a collector: an exporter to it (HTTP, protobuf), with all else that OpenTelemetry's
/// variables say (headers, timeout, sampler, service name).
pub(crate) fn traces() -> Result<Option<Traces>, String> {
    let set = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let disabled =
        env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"));
    let Some(variable) = ENDPOINTS
        .iter()
        .find(|name| set(name))
        .filter(|_| !disabled)
    else {
        return Ok(None);
    };
    // Only the first of the process is taken; another that is there is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let exporter = SpanExporter::builder()
        .with_http()
        .build()
        .map_err(|error| format!("traces cannot be exported as {variable} wants it: {error}"))?;
    let mut resource = Resource::builder();
    if !set(&"OTEL_SERVICE_NAME") {
        resource = resource.with_service_name("tidings-worker");
    }
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.build())
        .build();
    Ok(Some(Traces(provider)))
}

impl Traces {
    pub(crate) fn tracer(&self) -> SdkTracer {
        self.0.tracer("tidings-worker")
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown_with_timeout(LAST) {
            tracing::warn!(%error, "the last traces were not exported");
        }
    }
}
