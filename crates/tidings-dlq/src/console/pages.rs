//! One module per page.

mod act;
mod audit;
mod letter;
mod letters;
mod operation;
mod overview;
mod plan;

use axum::http::StatusCode;

pub(super) use self::{
    act::{begin, resume, stop},
    audit::audit,
    letter::letter,
    letters::letters,
    operation::{operation, progress},
    overview::overview,
    plan::plan,
};
use super::page::Failure;

/// A form's and a query's pairs.
type Pairs = Vec<(String, String)>;

pub(super) async fn nowhere() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "There is no such page.")
}
