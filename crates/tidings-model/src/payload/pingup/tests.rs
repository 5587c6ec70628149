use serde_json::json;

use super::*;
use crate::{Provider, payload::tests::refused};

#[test]
fn pingup_needs_a_client_and_for_text_a_text() {
    assert_eq!(
        refused(Provider::Pingup, &json!({ "text_message": "Hi" })),
        "payload.client: is required, or `client_phone` in its place"
    );
    assert_eq!(
        Text::to_client("c").build().unwrap_err().to_string(),
        "payload.text_message: is required"
    );
    let template = json!({ "client": "c", "message_type": "template" }).to_string();
    assert!(Payload::parse(Provider::Pingup, &template).is_ok());
    let phone = Text::to_phone("39")
        .client_name("Jon")
        .text_message("Hi")
        .build()
        .unwrap();
    assert_eq!(phone.destination(), "39");
}

#[test]
fn a_pingup_delay_is_kept_as_it_was_written() {
    let text = Text::to_client("c")
        .text_message("Hi")
        .delay("90s".parse().unwrap())
        .build()
        .unwrap();
    assert_eq!(serde_json::to_value(&text).unwrap()["delay"], "90s");
    let error = refused(
        Provider::Pingup,
        &json!({ "client": "c", "text_message": "Hi", "delay": "0s" }),
    );
    assert!(
        error.starts_with("payload.delay: delay \"0s\" is no delay")
            && error.contains("s, m, h, d, w, M, y"),
        "{error}"
    );
}
