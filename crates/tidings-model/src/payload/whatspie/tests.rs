use serde_json::json;

use super::*;

#[test]
fn whatspie_counts_characters_and_fills_in_what_is_absent() {
    let Payload::Whatspie(text) = Text::to("495").message("ä".repeat(4096)).build().unwrap()
    else {
        panic!("a WhatsPie payload");
    };
    assert_eq!(text.kind(), "chat");
    assert_eq!(
        serde_json::to_value(text.params()).unwrap(),
        json!({ "text": text.message })
    );
    let error = Text::to("495")
        .message("ä".repeat(4097))
        .build()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "payload.message: has 4097 characters, at most 4096 are allowed"
    );
}

#[test]
fn whatspie_params_pass_through_unless_they_are_no_object() {
    let params = json!({ "text": "Hello @1", "anything": [1, { "deep": true }] });
    let payload = Text::to("1")
        .message("Hello")
        .with_params(&params)
        .build()
        .unwrap();
    assert_eq!(serde_json::to_value(&payload).unwrap()["params"], params);
    for params in [json!([]), json!("text"), json!(1)] {
        let error = Text::to("1")
            .message("Hello")
            .with_params(&params)
            .build()
            .unwrap_err();
        assert_eq!(error.to_string(), "payload.params: is not an object");
    }
}
