use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::connect_info::ConnectInfo;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{delete, get, post};

use crate::Provider;
use crate::admin;
use crate::call::{Arrival, Call, Request as Asked};
use crate::desk::Desk;
use crate::providers::{groupme, grupo, pingup, raven, whatspie};
use crate::received::Part;
use crate::wire::Cut;

/// Above what any provider takes, and what Tidings ever sends (8 MiB of files in a form).
const MOST_BODY: usize = 16 << 20;

/// Everything the sandbox answers.
pub(crate) fn router(desk: Desk) -> Router {
    Router::new()
        .route(
            "/groupme/groups/{group}/messages",
            post(groupme_send).get(groupme_index),
        )
        .route(
            "/groupme/conversations/{group}/messages/{message}",
            delete(groupme_delete),
        )
        .route("/groupme/users/me", get(groupme_me))
        .route("/whatspie/groups/{group}/send", post(whatspie_send))
        .route("/grupo/api_request/", post(grupo_send))
        .route("/grupo/api_request", post(grupo_without_slash))
        .route("/raven/message:send", post(raven_send))
        .route("/pingup/{business}/messages", post(pingup_send))
        .merge(admin::router())
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .with_state(desk)
}

/// A request, read to its end, and its connection.
struct Incoming {
    arrival: Arrival,
    cut: Cut,
}

impl<S: Sync> FromRequest<S> for Incoming {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let cut = parts
            .extensions
            .get::<ConnectInfo<Cut>>()
            .map(|ConnectInfo(cut)| cut.clone())
            .unwrap_or_default();
        // A body that ends early fails as well, but then nobody is there to hear of it.
        let body = to_bytes(body, MOST_BODY).await;
        let arrival = Arrival {
            headers: parts.headers,
            uri: parts.uri,
            too_large: body.is_err(),
            body: body.unwrap_or_default(),
        };
        Ok(Self { arrival, cut })
    }
}

async fn groupme_send(
    State(desk): State<Desk>,
    Path(group): Path<String>,
    on: Incoming,
) -> Response {
    desk.serve(groupme::send(&group, &on.arrival), &on.cut)
        .await
}

async fn groupme_index(
    State(desk): State<Desk>,
    Path(group): Path<String>,
    on: Incoming,
) -> Response {
    desk.serve(groupme::index(&group, &on.arrival), &on.cut)
        .await
}

async fn groupme_me(State(desk): State<Desk>, on: Incoming) -> Response {
    desk.serve(groupme::me(&on.arrival), &on.cut).await
}

async fn groupme_delete(
    State(desk): State<Desk>,
    Path((group, message)): Path<(String, String)>,
    on: Incoming,
) -> Response {
    desk.serve(groupme::delete(&group, &message, &on.arrival), &on.cut)
        .await
}

async fn whatspie_send(
    State(desk): State<Desk>,
    Path(group): Path<String>,
    on: Incoming,
) -> Response {
    desk.serve(whatspie::send(&group, &on.arrival), &on.cut)
        .await
}

async fn raven_send(State(desk): State<Desk>, on: Incoming) -> Response {
    desk.serve(raven::send(&on.arrival), &on.cut).await
}

async fn pingup_send(State(desk): State<Desk>, on: Incoming) -> Response {
    desk.serve(pingup::send(&on.arrival), &on.cut).await
}

async fn grupo_send(State(desk): State<Desk>, mut on: Incoming) -> Response {
    let parts = form(&on.arrival).await;
    // The book keeps the parts; the form as a whole would hold its files.
    on.arrival.body.clear();
    desk.serve(grupo::send(parts, &on.arrival), &on.cut).await
}

/// A web server sends a folder without its slash on to the one with it, and the POST is lost on the way.
async fn grupo_without_slash() -> Response {
    let mut moved = Redirect::permanent("/grupo/api_request/").into_response();
    *moved.status_mut() = StatusCode::MOVED_PERMANENTLY;
    moved
}

/// What no provider has: in the book where a provider's name was right, for whoever looks for a wrong path there.
async fn unknown(State(desk): State<Desk>, on: Incoming) -> Response {
    let first = on.arrival.uri.path().split('/').nth(1).unwrap_or_default();
    let Some(provider) = Provider::ALL
        .into_iter()
        .find(|provider| provider.name() == first)
    else {
        return (
            StatusCode::NOT_FOUND,
            "The sandbox has no such path. GET / lists those it has.\n",
        )
            .into_response();
    };
    let call = Call {
        destination: on.arrival.uri.path().into(),
        // A wrong path is wrong with any token, and without one.
        problem: None,
        ..Call::new(provider, Asked::Unknown, on.arrival.bearer(), &on.arrival)
    };
    desk.serve(call, &on.cut).await
}

async fn form(arrival: &Arrival) -> Result<Vec<Part>, String> {
    let mut request = Request::new(Body::from(arrival.body.clone()));
    if let Some(content_type) = arrival.headers.get(header::CONTENT_TYPE) {
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type.clone());
    }
    DefaultBodyLimit::disable().apply(&mut request);
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|wrong| wrong.body_text())?;
    let mut parts = Vec::new();
    while let Some(field) = form.next_field().await.map_err(|wrong| wrong.body_text())? {
        let name = field.name().unwrap_or_default().to_owned();
        let file_name = field.file_name().map(str::to_owned);
        let content_type = field.content_type().map(str::to_owned);
        let bytes = field.bytes().await.map_err(|wrong| wrong.body_text())?;
        let text = file_name
            .is_none()
            .then(|| String::from_utf8_lossy(&bytes).into_owned());
        parts.push(Part {
            name,
            file_name,
            content_type,
            size: bytes.len() as u64,
            text,
            swallowed: false,
        });
    }
    Ok(parts)
}
