use crate::world::World;

#[tokio::test]
async fn what_waits_is_told_by_level_and_what_found_no_lane_by_account() {
    let world = World::new().await;
    let payload = r#"{"group_id": "1", "text": "hi"}"#;
    for (account, delay) in [
        ("groupme.ops", "1h"),
        ("groupme.ops", "40m"),
        ("groupme.ops", "2w"),
    ] {
        let sent = world.run(&[
            "send",
            "--account",
            account,
            "--payload",
            payload,
            "--delay",
            delay,
        ]);
        assert_eq!(sent.status, 0, "{sent:?}");
    }
    let said = world.run(&["delays", "verify", "--json"]);
    assert_eq!(said.status, 0, "{said:?}");
    let lines = said.json();
    let levels: Vec<_> = lines[..2]
        .iter()
        .map(|line| {
            (
                line["level"].as_u64(),
                line["waiting"].as_u64(),
                line["moves"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        levels,
        [
            (Some(11), Some(2), Some("yes")),
            (Some(20), Some(1), Some("yes"))
        ]
    );
    assert_eq!(lines[2], serde_json::json!({"unroutable": 0, "dead": {}}));

    let table = world.run(&["delays", "verify"]);
    assert!(
        table.status == 0 && table.stdout.contains("12d") && table.stdout.contains("34m"),
        "{table:?}"
    );
}
