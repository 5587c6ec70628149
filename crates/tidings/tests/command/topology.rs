use crate::world::World;

const CONFIG: &str = r#"
    broker = "sqlite:never-used.db"
    [accounts."groupme.ops"]
    secret = { env = "T" }
    [accounts."raven.desk"]
    secret = { env = "T" }
"#;

#[test]
fn what_verify_misses_apply_declares() {
    let world = World::empty();
    let config = world.file("tidings.toml", CONFIG);
    let config = config.to_str().unwrap();

    let missing = world.run(&["topology", "verify", "--config", config]);
    assert_eq!(missing.status, 1, "{missing:?}");
    assert!(
        missing.stdout.contains("groupme.ops") && missing.stdout.contains("raven.desk"),
        "{missing:?}"
    );

    let applied = world.run(&["topology", "apply", "--config", config]);
    assert_eq!(applied.status, 0, "{applied:?}");
    assert_eq!(
        world.run(&["topology", "apply", "--config", config]).status,
        0,
        "a second time changes nothing"
    );

    let verified = world.run(&["topology", "verify", "--config", config]);
    assert_eq!(
        (verified.status, verified.stdout.as_str()),
        (0, ""),
        "{verified:?}"
    );
}

#[test]
fn a_configuration_that_is_wrong_is_named_as_a_whole() {
    let world = World::empty();
    let config = world.file("tidings.toml", "drain = \"soon\"\nbrokr = \"x\"");
    let said = world.run(&["topology", "apply", "--config", config.to_str().unwrap()]);
    assert_eq!(said.status, 2, "{said:?}");
    assert!(
        said.stderr.contains("`drain`") && said.stderr.contains("`brokr`"),
        "{said:?}"
    );
    assert_eq!(
        world
            .run(&["topology", "apply", "--config", "/no/such"])
            .status,
        2
    );
}
