use std::num::NonZeroU64;

use axum::{
    Extension, Form,
    extract::{Path, State},
    http::StatusCode,
    response::Redirect,
};
use tidings_model::{OperationId, Rate, Verb};

use super::{Pairs, plan::verb};
use crate::{
    Request,
    console::{
        asked::Asked,
        desk::{Desk, Order},
        guard::User,
        page::Failure,
    },
    operator::Pace,
};

/// Begins what a plan's form says, and leads to its progress.
pub(in crate::console) async fn begin(
    State(desk): State<Desk>,
    Extension(User(by)): Extension<User>,
    Form(pairs): Form<Pairs>,
) -> Result<Redirect, Failure> {
    let asked = own(&desk, pairs)?;
    let order = order(&asked, by).map_err(Failure::asked)?;
    let operation = desk.begin(order).await?;
    Ok(Redirect::to(&format!("/operations/{operation}")))
}

/// Stops an operation that was begun here.
pub(in crate::console) async fn stop(
    State(desk): State<Desk>,
    Path(operation): Path<OperationId>,
    Form(pairs): Form<Pairs>,
) -> Result<Redirect, Failure> {
    own(&desk, pairs)?;
    if let Some(running) = desk.running(operation) {
        running.watch.stop.cancel();
    }
    Ok(Redirect::to(&format!("/operations/{operation}")))
}

/// Goes on with a replay that was cut off.
pub(in crate::console) async fn resume(
    State(desk): State<Desk>,
    Extension(User(by)): Extension<User>,
    Path(operation): Path<OperationId>,
    Form(pairs): Form<Pairs>,
) -> Result<Redirect, Failure> {
    own(&desk, pairs)?;
    desk.resume(operation, by).await?;
    Ok(Redirect::to(&format!("/operations/{operation}")))
}

fn own(desk: &Desk, pairs: Pairs) -> Result<Asked, Failure> {
    let asked = Asked::new(pairs);
    match desk.guard().is_own(asked.get("token")) {
        true => Ok(asked),
        false => Err(Failure::new(
            StatusCode::FORBIDDEN,
            "The console was started anew since this page was made: go back, reload it, and try again.",
        )),
    }
}

fn order(asked: &Asked, by: String) -> Result<Order, String> {
    let request: Request = serde_json::from_str(asked.get("request").unwrap_or_default())
        .map_err(|error| format!("request: {error}"))?;
    let verb = verb(asked.get("verb"))?;
    let why = asked.get("why").map(ToOwned::to_owned);
    if verb == Verb::Discard && why.is_none() {
        return Err("why: say why they need not be sent".into());
    }
    Ok(Order {
        by,
        verb,
        request,
        pace: Pace {
            rate: asked.value::<Rate>("rate")?,
            canary: asked.value("canary")?,
            stop_after_failures: asked
                .value::<NonZeroU64>("stop-after-failures")?
                .map(NonZeroU64::get),
        },
        why,
    })
}
