//! Looking: list, show, export, watch.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use futures::StreamExt as _;
use jiff::{Timestamp, ToSpan as _};
use serde_json::Value;
use tidings_broker::{DeadRecord, ReadFrom, ReadUntil};
use tidings_model::{Attempt, Draft, Reason};
use tokio::sync::mpsc;

use crate::{
    records::{died, plain, undecodable},
    world::{Said, World, acts_on_a_terminal},
};

#[tokio::test]
async fn letters_are_listed_once_each_and_looking_changes_nothing() {
    let world = World::with([
        died("a", Reason::Rejected, 90),
        died("b", Reason::Expired, 60),
        died("b", Reason::Expired, 60),
        undecodable(Some("c")),
    ])
    .await;
    assert_eq!(world.ids(&[]), ["a", "b", "c"]);
    assert_eq!(world.ids(&[]), ["a", "b", "c"]);
    let json = world.run(&["list", "--json"]);
    let first = &json.json()[0];
    assert_eq!(
        (&first["reason"], &first["state"]),
        (&"rejected".into(), &"open".into())
    );
    assert_eq!(first["message"]["payload"]["text"], "hi \u{202e}");
    assert_eq!(first["attempts"][0]["status"], 400);
    let table = world.run(&["list"]);
    assert!(
        table.stdout.contains("groupme.ops") && table.stdout.contains("400 no"),
        "{table:?}"
    );
    assert!(!acts_on_a_terminal(&(json.stdout + &table.stdout)));
}

#[tokio::test]
async fn looking_writes_nothing_and_sends_nothing() {
    let world = World::with([plain("a"), died("b", Reason::Rejected, 90)]).await;
    let dead = async || {
        let entries = world
            .broker
            .dead(ReadFrom::First, ReadUntil::Now)
            .await
            .unwrap();
        let entries: Vec<_> = entries.map(|entry| entry.unwrap().position).collect().await;
        entries
    };
    let before = dead().await;
    for looking in [
        &["list"][..],
        &["list", "--json", "--state", "all"],
        &["show", "a"],
        &["groups"],
        &["export"],
        &["watch", "--since", "1d", "--limit", "2"],
        &["audit"],
        &["replay", "--dry-run"],
    ] {
        let said = world.run(looking);
        assert_eq!(said.status, 0, "{looking:?}: {said:?}");
    }
    assert_eq!(dead().await, before);
    assert!(world.queued().await.is_empty());
}

#[tokio::test]
async fn filters_order_and_limit_narrow_the_list() {
    let world = World::with([
        died("new", Reason::Rejected, 10),
        died("old", Reason::Expired, 90),
        died("middle", Reason::Rejected, 60),
    ])
    .await;
    assert_eq!(world.ids(&["--reason", "expired"]), ["old"]);
    assert_eq!(world.ids(&["--since", "75m"]), ["new", "middle"]);
    assert_eq!(world.ids(&["--until", "75m"]), ["old"]);
    assert_eq!(
        world.ids(&["--sort", "newest", "--limit", "2"]),
        ["new", "middle"]
    );
    assert_eq!(world.ids(&["--sort", "oldest", "--limit", "1"]), ["old"]);
    assert_eq!(world.ids(&["--sort", "reason"]), ["middle", "new", "old"]);
    assert_eq!(world.ids(&["--account", "groupme.ops"]).len(), 3);
    assert_eq!(world.ids(&["--provider", "raven"]).len(), 0);
    assert_eq!(world.ids(&["--state", "replayed"]).len(), 0);
    assert_eq!(world.ids(&["--state", "all"]).len(), 3);
    assert_eq!(world.run(&["list", "--reason", "bad-luck"]).status, 2);
}

#[tokio::test]
async fn a_table_tells_the_state_where_it_may_differ() {
    let world = World::with([
        died("a", Reason::Rejected, 1),
        died("b", Reason::Rejected, 1),
    ])
    .await;
    assert_eq!(world.run(&["discard", "a", "--why", "no"]).status, 0);
    let all = world.run(&["list", "--state", "all"]).stdout;
    for words in ["state", "discarded", "open"] {
        assert!(all.contains(words), "{words} in\n{all}");
    }
    assert!(!world.run(&["list"]).stdout.contains("state"));
}

#[tokio::test]
async fn all_filters_combine() {
    let world = World::with([died("a", Reason::Rejected, 1), undecodable(Some("c"))]).await;
    for (args, expected) in [
        (
            &["--verdict", "rejected", "--status", "400"][..],
            &["a"][..],
        ),
        (&["--verdict", "rejected", "--status", "404"], &[]),
        (&["--error", "SUCH", "--text", "HI "], &["a"]),
        (&["--error", "such", "--text", "bye"], &[]),
        (&["--text", "not a"], &["c"]),
        (&["--where", "order=42", "--account", "groupme.ops"], &["a"]),
        (&["--where", "order=42", "shop=b"], &[]),
        (&["--signature", "400 no \u{9b}…\u{202e} group"], &["a"]),
        (
            &["--state", "open", "replayed", "--reason", "undecodable"],
            &["c"],
        ),
    ] {
        assert_eq!(world.ids(args), expected, "{args:?}");
    }
    assert_eq!(world.run(&["list", "--where", "order"]).status, 2);
}

#[tokio::test]
async fn what_is_exported_can_be_sent_as_new_messages() {
    let world = World::with([died("a", Reason::Expired, 1), undecodable(Some("c"))]).await;
    let exported = world.run(&["export"]);
    assert_eq!(exported.status, 1, "one is no message: {exported:?}");
    assert!(
        exported.words.contains("1 of the letters were left out"),
        "{exported:?}"
    );
    let [line] = &exported.stdout.lines().collect::<Vec<_>>()[..] else {
        panic!("{exported:?}");
    };
    let draft = Draft::parse(line.as_bytes()).unwrap();
    let now = Timestamp::now();
    let message = draft.accept(now, || "new".parse().unwrap()).unwrap();
    assert_eq!((message.id.as_str(), message.enqueued_at), ("new", now));
    assert_eq!(message.metadata["order"], "42");
    assert_eq!(
        message.source_guid(),
        "new",
        "GroupMe would know the old one again"
    );
    assert_eq!(message.expires(), None);
    assert_eq!(
        world
            .run(&["export", "--reason", "expired", "--sort", "newest"])
            .status,
        0
    );
    assert_eq!(world.ids(&[]), ["a", "c"], "exporting changes nothing");
}

#[tokio::test]
async fn a_letter_is_shown_with_what_helps() {
    let world = World::with([died("a", Reason::Rejected, 1), undecodable(Some("c"))]).await;
    let shown = world.run(&["show", "a"]);
    assert_eq!(shown.status, 0, "{shown:?}");
    for expected in [
        "groupme.ops",
        "the provider refused the message",
        "what helps",
        "rejected, HTTP 400, 12 ms, w-1  no \\u009b31msuch\\u202e group",
        "\"group_id\": \"1\"",
    ] {
        assert!(
            shown.stdout.contains(expected),
            "{expected} in\n{}",
            shown.stdout
        );
    }
    let bytes = world.run(&["show", "c"]);
    assert!(
        bytes.stdout.contains("\\u001b[2J not a message"),
        "{bytes:?}"
    );
    assert!(!acts_on_a_terminal(&(shown.stdout + &bytes.stdout)));
    assert_eq!(world.run(&["show", "a", "--json"]).json().len(), 1);
    let DeadRecord::Letter { mut head, body } = died("tried", Reason::AttemptsExhausted, 1) else {
        unreachable!()
    };
    let later = |(number, words): (i64, &str)| Attempt {
        at: head.attempts[0].at + number.seconds(),
        error: Some(words.into()),
        ..head.attempts[0].clone()
    };
    head.attempts = [(0, "the first"), (2, "the second"), (9, "the third")]
        .map(later)
        .into();
    world.add([DeadRecord::Letter { head, body }]).await;
    let tried = world.run(&["show", "tried"]).stdout;
    let place = |words| tried.find(words).expect("an attempt");
    assert!(
        place("the first") < place("the second") && place("the second") < place("the third"),
        "{tried}"
    );
    let absent = world.run(&["show", "nobody"]);
    assert_eq!((absent.status, absent.stdout.as_str()), (1, ""));
    assert!(absent.words.contains("nobody"), "{absent:?}");
}

#[tokio::test]
async fn what_has_come_is_watched_line_by_line() {
    let world = World::with([
        died("a", Reason::Rejected, 1),
        died("b", Reason::Expired, 1),
    ])
    .await;
    let watched = world.run(&["watch", "--since", "1h", "--limit", "2", "--json"]);
    let ids: Vec<_> = watched
        .json()
        .iter()
        .map(|letter| letter["message"]["id"].clone())
        .collect();
    assert_eq!(ids, ["a", "b"]);
    let line = world.run(&[
        "watch", "--since", "1h", "--limit", "1", "--reason", "expired",
    ]);
    assert!(
        line.stdout.contains(" b ") && !acts_on_a_terminal(&line.stdout),
        "{line:?}"
    );
}

#[tokio::test]
async fn what_comes_while_somebody_watches_is_shown() {
    let world = World::with([died("old", Reason::Rejected, 1)]).await;
    let mut command = world.command(&["watch", "--limit", "2", "--json"]);
    let mut watching = command.stdout(Stdio::piped()).spawn().unwrap();
    let (tell, mut seen) = mpsc::unbounded_channel();
    let lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    std::thread::spawn(move || {
        lines
            .map_while(Result::ok)
            .try_for_each(|line| tell.send(line))
    });
    // Nobody can tell when it has begun to watch.
    while seen.is_empty() {
        world.add([died("first", Reason::Rejected, 0)]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.run(&["renew", "old"]).status, 0);
    world.add([died("second", Reason::Rejected, 0)]).await;
    for expected in ["first", "second"] {
        let line = seen.recv().await.unwrap();
        let letter: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            letter["message"]["id"], expected,
            "what is renewed is no new death"
        );
    }
    assert!(watching.wait().unwrap().success());
}

#[tokio::test]
async fn what_died_before_somebody_watches_is_shown_as_it_is_now() {
    let letters = ["a", "b"].map(|id| died(id, Reason::Rejected, 1));
    let world = World::with(letters).await;
    assert_eq!(world.run(&["discard", "a", "--why", "no"]).status, 0);
    for (state, id) in [("open", "b"), ("discarded", "a")] {
        let watch = [
            "watch", "--since", "1h", "--limit", "1", "--json", "--state", state,
        ];
        let letter = &world.run(&watch).json()[0];
        assert_eq!(
            (&letter["message"]["id"], &letter["state"]),
            (&id.into(), &state.into())
        );
    }
}

#[test]
fn a_wrong_url_is_usage_and_shows_no_password() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings-dlq"));
    let said: Said = command
        .args(["--broker", "http://user:hunter2@mq/", "list"])
        .output()
        .unwrap()
        .into();
    assert_eq!(said.status, 2, "{said:?}");
    assert!(!said.words.contains("hunter2"), "{said:?}");
}
