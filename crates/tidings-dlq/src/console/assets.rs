use axum::{http::header, response::IntoResponse};

/// The page that was served with a new version asks for it anew; a minute is enough for clicking through.
const KEEP: (header::HeaderName, &str) = (header::CACHE_CONTROL, "max-age=60");

pub(super) async fn style() -> impl IntoResponse {
    let kind = (header::CONTENT_TYPE, "text/css; charset=utf-8");
    ([kind, KEEP], include_str!("assets/style.css"))
}

pub(super) async fn script() -> impl IntoResponse {
    let kind = (header::CONTENT_TYPE, "text/javascript; charset=utf-8");
    ([kind, KEEP], include_str!("assets/script.js"))
}

pub(super) async fn icon() -> impl IntoResponse {
    let kind = (header::CONTENT_TYPE, "image/svg+xml");
    ([kind, KEEP], include_str!("assets/icon.svg"))
}
