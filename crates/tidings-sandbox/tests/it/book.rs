use serde_json::{Value, json};
use tidings_sandbox::{Config, Sandbox, Summary, fingerprint};

use crate::client::{delete, get, post};
use crate::groupme::{message, sandbox};

async fn book(sandbox: &Sandbox, query: &str) -> Value {
    get(sandbox, &format!("/received{query}"))
        .answer()
        .await
        .json()
}

fn guids(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["source_guid"].as_str().unwrap_or_default())
        .collect()
}

#[tokio::test]
async fn the_book_tells_what_was_accepted_and_what_was_refused() {
    let sandbox = sandbox().await;
    message(&sandbox, "42", "g")
        .header("traceparent", "00-abc-def-01")
        .answer()
        .await;
    message(&sandbox, "42", "g").answer().await;
    let book = book(&sandbox, "").await;
    let entry = &book["received"][0];
    assert_eq!(
        (&entry["provider"], &entry["destination"]),
        (&json!("groupme"), &json!("42"))
    );
    assert_eq!(
        (&entry["traceparent"], &entry["source_guid"]),
        (&json!("00-abc-def-01"), &json!("g"))
    );
    assert_eq!(entry["body"]["message"]["text"], "this is g");
    assert_eq!(entry["account"], fingerprint("ops-token"));
    assert!(!book.to_string().contains("ops-token"));
    let at: jiff::Timestamp = entry["at"].as_str().unwrap().parse().unwrap();
    assert_eq!(Some(at.as_millisecond()), entry["at_ms"].as_i64());
    assert_eq!(
        (
            &book["refused"][0]["status"],
            &book["refused"][0]["source_guid"]
        ),
        (&json!(409), &json!("g"))
    );
    assert_eq!(
        (&book["summary"]["received"], &book["summary"]["refused"]),
        (&json!(1), &json!(1))
    );
}

#[tokio::test]
async fn the_book_is_read_by_provider_account_destination_and_time() {
    let sandbox = sandbox().await;
    for (group, guid) in [("1", "a"), ("2", "b"), ("1", "c")] {
        message(&sandbox, group, guid).answer().await;
    }
    let body = json!({"message_type": "text", "client": "1", "text_message": "t"});
    post(&sandbox, "/pingup/acme/messages")
        .bearer("p")
        .json(&body)
        .answer()
        .await;
    for (query, expected) in [
        ("?provider=groupme", vec!["a", "b", "c"]),
        ("?account=ops-token&destination=1", vec!["a", "c"]),
        ("?destination=1", vec!["a", "c", ""]),
        ("?after=1&provider=groupme", vec!["c"]),
        ("?limit=2", vec!["a", "b"]),
        ("?since=2100-01-01T00:00:00Z", vec![]),
        ("?since=1000", vec!["a", "b", "c", ""]),
    ] {
        assert_eq!(
            guids(&book(&sandbox, query).await["received"]),
            expected,
            "{query}"
        );
    }
    for query in ["?sicne=1", "?since=yesterday", "?provider=telegram"] {
        assert_eq!(
            get(&sandbox, &format!("/received{query}"))
                .answer()
                .await
                .status,
            400,
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_book_of_thousands_is_read_whole() {
    let sandbox = sandbox().await;
    for n in 0..1201 {
        message(&sandbox, "42", &format!("g{}", n / 2))
            .answer()
            .await;
    }
    let book = book(&sandbox, "").await;
    let numbers = |list: &Value| {
        list.as_array()
            .unwrap()
            .iter()
            .map(|it| it["number"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(&book["received"]), (0..601).collect::<Vec<_>>());
    assert_eq!(numbers(&book["refused"]), (0..600).collect::<Vec<_>>());
}

#[tokio::test]
async fn emptying_the_book_forgets_groups_and_figures() {
    let sandbox = sandbox().await;
    message(&sandbox, "42", "g").answer().await;
    assert_eq!(delete(&sandbox, "/received").answer().await.status, 204);
    assert_eq!(
        (sandbox.received().len(), sandbox.summary().tally.calls),
        (0, 0)
    );
    assert_eq!(message(&sandbox, "42", "g").answer().await.status, 201);
}

#[tokio::test]
async fn the_summary_over_http_is_the_one_of_the_library() {
    let sandbox = sandbox().await;
    message(&sandbox, "42", "g").answer().await;
    let body = get(&sandbox, "/received/summary").answer().await.body;
    assert_eq!(
        serde_json::from_str::<Summary>(&body).unwrap(),
        sandbox.summary()
    );
}

#[tokio::test]
async fn a_message_recorded_again_is_a_repeat() {
    let sandbox = sandbox().await;
    let body = json!({"message_type": "text", "client": "1", "text_message": "t"});
    for token in ["p", "p", "q"] {
        post(&sandbox, "/pingup/acme/messages")
            .bearer(token)
            .json(&body)
            .answer()
            .await;
    }
    assert_eq!(
        (
            sandbox.summary().tally.received,
            sandbox.summary().tally.repeats
        ),
        (3, 1)
    );
}

#[tokio::test]
async fn without_room_bodies_are_measured_and_not_kept() {
    let sandbox = Sandbox::start(Config {
        room_for_bodies: 0,
        ..Config::default()
    })
    .await
    .unwrap();
    let sent = message(&sandbox, "42", "g").answer().await.json();
    assert_eq!(sent["response"]["message"]["text"], "this is g");
    let entry = &sandbox.received()[0];
    assert_eq!((entry.body.is_none(), entry.body_bytes > 0), (true, true));
}
