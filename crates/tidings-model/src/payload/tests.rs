use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    groupme::Text as Groupme, grupo::File, grupo::Text as Grupo, pingup::Text as Pingup, *,
};

const SUNSHINE: [(Provider, &str); 7] = [
    (
        Provider::Groupme,
        r#"{"group_id":"1234567","text":"Deploy finished","source_guid":"GUID"}"#,
    ),
    (
        Provider::Groupme,
        r#"{"group_id":"1","attachments":[{"type":"image","url":"https://i.groupme.com/123456789"},{"type":"location","lat":"40.738206","lng":"-73.993285","name":"GroupMe HQ"},{"type":"split","token":"SPLIT_TOKEN"},{"type":"emoji","placeholder":"","charmap":[[1,42],[2,34]]},{"type":"reply","reply_id":"7","base_reply_id":"6"},{"type":"video","url":"https://v.groupme.com/1","preview_url":"https://v.groupme.com/1.jpg"},{"type":"file","file_id":"f-1"},{"type":"poll","poll_id":1.10,"deep":{"z":[1],"a":null}}]}"#,
    ),
    (
        Provider::Whatspie,
        r#"{"group_id":"495","message":"Hello","type":"chat","params":{"text":"Hello @62856123456","mentions":["62856123456@s.whatsapp.net"]}}"#,
    ),
    (
        Provider::Grupo,
        r#"{"group":"7","sender":"bot","message":"Hi","gif_url":"https://media.tenor.com/x.gif","file_attachments":[{"name":"a.txt","content_type":"text/plain","data":"aGk="}]}"#,
    ),
    (
        Provider::Raven,
        r#"{"username":"your_username","topic":{"type":"persona","name":"Test Message Bot"},"recipient":[{"name":"Ginalne Official","contact":[{"type":"whatsapp","name":"Main Contact","key":"+6285174314159"}]}],"message":"Hello! This is a message from Raven 🚀"}"#,
    ),
    (
        Provider::Pingup,
        r#"{"message_type":"text","client":"client_id","client_phone":"3931212321","client_name":"Jon doe","text_message":"Text message to send","delay":"1m"}"#,
    ),
    (
        Provider::Pingup,
        r#"{"client_phone":"3931212321","text_message":"Hi"}"#,
    ),
];

/// What is wrong with a payload.
pub(super) fn refused(provider: Provider, json: &Value) -> String {
    Payload::parse(provider, &json.to_string())
        .unwrap_err()
        .to_string()
}

/// What is wrong with a payload for a GroupMe group.
pub(super) fn refused_groupme(mut json: Value) -> String {
    json["group_id"] = "1".into();
    refused(Provider::Groupme, &json)
}

#[test]
fn the_pages_own_examples_come_back_as_they_were() {
    for (provider, json) in SUNSHINE {
        let payload = Payload::parse(provider, json).unwrap();
        assert_eq!(payload.provider(), provider);
        assert_eq!(serde_json::to_string(&payload).unwrap(), json);
    }
}

#[test]
fn an_unknown_field_is_refused_by_its_name() {
    for (provider, json) in SUNSHINE {
        let mut json: Value = serde_json::from_str(json).unwrap();
        json["txet"] = "lost?".into();
        let error = refused(provider, &json);
        assert!(
            error.starts_with("payload.txet: unknown field `txet`, expected"),
            "{error}"
        );
    }
}

#[test]
fn an_unknown_field_deep_inside_is_refused_by_its_path() {
    let mut raven: Value = serde_json::from_str(SUNSHINE[4].1).unwrap();
    raven["recipient"][0]["contact"][0]["kee"] = "1".into();
    let error = refused(Provider::Raven, &raven);
    assert!(
        error.starts_with("payload.recipient[0].contact[0].kee: unknown field `kee`"),
        "{error}"
    );

    let error = refused_groupme(
        json!({ "attachments": [{ "type": "image", "url": "https://x", "ulr": 1 }] }),
    );
    assert!(
        error.starts_with("payload.attachments[0]") && error.contains("unknown field `ulr`"),
        "{error}"
    );
}

#[test]
fn an_absent_field_is_named() {
    assert_eq!(
        refused(Provider::Groupme, &json!({ "text": "Hi" })),
        "payload.group_id: is required"
    );
    assert_eq!(
        refused(Provider::Whatspie, &json!({ "group_id": "1" })),
        "payload.message: is required"
    );
    let raven =
        json!({ "username": "u", "topic": { "type": "mass" }, "recipient": [], "message": "m" });
    assert_eq!(
        refused(Provider::Raven, &raven),
        "payload.topic.name: is required"
    );
}

#[test]
fn an_empty_field_is_as_good_as_absent() {
    for (provider, json) in SUNSHINE {
        let json: Value = serde_json::from_str(json).unwrap();
        for (field, _) in json
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, value)| value.is_string())
        {
            let mut json = json.clone();
            json[field] = "".into();
            let error = refused(provider, &json);
            assert!(error.starts_with(&format!("payload.{field}: ")), "{error}");
        }
    }
}

#[test]
fn a_field_of_the_wrong_type_is_named_without_a_flood_of_it() {
    let error = refused(
        Provider::Raven,
        &json!({ "username": ["x".repeat(10_000)] }),
    );
    assert!(
        error.starts_with("payload.username: invalid type"),
        "{error}"
    );
    let error = refused_groupme(json!({ "attachments": ["x".repeat(10_000)] }));
    assert!(
        error.starts_with("payload.attachments[0]: invalid type") && error.len() < 400,
        "{error}"
    );
}

#[test]
fn what_is_no_json_object_is_refused() {
    for json in [
        "",
        "null",
        "[]",
        "3",
        "{",
        r#"{"group_id":"1","text":"a"} x"#,
    ] {
        let error = Payload::parse(Provider::Groupme, json).unwrap_err();
        assert!(error.field().starts_with("payload"), "{error}");
    }
}

#[test]
fn an_array_is_never_taken_for_an_object() {
    use Provider::{Groupme, Grupo, Pingup, Raven, Whatspie};
    const TOPIC: &str = r#""username":"u","message":"m","topic":{"type":"mass","name":"n"}"#;
    for (provider, field, json) in [
        (Grupo, "payload", r#"["u",null,"bot","hi",null,[]]"#.into()),
        (Whatspie, "payload", r#"["1","hi",null,null,null]"#.into()),
        (Groupme, "payload", r#"["1","hi",[],null]"#.into()),
        (
            Raven,
            "payload",
            r#"["u",{"type":"mass","name":"n"},[],"m"]"#.into(),
        ),
        (
            Pingup,
            "payload",
            r#"["text","c",null,null,"hi",null]"#.into(),
        ),
        (
            Grupo,
            "payload.file_attachments[0]",
            r#"{"user":"u","sender":"bot","message":"m","file_attachments":[["a","a/b","aGk="]]}"#
                .into(),
        ),
        (
            Groupme,
            "payload.attachments[0]",
            r#"{"group_id":"1","attachments":[["image","https://x"]]}"#.into(),
        ),
        (
            Raven,
            "payload.topic",
            r#"{"username":"u","message":"m","topic":["mass","n"],"recipient":[]}"#.into(),
        ),
        (
            Raven,
            "payload.recipient[0]",
            format!(r#"{{{TOPIC},"recipient":[["r",[{{"type":"t","name":"n","key":"1"}}]]]}}"#),
        ),
        (
            Raven,
            "payload.recipient[0].contact[0]",
            format!(r#"{{{TOPIC},"recipient":[{{"name":"r","contact":[["t","n","1"]]}}]}}"#),
        ),
    ] {
        let error = Payload::parse(provider, &json).expect_err(&json);
        assert_eq!(error.field(), field, "{error}");
        assert!(error.to_string().contains("expected an object"), "{error}");
    }
}

#[test]
fn each_provider_has_a_schema_that_refuses_unknown_fields() {
    let schema = schemars::schema_for!(Payload).to_value();
    for name in [
        "GrupoPayload",
        "WhatspiePayload",
        "GroupmePayload",
        "RavenPayload",
        "PingupPayload",
    ] {
        assert_eq!(
            schema["$defs"][name]["additionalProperties"], false,
            "{name}"
        );
    }
    assert_eq!(
        schema["$defs"]["GroupmePayload"]["required"],
        json!(["group_id"])
    );
    assert_eq!(
        schema["$defs"]["RavenPayload"]["required"],
        json!(["username", "topic", "recipient", "message"])
    );
}

fn any_provider() -> impl Strategy<Value = Provider> {
    prop::sample::select(&Provider::ALL[..])
}

/// A JSON value with the providers' own field names, mostly of the wrong shape.
fn any_json() -> impl Strategy<Value = Value> {
    const NAMES: [&str; 10] = [
        "group_id",
        "text",
        "attachments",
        "type",
        "url",
        "message",
        "recipient",
        "client",
        "topic",
        "x",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "image|mentions|poll|[a-zA-Z0-9é🚀\\n\"]{0,9}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(prop::sample::select(&NAMES[..]), inner, 0..6).prop_map(
                |map| Value::Object(
                    map.into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect()
                )
            ),
        ]
    })
}

proptest! {
    #[test]
    fn a_text_of_any_kind_survives_being_written(group_id in "[0-9a-z]{1,20}", text in "\\PC{1,300}", param in "\\PC{0,50}") {
        let built = [
            Groupme::to(&group_id).text(&text).build(),
            whatspie::Text::to(&group_id).message(&text).with_params(&json!({ "text": param })).build(),
            Grupo::to_group(&group_id).sender("bot").message(&text).file(File::new("f", "a/b", text.clone())).build(),
            Pingup::to_client(&group_id).text_message(&text).build(),
        ];
        for payload in built {
            let payload = payload.unwrap();
            let json = serde_json::to_string(&payload).unwrap();
            prop_assert_eq!(Payload::parse(payload.provider(), &json).unwrap(), payload);
        }
    }

    #[test]
    fn no_json_panics_and_what_is_taken_can_be_written_and_read(provider in any_provider(), json in any_json()) {
        match Payload::parse(provider, &json.to_string()) {
            Ok(payload) => {
                let json = serde_json::to_string(&payload).unwrap();
                prop_assert!(!json.contains('\n') && !payload.destination().is_empty());
                prop_assert_eq!(Payload::parse(provider, &json).unwrap(), payload);
            }
            Err(error) => prop_assert!(error.field().starts_with("payload")),
        }
    }

    #[test]
    fn no_text_panics(provider in any_provider(), text in ".{0,60}") {
        let _ = Payload::parse(provider, &text);
    }
}
