//! WhatsPie: a message to a group.

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Shape, given, read_json};
use crate::Provider;
use crate::answer::Answer;
use crate::call::{Arrival, Call, Refusal, Request};
use crate::clock::Moment;

const ME: Provider = Provider::WhatsPie;

#[derive(Debug, Default, Deserialize)]
struct Body {
    message: Option<Value>,
    #[serde(rename = "type")]
    kind: Option<Value>,
    params: Option<Value>,
}

/// `POST /groups/{group}/send`
pub(crate) fn send(group: &str, arrival: &Arrival) -> Call {
    let mut call = Call {
        destination: group.into(),
        ..Call::new(ME, Request::Send, arrival.bearer(), arrival)
    };
    match read_json::<Body>(arrival) {
        Err(wrong) => call.refuse(invalid(&[&wrong])),
        Ok(body) => {
            let wrong = body.wrong();
            if !wrong.is_empty() {
                call.refuse(invalid(&wrong));
            }
        }
    }
    call
}

impl Body {
    fn wrong(&self) -> Vec<&'static str> {
        let text = |value: &Option<Value>| given(value.as_ref().and_then(Value::as_str)).is_some();
        let checks = [
            (text(&self.message), "The message field is required."),
            (text(&self.kind), "The type field is required."),
            (
                self.params.as_ref().is_some_and(Value::is_object),
                "The params field is required.",
            ),
        ];
        checks
            .into_iter()
            .filter_map(|(right, words)| (!right).then_some(words))
            .collect()
    }
}

pub(crate) fn error(status: StatusCode, words: &str) -> Answer {
    Answer::value(
        status,
        &json!({"status": status.as_u16(), "message": words}),
    )
}

fn invalid(errors: &[&str]) -> Refusal {
    // The trailing blank is the page's.
    let body = json!({"status": 422, "message": "Validation Error ", "errors": errors});
    Refusal {
        why: errors.join(" ").into(),
        answer: Answer::value(StatusCode::UNPROCESSABLE_ENTITY, &body),
    }
}

/// 200: accepted and pending.
pub(crate) fn accepted(call: &Call, id: u64, at: Moment, shape: Shape) -> Answer {
    let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let mut data = json!({
        "id": id.to_string(), "device_id": "5", "from_number": "6281776521626", "to_number": &*call.destination,
        "type": body["type"], "msg_type": "outgoing", "body": body["message"], "status": "PENDING", "file_url": null,
        "file_caption": body["message"], "created_at": at.rfc3339(), "params": null, "wa_id": null, "retry": 0,
        "failed_reason": null, "file_name": null, "file_size": null, "file_mime": null, "updated_at": null,
    });
    match shape {
        Shape::Page => Answer::value(
            StatusCode::OK,
            &json!({"status": 200, "message": "OK", "data": data}),
        ),
        Shape::Other => {
            data["id"] = format!("msg_{id}").into();
            Answer::value(
                StatusCode::OK,
                &json!({"code": 200, "message": "OK", "data": data}),
            )
        }
    }
}
