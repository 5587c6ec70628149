use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, ChildStdin, Stdio},
};

use tidings::MAX_BODY_BYTES;

use crate::world::{World, line};

#[tokio::test]
async fn a_file_is_queued_in_its_order_and_each_message_told() {
    let world = World::new().await;
    let lines: Vec<_> = (0..2500)
        .map(|n| line(&format!("m-{n}"), "groupme.ops"))
        .collect();
    let file = world.file("messages.jsonl", &lines.join("\n"));
    let said = world.run(&["send", "--file", file.to_str().unwrap()]);
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    let expected: Vec<_> = (0..2500).map(|n| format!("m-{n}")).collect();
    assert_eq!(said.column("id"), expected);
    assert_eq!(
        said.stdout.lines().next(),
        Some(r#"{"id":"m-0","account":"groupme.ops","status":"queued"}"#)
    );
    assert_eq!(world.queued("groupme.ops").await, 2500);
}

#[tokio::test]
async fn bad_lines_are_named_and_the_good_ones_sent() {
    let world = World::new().await;
    let good = |id| line(id, "groupme.ops");
    let too_long = format!("{{{}}}", " ".repeat(MAX_BODY_BYTES));
    let input = [
        good("a"),
        String::new(),
        r#"{"account": "groupme.ops", "payload": {"group_id": "1", "txt": "hi"}}"#.into(),
        line("p", "pingup.shop"),
        line("nowhere", "groupme.nowhere"),
        too_long,
        r#"{"account": "pingup.shop", "payload": {"client": "c", "text_message": "t"}, "delay": "1m"}"#.into(),
        good("b"),
    ];
    let said = world.feed(&["send"], input.join("\n").as_bytes());
    assert_eq!(said.status, 1, "{}", said.stderr);
    assert_eq!(said.column("id"), ["a", "p", "b"]);
    for expected in [
        "line 3: payload.txt",
        "line 5: account groupme.nowhere has no lane",
        "line 6: ",
        "line 7: ",
        "4 of 7",
    ] {
        assert!(
            said.stderr.contains(expected),
            "{expected} in\n{}",
            said.stderr
        );
    }
}

#[tokio::test]
async fn one_message_comes_from_the_arguments() {
    let world = World::new().await;
    let payload = r#"{"group_id": "1", "text": "hi"}"#;
    let args = [
        "send",
        "--account",
        "groupme.ops",
        "--payload",
        payload,
        "--delay",
        "10m",
        "--id",
        "x",
    ];
    let said = world.run(&args);
    assert_eq!((said.status, said.column("id")), (0, vec!["x".to_owned()]));
    assert_eq!(
        world.queued("groupme.ops").await,
        0,
        "it waits in the delays"
    );
    let said = world.run(&args[..5]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert_eq!(said.column("id")[0].len(), 36, "a UUID");
}

#[tokio::test]
async fn a_dry_run_checks_without_a_broker() {
    let world = World::empty();
    let input = format!("{}\nnonsense\n", line("a", "groupme.ops"));
    let said = world.feed(&["send", "--dry-run"], input.as_bytes());
    assert_eq!(
        (said.status, said.column("status")),
        (1, vec!["valid".to_owned()])
    );
    assert!(said.stderr.contains("line 2: "), "{}", said.stderr);
}

/// A command that sends what is written to it.
fn sending(world: &World) -> (Child, ChildStdin) {
    let mut command = world.command(&["send"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let input = child.stdin.take().unwrap();
    (child, input)
}

#[tokio::test]
async fn what_a_pipe_brings_is_sent_and_told_while_it_stays_open() {
    let world = World::new().await;
    let (mut child, mut input) = sending(&world);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for id in ["a", "b"] {
        writeln!(input, "{}", line(id, "groupme.ops")).unwrap();
        let mut told = String::new();
        output.read_line(&mut told).unwrap();
        assert!(told.contains(&format!(r#""id":"{id}""#)), "{told}");
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn a_reader_that_leaves_does_not_stop_the_sending() {
    let world = World::new().await;
    let (mut child, mut input) = sending(&world);
    drop(child.stdout.take());
    for n in 0..200 {
        writeln!(input, "{}", line(&format!("m-{n}"), "groupme.ops")).unwrap();
    }
    drop(input);
    assert!(child.wait().unwrap().success());
    assert_eq!(world.queued("groupme.ops").await, 200);
}

#[tokio::test]
async fn an_interrupt_ends_the_reading_and_says_where() {
    let world = World::new().await;
    let (mut child, mut input) = sending(&world);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    writeln!(input, "{}", line("a", "groupme.ops")).unwrap();
    output.read_line(&mut String::new()).unwrap();
    let interrupted = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupted.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let mut words = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut words)
        .unwrap();
    assert!(words.contains("what follows line 1 is not sent"), "{words}");
}

#[test]
fn what_cannot_work_is_usage_and_shows_no_password() {
    let world = World::empty();
    let no_such_file = world.run(&["send", "--file", "/no/such/file"]);
    assert_eq!(no_such_file.status, 2, "{}", no_such_file.stderr);
    assert_eq!(
        world
            .run(&["send", "--account", "slack.x", "--payload", "{}"])
            .status,
        2
    );
    assert_eq!(world.run(&["send", "--payload", "{}"]).status, 2);
    let wrong = world.run(&["send", "--broker", "http://user:hunter2@mq/"]);
    assert_eq!(wrong.status, 2, "{}", wrong.stderr);
    assert!(
        wrong.stderr.contains("amqp") && !wrong.stderr.contains("hunter2"),
        "{}",
        wrong.stderr
    );
    let mut without = world.command(&["send"]);
    let output = without.env_remove("TIDINGS_BROKER").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
