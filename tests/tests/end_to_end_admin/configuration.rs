//! What is wrong with a configuration is said before it is used.

use std::{collections::BTreeSet, fs};

use tidings_sandbox::{Fault, Faults};
use tidings_tests::{
    Program,
    fleet::{Fleet, On},
};

use super::QUICK;

#[tokio::test]
async fn a_configuration_is_checked_before_it_is_used() {
    let fleet = Fleet::on(On::Embedded)
        .account("groupme.ops", QUICK)
        .account("raven.crm", QUICK)
        .start()
        .await;
    let output = fleet.check_config(&[]).await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "groupme.ops: ok\nraven.crm: ok\n"
    );

    let online = fleet.check_config(&["--online"]).await;
    let words = String::from_utf8_lossy(&online.stdout).into_owned();
    assert_eq!(online.status.code(), Some(0), "{words}");
    assert!(
        words.contains("groupme.ops: ok, and the provider takes its secret"),
        "{words}"
    );
    assert!(
        words.contains("raven.crm: ok; the provider has no harmless call"),
        "{words}"
    );

    fleet
        .sandbox
        .set_faults(&Faults::none().fault(Fault::bad_token()))
        .await;
    let online = fleet.check_config(&["--online"]).await;
    let words = String::from_utf8_lossy(&online.stderr).into_owned();
    assert_eq!(online.status.code(), Some(2), "{words}");
    assert!(
        words.contains("account groupme.ops: the provider refuses its secret"),
        "{words}"
    );

    fleet.configuration().replace_secret("raven.crm", " \n");
    let output = fleet.check_config(&[]).await;
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        words.contains("raven.crm") && words.contains("is empty"),
        "{words}"
    );
}

#[tokio::test]
async fn all_that_is_wrong_with_a_configuration_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.toml");
    fs::write(
        &file,
        r#"
            broker = "http://somewhere"
            drain = "soon"
            colour = "blue"
            [accounts."telegram.ops"]
            [accounts."grupo.site"]
            rate = "fast"
            secret = { env = "A", file = "b" }
        "#,
    )
    .unwrap();
    let keys: BTreeSet<&str> = [
        "broker",
        "drain",
        "colour",
        "telegram.ops",
        "base_url",
        "rate",
        "secret",
    ]
    .into();
    let check = Program::new("tidings-worker")
        .args(["check-config", "--config"])
        .arg(&file);
    let run = Program::new("tidings-worker").arg("--config").arg(&file);
    let apply = Program::new("tidings")
        .args(["topology", "apply", "--config"])
        .arg(&file);
    for program in [check, run, apply] {
        let output = program.run("").await;
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words}");
        for key in &keys {
            let named = words
                .lines()
                .any(|line| line.contains("wrong.toml") && line.contains(key));
            assert!(named, "{key}:\n{words}");
        }
    }

    let missing = Program::new("tidings-worker")
        .args(["--config", "/no/such/file"])
        .run("")
        .await;
    assert_eq!(missing.status.code(), Some(2));
    let nothing = Program::new("tidings-worker").run("").await;
    assert_eq!(nothing.status.code(), Some(2));
}
