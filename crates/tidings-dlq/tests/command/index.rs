//! Counting, by way of the index that is kept.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Stdio},
};

use serde_json::Value;
use tidings_broker::DeadRecord;
use tidings_model::Reason;

use crate::{
    records::{died, undecodable},
    world::{Said, World, acts_on_a_terminal},
};

/// How a line of `groups` names the letters of [`died`].
const REJECTED: &str = "rejected: 400 no \u{9b}…\u{202e} group";

#[tokio::test]
async fn letters_that_died_of_the_same_are_counted_together() {
    let world = World::with([
        died("a", Reason::Rejected, 90),
        died("b", Reason::Rejected, 60),
        died("c", Reason::Expired, 30),
        undecodable(Some("d")),
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
    let mut world = World::with([died("a", Reason::Rejected, 1)]).await;
    assert_eq!(world.groups(&[]), [(1, REJECTED.into())]);
    world.add([died("b", Reason::Rejected, 1)]).await;
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
    world.start_over().await;
    world
        .add([
            died("c", Reason::Rejected, 1),
            died("d", Reason::Expired, 1),
        ])
        .await;
    assert_eq!(world.groups(&[]).len(), 2);
}

/// So many that the index takes a moment to be made and written.
const MANY: u64 = 2_000;

fn many(name: &str) -> impl Iterator<Item = DeadRecord> {
    (0..MANY).map(move |number| died(&format!("{name}-{number}"), Reason::Rejected, 1))
}

#[tokio::test]
async fn those_who_count_at_once_share_one_index() {
    let world = World::with([]).await;
    for (name, expected) in [("cold", MANY), ("warm", 2 * MANY)] {
        world.add(many(name)).await;
        let counting: Vec<Child> = (0..3).map(|_| world.starts_to_count()).collect();
        for child in counting {
            let said: Said = child.wait_with_output().unwrap().into();
            assert_eq!(groups(&said), [(expected, REJECTED.into())]);
        }
        assert_eq!(world.groups(&[]), [(expected, REJECTED.into())]);
    }
}

#[tokio::test]
async fn one_who_is_killed_while_he_writes_the_index_does_no_harm() {
    let world = World::with(many("a")).await;
    let folder = world.folder.path().join("tidings");
    fs::create_dir(&folder).unwrap();
    let files = || fs::read_dir(&folder).unwrap().count();
    for _ in 0..4 {
        let mut counting = world.starts_to_count();
        while files() == 0 && counting.try_wait().unwrap().is_none() {}
        counting.kill().unwrap();
        counting.wait().unwrap();
        assert_eq!(world.groups(&[]), [(MANY, REJECTED.into())]);
        assert_eq!(
            world.groups(&["--limit", "1"]).len(),
            1,
            "and so does the next one"
        );
        for file in fs::read_dir(&folder).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
    }
}

impl World {
    fn groups(&self, arguments: &[&str]) -> Vec<(u64, String)> {
        groups(&self.run(&[&["groups", "--json"], arguments].concat()))
    }

    fn starts_to_count(&self) -> Child {
        let mut command = self.command(&["groups", "--json"]);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Where the index is kept.
    fn index(&self) -> PathBuf {
        let folder = self.folder.path().join("tidings");
        let mut files = fs::read_dir(folder).unwrap();
        files.next().unwrap().unwrap().path()
    }
}

/// Of each group how many letters it has, and of what.
fn groups(said: &Said) -> Vec<(u64, String)> {
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
