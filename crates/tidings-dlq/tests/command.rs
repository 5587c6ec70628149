//! The `tidings-dlq` command as people call it: the real binary, on the embedded broker.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use bytes::Bytes;
use jiff::{Timestamp, ToSpan as _};
use serde_json::Value;
use tempfile::TempDir;
use tidings_broker::{
    Broker, Effect, Envelope, LaneEvent, LaneName, Options, Settlement, Topology,
};
use tidings_model::{Account, Attempt, Draft, Headers, LetterHead, MessageId, Reason, Verdict};

const PAYLOAD: &str = r#"{"group_id":"1","text":"hi \u202e"}"#;

/// A folder with an embedded broker, and some letters in it.
struct World {
    folder: TempDir,
}

#[derive(Debug)]
struct Said {
    status: i32,
    stdout: String,
    stderr: String,
}

impl World {
    async fn with(letters: &[(LetterHead, Bytes)]) -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        world.add(letters).await;
        world
    }

    async fn add(&self, letters: &[(LetterHead, Bytes)]) {
        let url = self.url().parse().unwrap();
        let broker = tidings_broker::connect(&url, Options::new("test".into()))
            .await
            .unwrap();
        broker.apply(&Topology::of([account()])).await.unwrap();
        bury(&*broker, letters).await;
        broker.close().await;
    }

    /// Of each group how many letters it has, and of what.
    fn groups(&self, args: &[&str]) -> Vec<(u64, String)> {
        let said = self.run(&[&["groups", "--json"], args].concat());
        assert_eq!(said.status, 0, "{said:?}");
        let of = |group: Value| {
            let reason = group["reason"].as_str().unwrap();
            let signature = group["signature"].as_str().unwrap();
            (
                group["count"].as_u64().unwrap(),
                format!("{reason}: {signature}"),
            )
        };
        said.json().into_iter().map(of).collect()
    }

    /// Where the index is kept.
    fn index(&self) -> PathBuf {
        let folder = self.folder.path().join("tidings");
        let mut files = fs::read_dir(folder).unwrap();
        files.next().unwrap().unwrap().path()
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.folder.path().join("tidings.db").display())
    }

    fn run(&self, args: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidings-dlq"));
        command
            .args(args)
            .env("TIDINGS_BROKER", self.url())
            .env("XDG_CACHE_HOME", self.folder.path());
        command.output().unwrap().into()
    }

    fn ids(&self, args: &[&str]) -> Vec<String> {
        let said = self.run(&[&["list", "--json"], args].concat());
        assert_eq!(said.status, 0, "{said:?}");
        said.json()
            .iter()
            .map(|letter| letter["message"]["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            status: output.status.code().unwrap(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Said {
    fn json(&self) -> Vec<Value> {
        let lines = self.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Buries messages as a worker does.
async fn bury(broker: &dyn Broker, letters: &[(LetterHead, Bytes)]) {
    for (n, (_, body)) in letters.iter().enumerate() {
        let envelope = Envelope {
            account: account(),
            id: format!("m-{n}").parse().unwrap(),
            body: body.clone(),
            headers: Headers::default(),
        };
        broker.publish(envelope).await.unwrap().await.unwrap();
    }
    let mut lane = broker
        .subscribe(LaneName::Account(account()), 10)
        .await
        .unwrap();
    let mut heads = letters.iter().map(|(head, _)| head.clone());
    let mut settled = 0;
    while settled < letters.len() {
        match lane.events.recv().await.unwrap() {
            LaneEvent::Delivered(delivery) => lane.settle.settle(
                delivery,
                Settlement {
                    record: None,
                    effect: Effect::Bury(Box::new(heads.next().unwrap())),
                    event: None,
                },
            ),
            LaneEvent::Settled(_) => settled += 1,
            LaneEvent::Lost(why) => panic!("{why}"),
        }
    }
    lane.settle.close().await;
}

fn account() -> Account {
    "groupme.ops".parse().unwrap()
}

/// A letter of a message that died so many minutes ago.
fn letter(id: &str, reason: Reason, minutes_ago: i64) -> (LetterHead, Bytes) {
    let body = format!(
        r#"{{"account":"groupme.ops","payload":{PAYLOAD},"id":"{id}",
            "enqueued_at":"2026-01-01T09:00:00Z","expires_in":"1h","delay":"1m","metadata":{{"order":"42"}}}}"#
    );
    let at = Timestamp::now() - minutes_ago.minutes();
    let head = LetterHead {
        id: Some(id.parse::<MessageId>().unwrap()),
        account: Some(account()),
        reason,
        attempts: vec![Attempt {
            at,
            verdict: Verdict::Rejected,
            status: Some(400),
            error: Some("no \u{9b}31msuch\u{202e} group".into()),
            took_ms: 12,
            worker: "w-1".into(),
        }],
        dead_at: at,
        generation: 0,
        maybe_delivered: false,
    };
    (head, body.into())
}

fn undecodable(id: &str) -> (LetterHead, Bytes) {
    let (head, _) = letter(id, Reason::Undecodable, 1);
    let head = LetterHead {
        attempts: Vec::new(),
        ..head
    };
    (head, Bytes::from_static(b"\x1b[2J not a message"))
}

fn acts_on_a_terminal(text: &str) -> bool {
    text.chars()
        .any(|c| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}'))
}

#[tokio::test]
async fn letters_are_listed_once_each_and_looking_changes_nothing() {
    let world = World::with(&[
        letter("a", Reason::Rejected, 90),
        letter("b", Reason::Expired, 60),
        letter("b", Reason::Expired, 60),
        undecodable("c"),
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
async fn filters_order_and_limit_narrow_the_list() {
    let world = World::with(&[
        letter("new", Reason::Rejected, 10),
        letter("old", Reason::Expired, 90),
        letter("middle", Reason::Rejected, 60),
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
async fn all_filters_combine() {
    let world = World::with(&[letter("a", Reason::Rejected, 1), undecodable("c")]).await;
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
    let world = World::with(&[letter("a", Reason::Expired, 1), undecodable("c")]).await;
    let exported = world.run(&["export"]);
    assert_eq!(exported.status, 1, "one is no message: {exported:?}");
    assert!(
        exported.stderr.contains("1 of the letters were left out"),
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
    let world = World::with(&[letter("a", Reason::Rejected, 1), undecodable("c")]).await;
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
    let absent = world.run(&["show", "nobody"]);
    assert_eq!((absent.status, absent.stdout.as_str()), (1, ""));
    assert!(absent.stderr.contains("nobody"), "{absent:?}");
}

/// How a line of `groups` names the letters of [`letter`].
const REJECTED: &str = "rejected: 400 no \u{9b}…\u{202e} group";

#[tokio::test]
async fn letters_that_died_of_the_same_are_counted_together() {
    let world = World::with(&[
        letter("a", Reason::Rejected, 90),
        letter("b", Reason::Rejected, 60),
        letter("c", Reason::Expired, 30),
        undecodable("d"),
    ])
    .await;
    let all = world.groups(&[]);
    assert_eq!(all.len(), 3);
    assert_eq!(all[0], (2, REJECTED.into()));
    assert_eq!(world.groups(&["--limit", "1"]).len(), 1);
    assert_eq!(
        world.groups(&["--reason", "undecodable"]),
        [(1, "undecodable: ".into())]
    );
    assert_eq!(
        world
            .groups(&["--where", "order=42", "--since", "75m"])
            .len(),
        2
    );
    assert_eq!(world.groups(&["--state", "discarded"]), []);
    let table = world.run(&["groups"]);
    assert!(
        table.stdout.contains("400 no") && table.stdout.contains('█'),
        "{table:?}"
    );
    assert!(!acts_on_a_terminal(&table.stdout));
}

#[tokio::test]
async fn the_index_is_kept_up_and_made_anew_where_it_is_damaged_or_the_stream_is_another() {
    let world = World::with(&[letter("a", Reason::Rejected, 1)]).await;
    assert_eq!(world.groups(&[]), [(1, REJECTED.into())]);
    world.add(&[letter("b", Reason::Rejected, 1)]).await;
    assert_eq!(world.groups(&[]), [(2, REJECTED.into())]);
    for damage in [&b"nonsense"[..], b""] {
        fs::write(world.index(), damage).unwrap();
        assert_eq!(world.groups(&[]), [(2, REJECTED.into())]);
    }
    let mut flipped = fs::read(world.index()).unwrap();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(world.index(), flipped).unwrap();
    assert_eq!(world.groups(&[]), [(2, REJECTED.into())]);
    for file in ["tidings.db", "tidings.db-wal", "tidings.db-shm"] {
        let _ = fs::remove_file(world.folder.path().join(file));
    }
    world
        .add(&[
            letter("c", Reason::Rejected, 1),
            letter("d", Reason::Expired, 1),
        ])
        .await;
    assert_eq!(world.groups(&[]).len(), 2);
}

#[tokio::test]
async fn what_has_come_is_watched_line_by_line() {
    let world = World::with(&[
        letter("a", Reason::Rejected, 1),
        letter("b", Reason::Expired, 1),
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

#[test]
fn a_wrong_url_is_usage_and_shows_no_password() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings-dlq"));
    let said: Said = command
        .args(["--broker", "http://user:hunter2@mq/", "list"])
        .output()
        .unwrap()
        .into();
    assert_eq!(said.status, 2, "{said:?}");
    assert!(!said.stderr.contains("hunter2"), "{said:?}");
}
