//! The admin endpoint: does the process turn, do its lanes turn, what do they do.

use std::{net::SocketAddr, sync::Arc, sync::OnceLock};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use tidings_model::LaneReport;
use tokio::{net::TcpListener, sync::watch};

use crate::{follow::Memories, supervise::Lanes};

#[derive(Clone)]
struct Admin {
    subject: Arc<OnceLock<Subject>>,
    metrics: PrometheusHandle,
}

/// What is looked at, once the broker was reached for the first time.
pub(crate) struct Subject {
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) connected: watch::Receiver<bool>,
    pub(crate) memories: Arc<Memories>,
}

/// Listens; the address is logged, since port 0 picks one.
pub(crate) async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(admin = %listener.local_addr()?, "the admin endpoint listens");
    Ok(listener)
}

/// Serves until `stop` turns true.
pub(crate) async fn serve(
    listener: TcpListener,
    subject: Arc<OnceLock<Subject>>,
    metrics: PrometheusHandle,
    mut stop: watch::Receiver<bool>,
) {
    let app = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .route("/lanes", get(reports))
        .with_state(Admin { subject, metrics });
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    if let Err(error) = axum::serve(listener, app)
        .with_graceful_shutdown(stopped)
        .await
    {
        tracing::error!(%error, "the admin endpoint has ended");
    }
}

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    let Some(subject) = admin
        .subject
        .get()
        .filter(|subject| *subject.connected.borrow())
    else {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "the broker is not connected\n".to_owned(),
        );
    };
    if !subject.memories.has_caught_up() {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "the newest part of the ledger is not read yet\n".to_owned(),
        );
    }
    match subject.lanes.standing_still() {
        still if still.is_empty() => (StatusCode::OK, "ready\n".to_owned()),
        still => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("lanes that do not turn: {}\n", still.join(", ")),
        ),
    }
}

async fn render(State(admin): State<Admin>) -> String {
    if let Some(subject) = admin.subject.get() {
        subject.lanes.gauge();
    }
    admin.metrics.render()
}

async fn reports(State(admin): State<Admin>) -> Json<Vec<LaneReport>> {
    Json(
        admin
            .subject
            .get()
            .map(|subject| subject.lanes.told_to_onlookers())
            .unwrap_or_default(),
    )
}
