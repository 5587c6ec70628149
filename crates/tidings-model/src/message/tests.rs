use super::*;

const NOW: &str = "2026-01-01T09:00:00Z";

fn accept(json: &str) -> Result<Message, Invalid> {
    Draft::parse(json.as_bytes())?.accept(NOW.parse().unwrap(), || "fresh".parse().unwrap())
}

fn groupme(rest: &str) -> Result<Message, Invalid> {
    accept(&format!(
        r#"{{"account": "groupme.ops", "payload": {{"group_id": "1", "text": "hi"}}{rest}}}"#
    ))
}

#[test]
fn a_message_reads_back_as_it_was_written() {
    let message =
        groupme(r#", "id": "a", "delay": "10m", "expires_in": "1h", "metadata": {"order": "42"}"#)
            .unwrap();
    assert_eq!(Message::decode(&message.encode()).unwrap(), message);
    assert_eq!(message.due(), "2026-01-01T09:10:00Z".parse().unwrap());
    assert_eq!(
        message.expires(),
        Some("2026-01-01T10:00:00Z".parse().unwrap())
    );
    assert_eq!(message.source_guid(), "a");
}

#[test]
fn a_typo_is_named_and_not_lost() {
    let error = groupme(r#", "dely": "10m""#).unwrap_err().to_string();
    assert!(error.contains("`dely`"), "{error}");
    let error = accept(r#"{"account": "groupme.ops", "payload": {"group_id": "1", "txt": "hi"}}"#)
        .unwrap_err();
    assert!(error.to_string().contains("txt"), "{error}");
}

#[test]
fn schedules_that_cannot_be_kept_are_refused() {
    let cases = [
        (
            r#", "delay": "1m", "not_before": "2026-01-01T10:00:00Z""#,
            "exclude each other",
        ),
        (
            r#", "expires_in": "1m", "expires_at": "2026-01-01T10:00:00Z""#,
            "exclude each other",
        ),
        (r#", "delay": "2h", "expires_in": "1h""#, "never be sent"),
        (r#", "expires_at": "2025-01-01T00:00:00Z""#, "never be sent"),
        (r#", "not_before": "2999-01-01T00:00:00Z""#, "longest delay"),
        (r#", "enqueued_at": "2026-01-01T09:00:00Z""#, "leave it out"),
    ];
    for (rest, expected) in cases {
        let error = groupme(rest).unwrap_err().to_string();
        assert!(error.contains(expected), "{rest}: {error}");
    }
    let pingup = r#"{"account": "pingup.a", "payload": {"client": "c", "text_message": "t"}, "delay": "1m"}"#;
    assert!(
        accept(pingup)
            .unwrap_err()
            .to_string()
            .contains("payload.delay")
    );
}

#[test]
fn metadata_is_bounded_with_its_size_named() {
    let fits = format!(
        r#", "metadata": {{"k": "{}"}}"#,
        "x".repeat(MAX_METADATA_BYTES - 8)
    );
    assert!(groupme(&fits).is_ok());
    let large = format!(
        r#", "metadata": {{"k": "{}"}}"#,
        "x".repeat(MAX_METADATA_BYTES - 7)
    );
    let error = groupme(&large).unwrap_err().to_string();
    assert!(error.contains("4097") && error.contains("4096"), "{error}");
}

#[test]
fn a_body_without_id_or_time_does_not_decode_but_is_made_out() {
    let body =
        br#"{"account": "groupme.ops", "id": "a", "payload": {"group_id": "1", "text": "hi"}}"#;
    assert!(
        Message::decode(body)
            .unwrap_err()
            .to_string()
            .contains("enqueued_at")
    );
    let head = UndecodableHead::find(body);
    assert_eq!(
        (head.id.unwrap().as_str(), head.account.unwrap().as_str()),
        ("a", "groupme.ops")
    );
    assert_eq!(
        UndecodableHead::find(b"\xff\xfe"),
        UndecodableHead::default()
    );
    assert_eq!(
        UndecodableHead::find(br#"{"id": 7, "account": "nobody"}"#),
        UndecodableHead::default()
    );
}

#[test]
fn an_array_is_never_taken_for_a_message() {
    let json = br#"["groupme.ops", {"group_id": "1", "text": "hi"}, "a", "2026-01-01T09:00:00Z"]"#;
    let refusals = [
        Draft::parse(json).unwrap_err().to_string(),
        Message::decode(json).unwrap_err().to_string(),
    ];
    for refusal in refusals {
        assert!(refusal.contains("expected an object"), "{refusal}");
    }
    let head = UndecodableHead::find(br#"["a", "groupme.ops"]"#);
    assert_eq!(head, UndecodableHead::default());
}
