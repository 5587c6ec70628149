//! `make demo` is what a newcomer runs first.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use std::{env, fs, path::Path};

use tidings_tests::{Broker, Flavour, Program};

#[tokio::test]
async fn the_demo_runs_on_the_embedded_broker() {
    demo(None).await;
}

mod rabbitmq_3_10 {
    use super::*;

    #[tokio::test]
    async fn the_demo_runs_on_rabbitmq() {
        let vhost = Broker::shared(Flavour::Debian).await.vhost();
        demo(Some(vhost.url())).await;
    }
}

async fn demo(broker: Option<&str>) {
    const MARK: &str = "TIDINGS_TEST_DEMO";
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().display().to_string();
    let test = env::current_exe().unwrap();
    let built = test.ancestors().nth(2).expect("the folder of the programs");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/demo/run.sh");

    let output = Program::installed("bash")
        .arg(script)
        .args(broker)
        .env("TIDINGS_PROGRAMS", built)
        .env("TMPDIR", folder.path())
        .env(MARK, &mark)
        .run("")
        .await;

    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{}\n{text}", output.status);
    for shown in [
        "delivered",
        "rejected",
        "expired",
        "attempts-exhausted",
        "decided before",
        "the provider had it already",
        "-later ",
        "delivered  groupme.ops",
        "delivered  whatspie.shop",
        "delivered  grupo.site",
        "delivered  raven.crm",
        "delivered  pingup.acme",
        "Where to look next",
    ] {
        assert!(text.contains(shown), "{shown}:\n{text}");
    }
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "files are left: {left:?}");
    let running = processes_with(&format!("{MARK}={mark}"));
    assert!(running.is_empty(), "processes are left: {running:?}");
}

/// The processes whose environment has that, by their command lines.
fn processes_with(variable: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    processes
        .filter(|process| {
            let environment = fs::read(process.join("environ")).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|entry| entry == variable.as_bytes())
        })
        .map(|process| {
            String::from_utf8_lossy(&fs::read(process.join("cmdline")).unwrap_or_default())
                .replace('\0', " ")
        })
        .collect()
}
