use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

pub(crate) const JSON: &str = "application/json; charset=utf-8";
pub(crate) const HTML: &str = "text/html; charset=utf-8";

/// What a provider says, before anything spoils it on its way.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Empty where there is no body.
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Answer {
    pub(crate) fn json(status: StatusCode, body: impl Into<String>) -> Self {
        Self {
            status,
            content_type: JSON,
            body: body.into(),
            headers: Vec::new(),
        }
    }

    pub(crate) fn value(status: StatusCode, body: &Value) -> Self {
        Self::json(status, body.to_string())
    }

    pub(crate) fn html(status: StatusCode, body: impl Into<String>) -> Self {
        Self {
            content_type: HTML,
            ..Self::json(status, body)
        }
    }

    pub(crate) fn empty(status: StatusCode) -> Self {
        Self {
            content_type: "",
            ..Self::json(status, "")
        }
    }

    /// Adds a header; a value that HTTP cannot carry is left out.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        if !self.content_type.is_empty() {
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        response.headers_mut().extend(self.headers);
        response
    }
}
