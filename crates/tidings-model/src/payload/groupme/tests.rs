use serde_json::json;

use super::*;
use crate::{Provider, payload::tests::refused_groupme};

#[test]
fn a_groupme_text_has_at_most_1000_utf16_units() {
    // Each rocket is 4 bytes, one character and two units.
    for fits in ["a".repeat(1000), "ä".repeat(1000), "🚀".repeat(500)] {
        assert!(Text::to("1").text(fits).build().is_ok());
    }
    for (long, actual) in [
        ("a".repeat(1001), 1001),
        ("🚀".repeat(500) + "a", 1001),
        ("🚀".repeat(501), 1002),
    ] {
        let error = Text::to("1").text(long).build().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("payload.text: has {actual} UTF-16 units, at most 1000 are allowed")
        );
    }
}

#[test]
fn a_groupme_group_id_has_1_to_128_characters() {
    assert!(Text::to("ä".repeat(128)).text("Hi").build().is_ok());
    let error = Text::to("ä".repeat(129)).text("Hi").build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "payload.group_id: has 129 characters, at most 128 are allowed"
    );
    assert!(Text::to("").text("Hi").build().is_err());
}

#[test]
fn a_group_id_is_no_step_in_a_path() {
    for id in [".", ".."] {
        assert!(Text::to(id).text("Hi").build().is_err());
        assert!(
            crate::payload::whatspie::Text::to(id)
                .message("Hi")
                .build()
                .is_err()
        );
    }
}

#[test]
fn a_groupme_text_may_be_absent_with_an_attachment_only() {
    assert!(
        Text::to("1")
            .image("https://i.groupme.com/1")
            .build()
            .is_ok()
    );
    assert_eq!(
        Text::to("1").build().unwrap_err().to_string(),
        "payload.text: is required"
    );
    assert_eq!(
        refused_groupme(json!({ "attachments": [] })),
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
        let error = refused_groupme(json!({ "attachments": [{ "type": "poll" }, attachment] }));
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

    let error =
        refused_groupme(json!({ "attachments": [{ "a_typo": 1, "type": "split", "token": "t" }] }));
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
    let text = |part| Text::to("1").text("🚀 @ann").mention("8123", part).build();
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
    let built = Text::to("123")
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
