use std::collections::HashSet;

use serde_json::{Value, json};
use tidings_sandbox::{Config, Fault, Faults, On, Operation, Provider, Sandbox};

use crate::client::{Answered, Asking, delete, get, post};

pub(crate) async fn sandbox() -> Sandbox {
    Sandbox::start(Config::default()).await.unwrap()
}

pub(crate) fn message(sandbox: &Sandbox, group: &str, guid: &str) -> Asking {
    let body = json!({"message": {"source_guid": guid, "text": format!("this is {guid}"), "attachments": []}});
    posted(sandbox, group, &body)
}

fn posted(sandbox: &Sandbox, group: &str, body: &Value) -> Asking {
    post(sandbox, &format!("/groupme/groups/{group}/messages"))
        .header("X-Access-Token", "ops-token")
        .json(body)
}

fn index(sandbox: &Sandbox, query: &str) -> Asking {
    get(sandbox, &format!("/groupme/groups/42/messages?{query}"))
        .header("X-Access-Token", "ops-token")
}

fn guids(answer: &Answered) -> Vec<String> {
    let body = answer.json();
    let messages = body["response"]["messages"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    messages
        .iter()
        .map(|message| {
            message["source_guid"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

#[tokio::test]
async fn a_message_is_created_as_the_page_shows_it() {
    let sandbox = sandbox().await;
    let answer = message(&sandbox, "42", "g1").answer().await;
    assert_eq!(answer.status, 201);
    assert!(answer.header("date").is_some());
    let body = answer.json();
    assert_eq!(body["meta"], json!({"code": 201, "errors": null}));
    let message = &body["response"]["message"];
    assert_eq!(
        (&message["source_guid"], &message["group_id"]),
        (&json!("g1"), &json!("42"))
    );
    assert_eq!(
        (&message["text"], &message["attachments"]),
        (&json!("this is g1"), &json!([]))
    );
    assert!(
        message["created_at"].is_u64() && message["id"].is_string(),
        "{message}"
    );
    assert_eq!(sandbox.received()[0].id, message["id"].as_str().unwrap());
}

#[tokio::test]
async fn the_token_may_be_in_the_query_and_must_be_somewhere() {
    let sandbox = sandbox().await;
    let body = json!({"message": {"source_guid": "g", "text": "t"}});
    let in_query = post(&sandbox, "/groupme/groups/1/messages?token=ops-token")
        .json(&body)
        .answer()
        .await;
    assert_eq!(in_query.status, 201);
    let nowhere = post(&sandbox, "/groupme/groups/1/messages")
        .json(&body)
        .answer()
        .await;
    assert_eq!(nowhere.status, 401);
    assert_eq!(nowhere.json()["response"], Value::Null);
    assert_eq!(sandbox.refused()[0].status, Some(401));
}

#[tokio::test]
async fn what_the_page_forbids_is_refused_in_words() {
    let sandbox = sandbox().await;
    let long = "é".repeat(1001);
    for (message, words) in [
        (json!({"text": "no guid"}), "source_guid"),
        (
            json!({"source_guid": "", "text": "empty guid"}),
            "source_guid",
        ),
        (json!({"source_guid": "g"}), "text is required"),
        (json!({"source_guid": "g", "text": long}), "1001"),
        (
            json!({"source_guid": "g", "attachments": [{"url": "x"}]}),
            "attachments[0]: type",
        ),
        (
            json!({"source_guid": "g", "attachments": [{"type": "image", "url": "https://example.org/"}]}),
            "image service",
        ),
        (
            json!({"source_guid": "g", "attachments": [{"type": "location", "lat": 1, "lng": 2}]}),
            "strings",
        ),
        (
            json!({"source_guid": "g", "attachments": [{"type": "emoji", "placeholder": "x", "charmap": [[1]]}]}),
            "charmap",
        ),
    ] {
        let answer = posted(&sandbox, "42", &json!({"message": message}))
            .answer()
            .await;
        assert_eq!(answer.status, 400, "{message}");
        assert!(
            answer.json()["meta"]["errors"][0]
                .as_str()
                .unwrap()
                .contains(words),
            "{message}: {}",
            answer.body
        );
    }
    assert_eq!(
        posted(&sandbox, "42", &json!({})).answer().await.status,
        400
    );
    assert!(sandbox.received().is_empty());
}

#[tokio::test]
async fn text_may_be_absent_with_an_attachment() {
    let sandbox = sandbox().await;
    let image = json!({"type": "image", "url": "https://i.groupme.com/123456789"});
    let body = json!({"message": {"source_guid": "g", "attachments": [image]}});
    assert_eq!(
        posted(&sandbox, "42", &body).answer().await.json()["response"]["message"]["attachments"]
            [0],
        image
    );
}

#[tokio::test]
async fn the_same_guid_in_a_group_within_a_minute_is_a_conflict() {
    let sandbox = sandbox().await;
    assert_eq!(message(&sandbox, "42", "g").answer().await.status, 201);
    let again = message(&sandbox, "42", "g").answer().await;
    assert_eq!(
        (again.status, again.json()["meta"]["code"].as_u64()),
        (409, Some(409))
    );
    assert_eq!(message(&sandbox, "43", "g").answer().await.status, 201);
    assert_eq!(sandbox.received().len(), 2);
}

#[tokio::test]
async fn the_index_is_paged_back_without_gap_or_repeat() {
    let sandbox = sandbox().await;
    assert_eq!(index(&sandbox, "").answer().await.status, 304);
    for n in 0..45 {
        message(&sandbox, "42", &format!("g{n}")).answer().await;
        message(&sandbox, "other", &format!("o{n}")).answer().await;
    }
    let mut seen = Vec::new();
    let mut query = String::new();
    loop {
        let page = index(&sandbox, &query).answer().await;
        if page.status == 304 {
            assert_eq!(page.body, "");
            break;
        }
        assert_eq!(page.json()["response"]["count"], 45);
        let messages = page.json()["response"]["messages"]
            .as_array()
            .cloned()
            .unwrap();
        query = format!(
            "before_id={}",
            messages.last().unwrap()["id"].as_str().unwrap()
        );
        seen.extend(guids(&page));
    }
    let newest_first: Vec<_> = (0..45).rev().map(|n| format!("g{n}")).collect();
    assert_eq!(seen, newest_first);
}

#[tokio::test]
async fn since_skips_and_after_does_not() {
    let sandbox = sandbox().await;
    let mut ids = Vec::new();
    for n in 0..6 {
        let answer = message(&sandbox, "42", &format!("g{n}"))
            .answer()
            .await
            .json();
        ids.push(
            answer["response"]["message"]["id"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    let since = index(&sandbox, &format!("limit=2&since_id={}", ids[1]))
        .answer()
        .await;
    assert_eq!(guids(&since), ["g5", "g4"]);
    let after = index(&sandbox, &format!("limit=2&after_id={}", ids[1]))
        .answer()
        .await;
    assert_eq!(guids(&after), ["g2", "g3"]);
    assert_eq!(index(&sandbox, "limit=many").answer().await.status, 400);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 6);
}

#[tokio::test]
async fn a_page_has_a_hundred_messages_at_most() {
    let sandbox = sandbox().await;
    for n in 0..101 {
        message(&sandbox, "42", &format!("g{n}")).answer().await;
    }
    assert_eq!(
        guids(&index(&sandbox, "limit=1000").answer().await).len(),
        100
    );
    assert_eq!(guids(&index(&sandbox, "").answer().await).len(), 20);
}

#[tokio::test]
async fn a_deleted_message_leaves_the_index_and_stays_in_the_book() {
    let sandbox = sandbox().await;
    message(&sandbox, "42", "kept").answer().await;
    message(&sandbox, "42", "deleted").answer().await;
    let path = format!(
        "/groupme/conversations/42/messages/{}",
        sandbox.received()[1].id
    );
    let deleting = delete(&sandbox, &path).header("X-Access-Token", "ops-token");
    assert_eq!(deleting.answer().await.status, 204);
    assert_eq!(deleting.answer().await.status, 404);
    assert_eq!(guids(&index(&sandbox, "").answer().await), ["kept"]);
    let book = sandbox.received();
    assert_eq!(
        (book[0].deleted_at.is_some(), book[1].deleted_at.is_some()),
        (false, true)
    );
}

#[tokio::test]
async fn a_token_has_a_user_of_its_own() {
    let sandbox = sandbox().await;
    let me = |token: &str| get(&sandbox, "/groupme/users/me").header("X-Access-Token", token);
    let (one, two) = (
        me("one").answer().await.json(),
        me("two").answer().await.json(),
    );
    assert!(one["response"]["id"].is_string() && one["response"]["id"] != two["response"]["id"]);
    assert_eq!(
        get(&sandbox, "/groupme/users/me").answer().await.status,
        401
    );
}

#[tokio::test]
async fn the_other_shape_is_without_the_envelope() {
    let sandbox = sandbox().await;
    sandbox.set_faults(Faults::none().fault(Fault::other_shape().on(Provider::GroupMe)));
    let sent = message(&sandbox, "42", "g").answer().await;
    assert_eq!(
        (sent.status, &sent.json()["message"]["source_guid"]),
        (201, &json!("g"))
    );
    assert_eq!(
        index(&sandbox, "").answer().await.json()["messages"][0]["source_guid"],
        "g"
    );
}

#[tokio::test]
async fn a_fault_may_strike_the_index_alone() {
    let sandbox = sandbox().await;
    let look_ups = On::from(Provider::GroupMe).operation(Operation::Index);
    sandbox.set_faults(Faults::none().fault(Fault::status(403).on(look_ups)));
    assert_eq!(message(&sandbox, "42", "g").answer().await.status, 201);
    assert_eq!(index(&sandbox, "").answer().await.status, 403);
}

#[tokio::test]
async fn clocks_that_are_ahead_show_in_date_and_created_at() {
    let sandbox = sandbox().await;
    let there = async || {
        let answer = message(&sandbox, "42", "g").answer().await;
        let created_at = answer.json()["response"]["message"]["created_at"]
            .as_u64()
            .unwrap();
        let date = httpdate::parse_http_date(answer.header("date").unwrap()).unwrap();
        let date = date
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        (created_at, date)
    };
    sandbox.set_faults(Faults::none().clock_ahead_ms(3_600_000));
    let (created_at, date) = there().await;
    let here = sandbox.received()[0].at_ms / 1000;
    assert_eq!((created_at - here, date - here), (3600, 3600));
}
