//! The systemd unit.

use std::fs;

use tempfile::tempdir;
use tidings_tests::Program;

use super::{
    read,
    tool::{succeeds, tool},
};

/// In tenths, as `systemd-analyze security` counts: 0 is no exposure, 100 all of it.
const EXPOSURE: &str = "20";

/// What systemd says of the unit, which must please it. A program that is there has the worker's place: systemd looks
/// whether it can be run.
async fn systemd_says(arguments: &[&str], check: &str) -> String {
    let Some(analyze) = tool("systemd-analyze", check) else {
        return String::new();
    };
    let folder = tempdir().expect("a temporary folder");
    let file = folder.path().join("tidings-worker.service");
    let unit = read("systemd/tidings-worker.service");
    let program = "/usr/bin/tidings-worker";
    assert!(unit.contains(program));
    fs::write(&file, unit.replace(program, "/bin/true")).expect("the unit is written");
    succeeds(analyze.args(arguments).arg(file)).await
}

/// A key that it does not know is only a warning.
#[tokio::test]
async fn systemd_takes_the_unit_without_a_warning() {
    let words = systemd_says(&["verify", "--man=no"], "the systemd unit").await;
    assert!(!words.contains("tidings-worker.service:"), "{words}");
}

#[tokio::test]
async fn the_unit_is_hardened() {
    let threshold = format!("--threshold={EXPOSURE}");
    let arguments = ["security", "--offline=true", "--no-pager", &threshold];
    systemd_says(&arguments, "the systemd unit's hardening").await;
}

/// The command lines of the unit, without the configuration's path, are ones that the worker knows.
#[tokio::test]
async fn the_worker_knows_the_units_arguments() {
    let unit = read("systemd/tidings-worker.service");
    let commands: Vec<&str> = unit
        .lines()
        .filter_map(|line| {
            line.strip_prefix("ExecStartPre=")
                .or(line.strip_prefix("ExecStart="))
        })
        .collect();
    assert_eq!(commands.len(), 2, "{unit}");
    for command in commands {
        let arguments = command.split(' ').skip(1);
        let output = Program::new("tidings-worker").args(arguments).run("").await;
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(
            words.contains("/etc/tidings/tidings.toml: No such file"),
            "{words}"
        );
    }
}
