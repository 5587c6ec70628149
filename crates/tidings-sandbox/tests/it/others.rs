use serde_json::{Value, json};
use tidings_sandbox::{Config, Fault, Faults, Provider, Sandbox};

use crate::client::{Asking, post};
use crate::groupme::sandbox;

fn whatspie(sandbox: &Sandbox, body: &Value) -> Asking {
    post(sandbox, "/whatspie/groups/495/send")
        .bearer("wp-token")
        .json(body)
}

fn raven(sandbox: &Sandbox, body: &Value) -> Asking {
    post(sandbox, "/raven/message:send")
        .bearer("raven-token")
        .json(body)
}

fn pingup(sandbox: &Sandbox, body: &Value) -> Asking {
    post(sandbox, "/pingup/acme/messages")
        .bearer("pingup-token")
        .json(body)
}

fn grupo(sandbox: &Sandbox, more: &[(&str, &str)], file: Option<(&str, &[u8])>) -> Asking {
    let fields = [
        ("api_secret_key", "grupo-token"),
        ("add", "message"),
        ("user", "jane"),
        ("sender", "bot"),
    ];
    post(sandbox, "/grupo/api_request/").form(&[&fields, more].concat(), file)
}

fn persona() -> Value {
    let contact = json!({"type": "whatsapp", "name": "Main Contact", "key": "+6285174314159"});
    json!({"username": "ops", "topic": {"type": "persona", "name": "Test"},
        "recipient": [{"name": "Ginalne", "contact": [contact]}], "message": "Hello 🚀"})
}

#[tokio::test]
async fn whatspie_accepts_and_answers_as_its_page() {
    let sandbox = sandbox().await;
    let answer = whatspie(
        &sandbox,
        &json!({"message": "Hello", "type": "chat", "params": {"text": "Hello"}}),
    )
    .answer()
    .await;
    assert_eq!(
        (answer.status, &answer.json()["status"]),
        (200, &json!(200))
    );
    assert_eq!(answer.json()["data"]["status"], "PENDING");
    let book = sandbox.received();
    assert_eq!(
        (book[0].provider, book[0].destination.as_str()),
        (Provider::WhatsPie, "495")
    );
    assert_eq!(answer.json()["data"]["id"], book[0].id);
}

#[tokio::test]
async fn whatspie_names_every_missing_field_at_once() {
    let sandbox = sandbox().await;
    let answer = whatspie(&sandbox, &json!({"type": "chat"})).answer().await;
    let errors = [
        "The message field is required.",
        "The params field is required.",
    ];
    assert_eq!(
        answer.json(),
        json!({"status": 422, "message": "Validation Error ", "errors": errors})
    );
    assert_eq!(answer.status, 422);
}

#[tokio::test]
async fn whatspie_has_another_envelope() {
    let sandbox = sandbox().await;
    sandbox.set_faults(Faults::none().fault(Fault::other_shape()));
    let answer = whatspie(
        &sandbox,
        &json!({"message": "m", "type": "chat", "params": {}}),
    )
    .answer()
    .await
    .json();
    assert_eq!(answer["code"], 200);
    assert!(
        answer["data"]["id"].as_str().unwrap().starts_with("msg_"),
        "{answer}"
    );
}

#[tokio::test]
async fn raven_answers_with_the_number_of_the_chat() {
    let sandbox = sandbox().await;
    let answer = raven(&sandbox, &persona()).answer().await;
    assert_eq!(
        (answer.status, &answer.json()["notification"]),
        (200, &json!("Chat Sent Successfully"))
    );
    let book = sandbox.received();
    assert_eq!(
        answer.json()["data"].as_u64().unwrap().to_string(),
        book[0].id
    );
    assert_eq!(book[0].destination, "+6285174314159");
}

#[tokio::test]
async fn raven_refuses_in_the_words_of_its_page() {
    let sandbox = sandbox().await;
    let with = |pointer: &str, value: Value| {
        let mut body = persona();
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let one = persona()["recipient"][0].clone();
    for (body, status, words) in [
        (with("/username", json!("")), 404, "User is not found!"),
        (
            with("/recipient", json!([])),
            404,
            "Recipients must have at least one.",
        ),
        (
            with("/topic/type", json!("choir")),
            404,
            "Topic Type is invalid!",
        ),
        (
            with("/recipient", json!([one, one])),
            400,
            "Persona Topic-type recipients are only allowed one.",
        ),
        (
            with("/recipient/0/contact", json!([])),
            400,
            "The Recipient index 0 must have at least one contact.",
        ),
        (
            with("/recipient/0/contact/0/type", json!("")),
            400,
            "Invalid ContactType at recipient index 0 and contact index 0.",
        ),
        (
            with("/message", json!("x".repeat(4097))),
            400,
            "message has 4097 characters, and at most 4096 are allowed",
        ),
    ] {
        let answer = raven(&sandbox, &body).answer().await;
        assert_eq!(
            (answer.status, &answer.json()["message"]),
            (status, &json!(words))
        );
    }
    let mut group = with("/recipient", json!([one, one]));
    group["topic"]["type"] = json!("group");
    assert_eq!(
        raven(&sandbox, &group).answer().await.json()["message"],
        "Group as recipients are only allowed one."
    );
    assert_eq!(sandbox.summary().provider(Provider::Raven).refused, 8);
}

#[tokio::test]
async fn pingup_records_when_it_will_deliver() {
    let sandbox = sandbox().await;
    let body = json!({"message_type": "text", "client": "c1", "text_message": "t", "delay": "2h"});
    let answer = pingup(&sandbox, &body).answer().await;
    assert_eq!(answer.json()["success"], true);
    let book = sandbox.received();
    assert_eq!(answer.json()["data"]["message_id"], book[0].id);
    assert_eq!(book[0].deliver_at_ms, Some(book[0].at_ms + 7_200_000));
    assert_eq!(book[0].destination, "c1");
}

#[tokio::test]
async fn pingup_refuses_what_its_page_does_not_have() {
    let sandbox = sandbox().await;
    for (body, words) in [
        (json!({"client": "c", "text_message": "t"}), "message_type"),
        (
            json!({"message_type": "text", "text_message": "t"}),
            "client",
        ),
        (
            json!({"message_type": "text", "client": "c"}),
            "text_message",
        ),
        (
            json!({"message_type": "text", "client": "c", "text_message": "t", "delay": "1h30m"}),
            "delay",
        ),
    ] {
        let answer = pingup(&sandbox, &body).answer().await;
        assert_eq!(
            (answer.status, &answer.json()["success"]),
            (400, &json!(false))
        );
        assert!(answer.body.contains(words), "{}", answer.body);
    }
    assert!(sandbox.received().is_empty());
}

#[tokio::test]
async fn bearer_providers_want_a_token_and_json() {
    let sandbox = sandbox().await;
    for path in [
        "/whatspie/groups/1/send",
        "/raven/message:send",
        "/pingup/acme/messages",
    ] {
        assert_eq!(
            post(&sandbox, path).json(&persona()).answer().await.status,
            401,
            "{path}"
        );
        let no_type = post(&sandbox, path)
            .bearer("t")
            .raw(persona().to_string())
            .answer()
            .await;
        assert!(
            [400, 422].contains(&no_type.status) && no_type.body.contains("content type"),
            "{path}: {no_type:?}"
        );
    }
}

#[tokio::test]
async fn grupo_takes_a_form_with_a_file_and_keeps_its_key_to_itself() {
    let sandbox = sandbox().await;
    let answer = grupo(
        &sandbox,
        &[("message", "hi &amp; bye")],
        Some(("a.png", &[7; 3000])),
    )
    .answer()
    .await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"success": true}))
    );
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    let book = sandbox.received();
    let part = |name: &str| book[0].parts.iter().find(|part| part.name == name).unwrap();
    assert_eq!(part("message").text.as_deref(), Some("hi &amp; bye"));
    assert_eq!(
        (
            part("file_attachments").size,
            part("file_attachments").file_name.as_deref()
        ),
        (3000, Some("a.png"))
    );
    assert!(!part("file_attachments").swallowed);
    assert_eq!(
        (part("api_secret_key").size, &part("api_secret_key").text),
        (11, &None)
    );
    assert_eq!(book[0].destination, "jane");
}

#[tokio::test]
async fn grupo_loses_the_file_where_gif_url_is_empty() {
    let sandbox = sandbox().await;
    grupo(
        &sandbox,
        &[("message", "m"), ("gif_url", "")],
        Some(("a.png", b"png")),
    )
    .answer()
    .await;
    assert!(
        sandbox.received()[0]
            .parts
            .iter()
            .any(|part| part.swallowed)
    );
}

#[tokio::test]
async fn grupo_says_everything_with_status_200() {
    let sandbox = sandbox().await;
    let no_message = grupo(&sandbox, &[], None).answer().await;
    assert_eq!(
        (no_message.status, &no_message.json()["error_key"]),
        (200, &json!("empty_message"))
    );
    let gif = grupo(
        &sandbox,
        &[("message", "m"), ("gif_url", "https://example.org/x.gif")],
        None,
    )
    .answer()
    .await;
    assert_eq!((gif.status, &gif.json()["success"]), (200, &json!(false)));
    let no_key = post(&sandbox, "/grupo/api_request/")
        .form(&[("add", "message")], None)
        .answer()
        .await;
    assert_eq!(
        (no_key.status, &no_key.json()["error_key"]),
        (200, &json!("invalid_api_secret_key"))
    );
    let other = post(&sandbox, "/grupo/api_request/")
        .form(&[("api_secret_key", "k"), ("add", "user")], None)
        .answer()
        .await;
    assert_eq!((other.status, other.json()), (200, json!([])));
    assert!(sandbox.received().is_empty());
}

#[tokio::test]
async fn the_slash_of_grupo_matters() {
    let sandbox = sandbox().await;
    let answer = post(&sandbox, "/grupo/api_request")
        .form(&[("add", "message")], None)
        .answer()
        .await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (301, Some("/grupo/api_request/"))
    );
}

#[tokio::test]
async fn a_wrong_path_is_in_the_book() {
    let sandbox = sandbox().await;
    assert_eq!(
        post(&sandbox, "/groupme/v3/groups/1/messages")
            .answer()
            .await
            .status,
        404
    );
    assert_eq!(
        sandbox.refused()[0].destination,
        "/groupme/v3/groups/1/messages"
    );
}

#[tokio::test]
async fn a_body_beyond_all_limits_is_refused() {
    let sandbox = Sandbox::start(Config::default()).await.unwrap();
    let huge = vec![b'x'; (16 << 20) + 1];
    let answer = post(&sandbox, "/whatspie/groups/1/send")
        .bearer("t")
        .raw(huge)
        .send()
        .await;
    // The server may close before all of it is written, and then the client sees that.
    assert!(answer.map_or(true, |answer| answer.status == 413));
    assert_eq!(sandbox.refused()[0].status, Some(413));
}
