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
fn refused(provider: Provider, json: &Value) -> String {
    Payload::parse(provider, &json.to_string())
        .unwrap_err()
        .to_string()
}

fn groupme(mut json: Value) -> String {
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

    let error =
        groupme(json!({ "attachments": [{ "type": "image", "url": "https://x", "ulr": 1 }] }));
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
    let error = groupme(json!({ "attachments": ["x".repeat(10_000)] }));
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
fn a_groupme_text_has_at_most_1000_utf16_units() {
    // Each rocket is 4 bytes, one character and two units.
    for fits in ["a".repeat(1000), "ä".repeat(1000), "🚀".repeat(500)] {
        assert!(Groupme::to("1").text(fits).build().is_ok());
    }
    for (long, actual) in [
        ("a".repeat(1001), 1001),
        ("🚀".repeat(500) + "a", 1001),
        ("🚀".repeat(501), 1002),
    ] {
        let error = Groupme::to("1").text(long).build().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("payload.text: has {actual} UTF-16 units, at most 1000 are allowed")
        );
    }
}

#[test]
fn a_groupme_group_id_has_1_to_128_characters() {
    assert!(Groupme::to("ä".repeat(128)).text("Hi").build().is_ok());
    let error = Groupme::to("ä".repeat(129)).text("Hi").build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "payload.group_id: has 129 characters, at most 128 are allowed"
    );
    assert!(Groupme::to("").text("Hi").build().is_err());
}

#[test]
fn a_group_id_is_no_step_in_a_path() {
    for id in [".", ".."] {
        assert!(Groupme::to(id).text("Hi").build().is_err());
        assert!(whatspie::Text::to(id).message("Hi").build().is_err());
    }
}

#[test]
fn a_groupme_text_may_be_absent_with_an_attachment_only() {
    assert!(
        Groupme::to("1")
            .image("https://i.groupme.com/1")
            .build()
            .is_ok()
    );
    assert_eq!(
        Groupme::to("1").build().unwrap_err().to_string(),
        "payload.text: is required"
    );
    assert_eq!(
        groupme(json!({ "attachments": [] })),
        "payload.text: is required"
    );
}

#[test]
fn attachments_of_known_types_are_checked() {
    let refusals = [
        (json!({ "type": "image" }), "url: is required"),
        (
            json!({ "type": "image", "url": "file:///etc/passwd" }),
            "url: does not begin with https:// or http://",
        ),
        (
            json!({ "type": "location", "lat": "91", "lng": "0" }),
            "lat: is not a number of degrees from -90 to 90",
        ),
        (
            json!({ "type": "location", "lat": "1", "lng": "NaN" }),
            "lng: is not a number of degrees from -180 to 180",
        ),
        (
            json!({ "type": "split", "token": "" }),
            "token: is required",
        ),
        (
            json!({ "type": "emoji", "placeholder": "x", "charmap": [] }),
            "charmap: is required",
        ),
        (
            json!({ "type": "mentions", "user_ids": ["1"], "loci": [] }),
            "loci: has 0 entries for 1 user_ids",
        ),
        (
            json!({ "type": "reply", "reply_id": "" }),
            "reply_id: is required",
        ),
        (json!({ "type": "video", "url": "" }), "url: is required"),
        (
            json!({ "type": "file", "file_id": "" }),
            "file_id: is required",
        ),
        (json!({ "type": "" }), "type: is required"),
        (json!({ "url": "https://x" }), "type: is required"),
    ];
    for (attachment, words) in refusals {
        let error = groupme(json!({ "attachments": [{ "type": "poll" }, attachment] }));
        assert_eq!(error, format!("payload.attachments[1].{words}"));
    }
}

#[test]
fn a_location_in_numbers_is_refused_because_groupme_wants_text() {
    let location = r#"{"group_id":"1","attachments":[{"type":"location","lat":40.7,"lng":"1"}]}"#;
    let error = Payload::parse(Provider::Groupme, location).unwrap_err();
    assert_eq!(
        error.to_string(),
        "payload.attachments[0].lat: invalid type: floating point `40.7`, expected a string"
    );
}

#[test]
fn an_attachment_is_read_wherever_its_type_stands() {
    let text = r#"{"group_id":"1","attachments":[{"lng":"1","lat":"2","type":"location","name":"x"},{"n":1.10,"type":"poll"}]}"#;
    let payload = Payload::parse(Provider::Groupme, text).unwrap();
    let json = serde_json::to_string(&payload).unwrap();
    let again = r#"{"group_id":"1","attachments":[{"type":"location","lat":"2","lng":"1","name":"x"},{"type":"poll","n":1.10}]}"#;
    assert_eq!(json, again);

    let error = groupme(json!({ "attachments": [{ "a_typo": 1, "type": "split", "token": "t" }] }));
    assert!(
        error.starts_with("payload.attachments[0]: a_typo: unknown field `a_typo`"),
        "{error}"
    );
    let twice = r#"{"group_id":"1","attachments":[{"type":"poll","type":"image"}]}"#;
    assert!(Payload::parse(Provider::Groupme, twice).is_err());
}

#[test]
fn a_mention_is_a_part_of_the_text() {
    // The rocket is two units long.
    let text = |part| {
        Groupme::to("1")
            .text("🚀 @ann")
            .mention("8123", part)
            .build()
    };
    assert!(text(3..7).is_ok());
    for part in [3..8, 5..5, u32::MAX - 1..u32::MAX] {
        let error = text(part).unwrap_err();
        assert_eq!(
            error.to_string(),
            "payload.attachments[0].loci[0]: is no part of the text, which has 7 UTF-16 units"
        );
    }
}

#[test]
fn a_groupme_text_is_built_in_its_own_words() {
    let built = Groupme::to("123")
        .text("Hi @ann, @bob")
        .image("https://i.groupme.com/1");
    let built = built
        .mention("1", 3..7)
        .mention("2", 9..13)
        .reply("55")
        .location("HQ", 40.5, -73.25)
        .build()
        .unwrap();
    let expected = json!({ "group_id": "123", "text": "Hi @ann, @bob", "attachments": [
        { "type": "image", "url": "https://i.groupme.com/1" },
        { "type": "mentions", "user_ids": ["1", "2"], "loci": [[3, 4], [9, 4]] },
        { "type": "reply", "reply_id": "55" },
        { "type": "location", "name": "HQ", "lat": "40.5", "lng": "-73.25" },
    ] });
    assert_eq!(serde_json::to_value(&built).unwrap(), expected);
}

#[test]
fn whatspie_counts_characters_and_fills_in_what_is_absent() {
    let Payload::Whatspie(text) = whatspie::Text::to("495")
        .message("ä".repeat(4096))
        .build()
        .unwrap()
    else {
        panic!("a WhatsPie payload");
    };
    assert_eq!(text.kind(), "chat");
    assert_eq!(
        serde_json::to_value(text.params()).unwrap(),
        json!({ "text": text.message })
    );
    let error = whatspie::Text::to("495")
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
    let payload = whatspie::Text::to("1")
        .message("Hello")
        .with_params(&params)
        .build()
        .unwrap();
    assert_eq!(serde_json::to_value(&payload).unwrap()["params"], params);
    for params in [json!([]), json!("text"), json!(1)] {
        let error = whatspie::Text::to("1")
            .message("Hello")
            .with_params(&params)
            .build()
            .unwrap_err();
        assert_eq!(error.to_string(), "payload.params: is not an object");
    }
}

#[test]
fn grupo_goes_to_a_user_or_a_group() {
    assert_eq!(
        Grupo::to_user("ann")
            .sender("bot")
            .message("Hi")
            .build()
            .unwrap()
            .destination(),
        "ann"
    );
    assert_eq!(
        Grupo::to_group("7")
            .sender("bot")
            .message("Hi")
            .build()
            .unwrap()
            .destination(),
        "7"
    );
    let neither = refused(Provider::Grupo, &json!({ "sender": "s", "message": "m" }));
    assert_eq!(
        neither,
        "payload.user: is required, or `group` in its place"
    );
    let both = refused(
        Provider::Grupo,
        &json!({ "user": "u", "group": "g", "sender": "s", "message": "m" }),
    );
    assert_eq!(both, "payload.group: excludes `user`: give one of them");
}

#[test]
fn a_gif_comes_from_one_of_three_hosts() {
    let gif = |url: &str| {
        Grupo::to_user("u")
            .sender("s")
            .message("m")
            .gif_url(url)
            .build()
    };
    for url in [
        "https://tenor.com",
        "http://media.giphy.com/a?b#c",
        "https://A.B.GfyCat.com#x",
    ] {
        assert!(gif(url).is_ok(), "{url}");
    }
    let refusals = [
        "",
        "tenor.com/x.gif",
        "ftp://tenor.com",
        "https://",
        "https:///tenor.com",
        "https://nottenor.com",
        "https://é.com",
        "https://tenor.com.evil.org/",
        "https://evil.org/tenor.com",
        "https://evil.org\\.tenor.com",
        "https://tenor.com:1/",
        "https://evil.org#.tenor.com",
        "https://user@tenor.com/",
        "https://evil.org\n.tenor.com",
        "https://évil.tenor.com",
    ];
    for url in refusals {
        assert_eq!(gif(url).unwrap_err().field(), "payload.gif_url", "{url}");
    }
}

#[test]
fn grupo_files_have_at_most_8_mib_together() {
    let half = || {
        File::new(
            "a.bin",
            "application/octet-stream",
            vec![7; grupo::MAX_FILES / 2],
        )
    };
    let text = Grupo::to_user("u")
        .sender("s")
        .message("m")
        .file(half())
        .file(half());
    let payload = text.clone().build().unwrap();
    let json = serde_json::to_string(&payload).unwrap();
    assert_eq!(Payload::parse(Provider::Grupo, &json).unwrap(), payload);
    let error = text
        .file(File::new("b", "text/plain", "x"))
        .build()
        .unwrap_err();
    let words = "payload.file_attachments: has 8388609 bytes together, at most 8388608 are allowed";
    assert_eq!(error.to_string(), words);
}

#[test]
fn a_grupo_file_that_could_break_its_form_is_refused() {
    let file = |name: &str, content_type: &str| {
        let file = File::new(name, content_type, "hi");
        Grupo::to_user("u")
            .sender("s")
            .message("m")
            .file(file)
            .build()
            .map_err(|error| error.field().to_owned())
    };
    assert!(file("a b.txt", "text/plain; charset=utf-8").is_ok());
    assert_eq!(
        file("", "text/plain").unwrap_err(),
        "payload.file_attachments[0].name"
    );
    assert_eq!(
        file("a\r\nX: y", "text/plain").unwrap_err(),
        "payload.file_attachments[0].name"
    );
    for content_type in ["", "text", "/plain", "text/", "text/plain\r\nX: y"] {
        assert_eq!(
            file("a", content_type).unwrap_err(),
            "payload.file_attachments[0].content_type"
        );
    }
    let files = json!([{ "name": "a", "content_type": "text/plain", "data": "aGk" }]);
    let error = refused(
        Provider::Grupo,
        &json!({ "user": "u", "sender": "s", "message": "m", "file_attachments": files }),
    );
    assert!(
        error.starts_with("payload.file_attachments[0].data: is not base64"),
        "{error}"
    );
}

#[test]
fn the_contents_of_a_file_are_not_in_its_debug_output() {
    assert_eq!(
        format!("{:?}", File::new("a", "text/plain", "secret")),
        r#"File("a", "text/plain", 6 bytes)"#
    );
}

#[test]
fn a_raven_persona_or_group_has_exactly_one_recipient() {
    let ann = || {
        raven::Recipient::new(
            "Ann",
            [
                raven::Contact::whatsapp("Main", "+62"),
                raven::Contact::whatsapp("2", "+63"),
            ],
        )
    };
    for topic in [raven::Topic::persona("t"), raven::Topic::group("t")] {
        let text = raven::Text::from_user("u", topic).message("m");
        assert_eq!(
            text.clone().build().unwrap_err().to_string(),
            "payload.recipient: is required"
        );
        assert_eq!(text.clone().to(ann()).build().unwrap().destination(), "+62");
        let error = text.to(ann()).to(ann()).build().unwrap_err().to_string();
        assert_eq!(
            error,
            "payload.recipient: has 2 recipients, exactly 1 is allowed for a persona or group"
        );
    }
    let mass = raven::Text::from_user("u", raven::Topic::mass("news")).message("m");
    assert!(mass.clone().build().is_err());
    assert_eq!(
        mass.to(ann()).to(ann()).build().unwrap().destination(),
        "news"
    );
}

#[test]
fn each_raven_recipient_has_a_contact_and_no_name_too_long() {
    let refusal = |recipient| {
        let first = raven::Recipient::new("First", [raven::Contact::whatsapp("Main", "+62")]);
        let text = raven::Text::from_user("u", raven::Topic::mass("t"))
            .to(first)
            .to(recipient)
            .message("m");
        text.build().unwrap_err().to_string()
    };
    let contact = |name: &str, key: &str| [raven::Contact::whatsapp(name, key)];
    let long = "ä".repeat(256);
    let too_long = "has 256 characters, at most 255 are allowed";
    assert_eq!(
        refusal(raven::Recipient::new("Ann", [])),
        "payload.recipient[1].contact: is required"
    );
    assert_eq!(
        refusal(raven::Recipient::new(&long, contact("M", "1"))),
        format!("payload.recipient[1].name: {too_long}")
    );
    let error = refusal(raven::Recipient::new("Ann", contact(&long, "1")));
    assert_eq!(
        error,
        format!("payload.recipient[1].contact[0].name: {too_long}")
    );
    assert_eq!(
        refusal(raven::Recipient::new("Ann", contact("M", ""))),
        "payload.recipient[1].contact[0].key: is required"
    );
}

#[test]
fn raven_counts_the_characters_of_topic_and_message() {
    let text = |topic: &str, message: &str| {
        let ann = raven::Recipient::new(
            "a".repeat(255),
            [raven::Contact::whatsapp("ä".repeat(255), "+62")],
        );
        raven::Text::from_user("u", raven::Topic::persona(topic))
            .to(ann)
            .message(message)
            .build()
    };
    assert!(text(&"ä".repeat(255), &"🚀".repeat(4096)).is_ok());
    let error = text(&"ä".repeat(256), "m").unwrap_err();
    assert_eq!(
        error.to_string(),
        "payload.topic.name: has 256 characters, at most 255 are allowed"
    );
    let error = text("t", &"🚀".repeat(4097)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "payload.message: has 4097 characters, at most 4096 are allowed"
    );
}

#[test]
fn a_raven_topic_is_persona_group_or_mass() {
    let mut raven: Value = serde_json::from_str(SUNSHINE[4].1).unwrap();
    raven["topic"]["type"] = "team".into();
    let error = refused(Provider::Raven, &raven);
    assert_eq!(
        error,
        "payload.topic.type: unknown variant `team`, expected one of `persona`, `group`, `mass`"
    );
}

#[test]
fn pingup_needs_a_client_and_for_text_a_text() {
    assert_eq!(
        refused(Provider::Pingup, &json!({ "text_message": "Hi" })),
        "payload.client: is required, or `client_phone` in its place"
    );
    assert_eq!(
        Pingup::to_client("c").build().unwrap_err().to_string(),
        "payload.text_message: is required"
    );
    let template = json!({ "client": "c", "message_type": "template" }).to_string();
    assert!(Payload::parse(Provider::Pingup, &template).is_ok());
    let phone = Pingup::to_phone("39")
        .client_name("Jon")
        .text_message("Hi")
        .build()
        .unwrap();
    assert_eq!(phone.destination(), "39");
}

#[test]
fn a_pingup_delay_is_kept_as_it_was_written() {
    let text = Pingup::to_client("c")
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
