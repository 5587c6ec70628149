//! One module per page.

mod act;
mod audit;
mod letter;
mod letters;
mod operation;
mod overview;
mod plan;

use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};

pub(super) use self::{
    act::{begin, resume, stop},
    audit::audit,
    letter::letter,
    letters::letters,
    operation::{operation, progress},
    overview::overview,
    plan::plan,
};
use super::{desk::Desk, page::Failure};

/// A form's and a query's pairs.
type Pairs = Vec<(String, String)>;

/// A page is shown once the dead letters were read: less than all of them would be wrong.
pub(super) async fn read(State(desk): State<Desk>, request: Request, next: Next) -> Response {
    if desk.is_read().await {
        return next.run(request).await;
    }
    let why = "The dead letters are not read yet: try again in a moment.";
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, why).into_response()
}

pub(super) async fn nowhere() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "There is no such page.")
}
