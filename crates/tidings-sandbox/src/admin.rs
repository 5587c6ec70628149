//! The sandbox's own pages: the book, the faults, and what else there is.

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::answer::JSON;
use crate::desk::Desk;
use crate::reading::{Reading, Wanted};
use crate::{Faults, Provider};

pub(crate) fn router() -> Router<Desk> {
    Router::new()
        .route("/", get(front))
        .route("/received", get(received).delete(forget))
        .route("/received/summary", get(summary))
        .route("/faults", get(faults).put(set_faults).delete(no_faults))
}

async fn front() -> Response {
    Json(json!({
        "providers": Provider::ALL.map(|provider| format!("/{provider}")),
        "book": ["GET /received?provider=&account=&destination=&since=&after=&limit=", "GET /received/summary", "DELETE /received"],
        "faults": ["GET /faults", "PUT /faults", "DELETE /faults"],
    }))
    .into_response()
}

async fn received(State(desk): State<Desk>, uri: Uri) -> Response {
    let wanted = match Query::<Wanted>::try_from_uri(&uri) {
        Ok(Query(wanted)) => wanted,
        Err(error) => return wrong(error.body_text()),
    };
    match wanted.read() {
        Ok(filter) => {
            let pages = Reading::new(desk, filter).pages();
            ([(header::CONTENT_TYPE, JSON)], Body::from_stream(pages)).into_response()
        }
        Err(error) => wrong(error),
    }
}

async fn summary(State(desk): State<Desk>) -> Response {
    let summary = desk.world().summary();
    Json(summary).into_response()
}

async fn forget(State(desk): State<Desk>) -> StatusCode {
    desk.world().forget();
    StatusCode::NO_CONTENT
}

async fn faults(State(desk): State<Desk>) -> Response {
    let faults = desk.world().faults().clone();
    Json(faults).into_response()
}

async fn set_faults(State(desk): State<Desk>, body: String) -> Response {
    match Faults::from_json(&body) {
        Ok(faults) => {
            desk.world().set_faults(faults.clone());
            Json(faults).into_response()
        }
        Err(error) => wrong(error.to_string()),
    }
}

async fn no_faults(State(desk): State<Desk>) -> StatusCode {
    desk.world().set_faults(Faults::none());
    StatusCode::NO_CONTENT
}

fn wrong(error: impl Into<String>) -> Response {
    (
        StatusCode::BAD_REQUEST,
        Json(json!({"error": error.into()})),
    )
        .into_response()
}
