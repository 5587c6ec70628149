//! Whatever a provider answers: no panic, and nothing is taken for delivered without what its page demands.

use std::time::{Duration, SystemTime};

use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::select,
};
use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use serde_json::{Map, Value, json};
use tidings_model::{
    Provider,
    Verdict::{self, Delivered, Duplicate, NotSent},
};

use crate::{
    client::judge,
    groupme::index::Reading,
    reply::{End, Reply},
};

const NAMES: [&str; 19] = [
    "success",
    "data",
    "id",
    "message",
    "message_id",
    "response",
    "meta",
    "status",
    "code",
    "errors",
    "error",
    "error_key",
    "failed_reason",
    "alert",
    "refresh",
    "messages",
    "created_at",
    "source_guid",
    "notification",
];

const TEXTS: [&str; 12] = [
    "",
    "1",
    "m",
    "true",
    "false",
    "FAILED",
    "PENDING",
    "Device not connected",
    "not a member",
    "banned",
    "invalid_api_secret_key",
    "something_went_wrong",
];

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        select(vec![0, 1, 200, 201, 400, 403, 429, 500, i64::MAX, -1]).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(TEXTS.to_vec()).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map(select(NAMES.to_vec()), inner, 0..6).prop_map(|fields| Value::from_iter(
                fields
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
            )),
        ]
    })
}

/// Nearly what a provider says for a delivered message.
fn nearly_delivered() -> impl Strategy<Value = Value> {
    let bodies = vec![
        json!({"message": {"id": "1"}}),
        json!({"meta": {"code": 201}, "response": {"message": {"id": "1"}}}),
        json!({"status": 200, "message": "OK", "data": {"id": 1, "status": "PENDING", "failed_reason": null}}),
        json!({"success": true}),
        json!({"data": 7, "notification": "sent"}),
        json!({"success": true, "data": {"message_id": "m"}}),
    ];
    (
        select(bodies),
        proptest::option::of((select(NAMES.to_vec()), json())),
    )
        .prop_map(|(mut body, change)| {
            if let Some((name, value)) = change {
                body[name] = value;
            }
            body
        })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let text =
        prop_oneof![json(), nearly_delivered()].prop_map(|json| json.to_string().into_bytes());
    let around = || prop_oneof![8 => Just(Vec::new()), 1 => vec(any::<u8>(), 0..20), 1 => Just(b"<b>Warning</b> {".to_vec())];
    let wrapped = (around(), text, around()).prop_map(|parts| [parts.0, parts.1, parts.2].concat());
    let cut = (wrapped.clone(), any::<prop::sample::Index>()).prop_map(|(mut body, at)| {
        body.truncate(at.index(body.len() + 1));
        body
    });
    prop_oneof![6 => wrapped, 1 => cut, 1 => vec(any::<u8>(), 0..200)]
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let values = vec![
        "7",
        "0",
        "99999999999999999999",
        "-1",
        "Thu, 01 Jan 1970 00:01:30 GMT",
        "Mon, 99 Abc 0000",
        "soon",
    ];
    let value = prop_oneof![
        select(values).prop_map(HeaderValue::from_static),
        vec(32_u8..=255, 0..30)
            .prop_filter_map("a header", |bytes| HeaderValue::from_bytes(&bytes).ok()),
    ];
    vec((select(vec![RETRY_AFTER, DATE]), value), 0..3).prop_map(HeaderMap::from_iter)
}

fn reply() -> impl Strategy<Value = Reply> {
    let usual = vec![
        200, 201, 202, 204, 301, 304, 400, 401, 403, 404, 408, 409, 420, 422, 429, 500, 502, 503,
    ];
    let status = prop_oneof![4 => select(usual), 1 => 100_u16..=999];
    let end = select(vec![End::Whole, End::Whole, End::TooLong, End::BrokenOff]);
    (status, headers(), body(), end).prop_map(|(status, headers, body, end)| {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(10_000);
        Reply {
            status,
            headers,
            body,
            end,
            at,
        }
    })
}

fn is_id(value: &Value) -> bool {
    value.is_u64() || value.as_str().is_some_and(|id| !id.is_empty())
}

/// What the class table demands of a delivered message, read in another way than the code does.
fn demanded(provider: Provider, status: u16, body: &[u8]) -> bool {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let success = (200..300).contains(&status);
    match provider {
        Provider::Groupme => {
            status == 201
                && (is_id(&json["response"]["message"]["id"]) || is_id(&json["message"]["id"]))
        }
        Provider::Whatspie => {
            let agrees = |name: &str| {
                json[name]
                    .as_u64()
                    .is_some_and(|status| (200..300).contains(&status))
            };
            let failed = ["FAILED", "ERROR"]
                .map(Value::from)
                .contains(&json["data"]["status"]);
            success && (agrees("status") || agrees("code")) && is_id(&json["data"]["id"]) && !failed
        }
        Provider::Grupo => {
            let ends = (0..body.len()).filter_map(|start| {
                serde_json::from_slice::<Map<String, Value>>(&body[start..]).ok()
            });
            let yes = [Value::from(true), Value::from(1), Value::from("true")];
            status == 200
                && ends.into_iter().any(|end| {
                    end.get("success")
                        .is_some_and(|success| yes.contains(success))
                })
        }
        Provider::Raven => success && json["data"].is_number(),
        Provider::Pingup => {
            success && json["success"] == true && is_id(&json["data"]["message_id"])
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) })]

    #[test]
    fn nothing_is_taken_for_delivered_without_what_the_table_demands(
        provider in select(Provider::ALL.to_vec()),
        reply in reply(),
    ) {
        let answer = judge(provider, &reply);
        let body = String::from_utf8_lossy(&reply.body);
        if answer.verdict == Delivered {
            prop_assert!(demanded(provider, reply.status, &reply.body), "{provider} {} {body}", reply.status);
        }
        prop_assert_eq!(answer.error.is_none(), answer.verdict == Delivered);
        prop_assert_eq!(answer.verdict == Duplicate, provider == Provider::Groupme && reply.status == 409);
        prop_assert!(answer.verdict != NotSent || (provider == Provider::Whatspie && answer.pauses_lane));
        prop_assert!(reply.status < 500 || answer.verdict == Verdict::Unknown, "{provider} {}", reply.status);
        prop_assert!(answer.retry_after.is_none_or(|wait| !wait.is_zero() && wait.as_secs() <= 3600));
    }

    #[test]
    fn no_page_of_an_index_panics_or_shows_what_was_not_asked_for(replies in vec(reply(), 1..4)) {
        let mut reading = Reading::new("1970-01-01T02:30:00Z".parse().unwrap(), &["m", "1"]);
        for reply in &replies {
            if let std::ops::ControlFlow::Break(end) = reading.take(reply) {
                if let crate::groupme::index::End::Read(found) = end {
                    prop_assert!(found.keys().all(|guid| guid == "m" || guid == "1"));
                }
                break;
            }
        }
    }
}
