//! The image, where there is a container engine.

use std::{fs, process::Command};

use tempfile::tempdir;
use tidings_tests::{Process, Program, eventually};

use super::{
    path, read,
    tool::{get, leave_out, succeeds, tool},
};

const CHECK: &str = "the image";
/// What the tests have in any case: a Debian.
const STAND_IN: &str = "rabbitmq:4.3-management";

const PROGRAMS: [&str; 4] = [
    "tidings",
    "tidings-worker",
    "tidings-dlq",
    "tidings-sandbox",
];

#[test]
fn the_image_has_every_program() {
    let dockerfile = read("Dockerfile");
    let built: Vec<&str> = dockerfile
        .split_whitespace()
        .skip_while(|word| *word != "-p")
        .take_while(|word| *word != "\\")
        .filter(|word| *word != "-p")
        .collect();
    assert_eq!(built, PROGRAMS, "one of each package");
    for program in PROGRAMS {
        assert!(
            dockerfile.contains(&format!("target/release/{program} ")),
            "{program}"
        );
    }
}

/// The last stage of the Dockerfile, with the programs as they are built for the tests: its first one compiles them in
/// release mode, for many minutes.
fn dockerfile() -> String {
    let dockerfile = read("Dockerfile");
    let (_, last) = dockerfile
        .split_once("\nFROM ${BASE}")
        .expect("a last stage");
    format!("ARG BASE\nFROM ${{BASE}} AS build\nCOPY programs /programs\nFROM ${{BASE}}{last}")
}

/// The base that the Dockerfile names, where the engine has it or can pull it; else the stand-in.
async fn base() -> Option<String> {
    let dockerfile = read("Dockerfile");
    let official = dockerfile
        .lines()
        .find_map(|line| line.strip_prefix("ARG BASE="))
        .expect("a base");
    if docker(&["image", "inspect", official]).await || docker(&["pull", "--quiet", official]).await
    {
        return Some(official.to_owned());
    }
    docker(&["image", "inspect", STAND_IN])
        .await
        .then(|| STAND_IN.to_owned())
}

async fn docker(arguments: &[&str]) -> bool {
    Program::installed("docker")
        .args(arguments)
        .run("")
        .await
        .status
        .success()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_builds_and_its_worker_runs_and_stops() {
    if tool("docker", CHECK).is_none() {
        return;
    }
    if !docker(&["info"]).await {
        return leave_out(CHECK, "no container engine runs");
    }
    let Some(base) = base().await else {
        return leave_out(CHECK, "the base image cannot be pulled");
    };
    let container = Container::build(&base).await;
    let user = [
        "image",
        "inspect",
        "--format",
        "{{.Config.User}}",
        &container.name,
    ];
    let user = succeeds(Program::installed("docker").args(user)).await;
    assert_eq!(
        user.trim(),
        "65532:65532",
        "nobody in particular, and by number: not root"
    );
    for program in PROGRAMS {
        let run = ["run", "--rm", &container.name, program, "--version"];
        let said = succeeds(Program::installed("docker").args(run)).await;
        assert!(said.starts_with(program), "{said}");
    }
    let worker = container.start();
    worker.line("the worker runs").await;
    let address =
        succeeds(Program::installed("docker").args(["port", &container.name, "9464/tcp"])).await;
    eventually("the worker is ready, from outside", async || {
        match get(address.trim(), "/readyz") {
            Ok(answer) if answer.starts_with("HTTP/1.0 200") => Ok(()),
            other => Err(other),
        }
    })
    .await;
    succeeds(Program::installed("docker").args(["stop", "--time", "30", &container.name])).await;
    assert!(worker.exit().await.success(), "SIGTERM drains it");
}

/// A worker in a container, with what the manifests give it. It goes with its image, of the same name, when this is dropped.
struct Container {
    name: String,
}

impl Container {
    async fn build(base: &str) -> Self {
        let context = tempdir().expect("a temporary folder");
        let programs = context.path().join("programs");
        fs::create_dir(&programs).expect("a folder for the programs");
        for name in PROGRAMS {
            fs::copy(Program::new(name).path(), programs.join(name)).expect("a program is copied");
        }
        fs::write(context.path().join("Dockerfile"), dockerfile())
            .expect("the Dockerfile is written");
        let this = Self {
            name: format!("tidings-test-{:016x}", rand::random::<u64>()),
        };
        let build = Program::installed("docker")
            .args(["build", "--quiet", "--tag", &this.name, "--build-arg"])
            .arg(format!("BASE={base}"))
            .arg(context.path());
        succeeds(build).await;
        this
    }

    fn start(&self) -> Process {
        Program::installed("docker")
            .args([
                "run",
                "--rm",
                "--name",
                &self.name,
                "--publish",
                "127.0.0.1::9464",
            ])
            .args([
                "--read-only",
                "--tmpfs",
                "/tmp",
                "--cap-drop",
                "ALL",
                "--security-opt",
                "no-new-privileges",
            ])
            .args([
                "--env",
                "TIDINGS_BROKER=sqlite:/tmp/tidings.db",
                "--env",
                "SANDBOX_TOKEN=any",
                "--volume",
            ])
            .arg(format!(
                "{}:/etc/tidings/tidings.toml:ro",
                path("compose.toml").display()
            ))
            .arg(&self.name)
            .start()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        for arguments in [
            ["rm", "--force", &self.name],
            ["rmi", "--force", &self.name],
        ] {
            let _ = Command::new("docker").args(arguments).output();
        }
    }
}
