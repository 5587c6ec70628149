use serde_json::json;

use super::*;
use crate::{Provider, payload::tests::refused};

#[test]
fn a_raven_persona_or_group_has_exactly_one_recipient() {
    let ann = || {
        Recipient::new(
            "Ann",
            [
                Contact::whatsapp("Main", "+62"),
                Contact::whatsapp("2", "+63"),
            ],
        )
    };
    for topic in [Topic::persona("t"), Topic::group("t")] {
        let text = Text::from_user("u", topic).message("m");
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
    let mass = Text::from_user("u", Topic::mass("news")).message("m");
    assert!(mass.clone().build().is_err());
    assert_eq!(
        mass.to(ann()).to(ann()).build().unwrap().destination(),
        "news"
    );
}

#[test]
fn each_raven_recipient_has_a_contact_and_no_name_too_long() {
    let refusal = |recipient| {
        let first = Recipient::new("First", [Contact::whatsapp("Main", "+62")]);
        let text = Text::from_user("u", Topic::mass("t"))
            .to(first)
            .to(recipient)
            .message("m");
        text.build().unwrap_err().to_string()
    };
    let contact = |name: &str, key: &str| [Contact::whatsapp(name, key)];
    let long = "ä".repeat(256);
    let too_long = "has 256 characters, at most 255 are allowed";
    assert_eq!(
        refusal(Recipient::new("Ann", [])),
        "payload.recipient[1].contact: is required"
    );
    assert_eq!(
        refusal(Recipient::new(&long, contact("M", "1"))),
        format!("payload.recipient[1].name: {too_long}")
    );
    let error = refusal(Recipient::new("Ann", contact(&long, "1")));
    assert_eq!(
        error,
        format!("payload.recipient[1].contact[0].name: {too_long}")
    );
    assert_eq!(
        refusal(Recipient::new("Ann", contact("M", ""))),
        "payload.recipient[1].contact[0].key: is required"
    );
}

#[test]
fn raven_counts_the_characters_of_topic_and_message() {
    let text = |topic: &str, message: &str| {
        let ann = Recipient::new("a".repeat(255), [Contact::whatsapp("ä".repeat(255), "+62")]);
        Text::from_user("u", Topic::persona(topic))
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
    let raven = json!({ "username": "u", "topic": { "type": "team", "name": "t" } });
    let error = refused(Provider::Raven, &raven);
    assert_eq!(
        error,
        "payload.topic.type: unknown variant `team`, expected one of `persona`, `group`, `mass`"
    );
}
