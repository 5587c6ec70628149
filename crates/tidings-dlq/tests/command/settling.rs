//! What changes letters: renewing and editing.

use serde_json::json;
use tidings_model::{Headers, LetterState, Verb};

use crate::{
    records::{cut_off_at, key, plain, undecodable},
    world::World,
};

/// Writes a message where there was none.
const EDITOR: &str = r#"sh -c 'echo "{\"account\":\"raven.ops\",\"payload\":{\"username\":\"u\",\"topic\":{\"type\":\"mass\",\"name\":\"t\"},\"message\":\"m\",\"recipient\":[{\"name\":\"n\",\"contact\":[{\"type\":\"whatsapp\",\"name\":\"n\",\"key\":\"1\"}]}]}}" > "$1"' --"#;

#[tokio::test]
async fn a_letter_near_its_end_is_shown_and_renewed() {
    let world = World::with([plain("a"), plain("b")]).await;
    world.run(&["discard", "b", "--why", "no"]);
    let shown = |age: &str| {
        let said = world.run(&["show", "a", "--max-age", age]);
        said.stdout.contains("renew")
    };
    assert!(!shown("180d"));
    assert!(shown("61m"));
    let listed = |age: &str| world.run(&["list", "--max-age", age]).stdout;
    assert!(listed("61m").contains("kept until"));
    assert!(!listed("180d").contains("kept until"));
    let near = ["renew", "--near", "--max-age", "61m", "--json"];
    assert_eq!(world.run(&near).json()[0]["done"], 1, "b is settled");
    assert!(!shown("61m"));
    assert_eq!(world.run(&near).json()[0]["done"], 0);
    assert_eq!(world.run(&["list", "--json"]).json().len(), 1);
}

#[tokio::test]
async fn who_discards_says_why() {
    let world = World::with([plain("a")]).await;
    let said = world.run(&["discard", "a"]);
    assert_eq!(said.status, 2);
    assert!(said.words.contains("--why"), "{}", said.words);
    assert_eq!(world.run(&["list", "--json"]).json().len(), 1);
}

/// Such as what some other program published: its place names it, and goes on naming it.
#[tokio::test]
async fn a_letter_without_an_id_is_kept_and_acted_on_by_its_place() {
    let world = World::with([undecodable(None), undecodable(None), plain("a")]).await;
    let table = world.run(&["list"]).stdout;
    let name = |line: &&str| line.trim().starts_with('@');
    let names: Vec<&str> = table.lines().filter(name).collect();
    let names: Vec<&str> = names
        .iter()
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    let [first, second] = names[..] else {
        panic!("{table}")
    };
    let shown = |name: &str| world.run(&["show", name]);
    assert!(shown(first).stdout.contains("not a message"));

    for _ in 0..2 {
        assert_eq!(
            world.run(&["renew", "--yes", "--json"]).json()[0]["done"],
            3
        );
        assert_eq!(world.run(&["list", "--json"]).json().len(), 3);
        let counted = world.run(&["groups", "--json", "--reason", "undecodable"]);
        assert_eq!(counted.json()[0]["count"], 2);
    }
    let discarded = world.run(&["discard", second, "--why", "no", "--json"]);
    assert_eq!(discarded.json()[0]["done"], 1, "{discarded:?}");
    assert!(shown(second).stdout.contains("discarded"));
    assert!(shown(first).stdout.contains("open"));
    let mended = world
        .command(&["edit", first])
        .env("EDITOR", EDITOR)
        .output();
    assert!(mended.unwrap().status.success());
    assert_eq!(world.queued().await.len(), 1);
    assert_eq!(world.run(&["list", "--json"]).json().len(), 1);
    assert_eq!(world.run(&["replay", "@4711", "--yes"]).status, 1);
}

#[tokio::test]
async fn an_edit_is_a_new_message_in_the_editor_or_by_setting_a_field() {
    let world = World::with([plain("a"), plain("b"), plain("c")]).await;
    let said = world.run(&["edit", "a", "--set", "/payload/message=x", "/metadata/n=1"]);
    assert_eq!(said.status, 0, "{}", said.words);
    let sent = said.json().remove(0);
    let new_id = sent["id"].as_str().unwrap();
    let edited = |editor: &str, id: &str| {
        let status = world
            .command(&["edit", id])
            .env("EDITOR", editor)
            .env_remove("VISUAL")
            .output();
        status.unwrap().status.code()
    };
    assert_eq!(edited("true", "b"), Some(1), "nothing was changed");
    assert_eq!(
        edited("sed -i s/raven.ops/raven/", "b"),
        Some(1),
        "it is no message"
    );
    assert_eq!(edited("sed -i s/whatsapp/signal/", "b"), Some(0));
    assert_eq!(world.run(&["edit", "c", "--set", "/nowhere/x=1"]).status, 2);
    assert_eq!(
        world
            .run(&["edit", "a", "--set", "/payload/message=y"])
            .status,
        1
    );
    let shown = world.run(&["show", "a"]).stdout;
    assert!(
        shown.contains("edited") && shown.contains(new_id),
        "{shown}"
    );
    let register = world.register().await;
    let standing = register.standing(&key("a")).unwrap();
    assert_eq!(
        standing.new_id.as_ref().map(ToString::to_string).as_deref(),
        Some(new_id)
    );
    assert_eq!(register.state(&key("b")), LetterState::Edited);
    assert_eq!(register.state(&key("c")), LetterState::Open);
    let queued = world.queued().await;
    assert_eq!((queued.len(), queued[0].0.as_str()), (2, new_id));
    assert_eq!(queued[0].1, Headers::default());
}

#[tokio::test]
async fn an_edit_that_was_cut_off_is_taken_over_with_its_new_message() {
    let parameters = json!({"new_id": "n-1"});
    let (_, records) = cut_off_at(Verb::Edit, "bob@host", "a", parameters);
    let world = World::with([plain("a")].into_iter().chain(records)).await;
    let edit = ["edit", "a", "--set", "/payload/message=x"];
    let said = world.run(&edit);
    assert_eq!(said.status, 1);
    assert!(said.words.contains("--take-over"), "{}", said.words);
    let said = world.run(&[&edit[..], &["--take-over"]].concat());
    assert_eq!(said.json()[0]["id"], "n-1", "{}", said.words);
    assert_eq!(world.queued().await.len(), 1);
}
