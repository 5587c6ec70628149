use std::{
    fs,
    process::{Command, Output},
    sync::Arc,
};

use serde_json::Value;
use tempfile::TempDir;
use tidings_broker::{Broker, DeadRecord, LaneEvent, LaneName, Options, ReadFrom, Topology};
use tidings_dlq::{Operator, Register};
use tidings_model::Headers;

use crate::records::{groupme, raven};

/// A folder with an embedded broker, and some letters in it.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) broker: Arc<dyn Broker>,
}

/// What the command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    /// For people.
    pub(crate) words: String,
}

impl World {
    pub(crate) async fn with(letters: impl IntoIterator<Item = DeadRecord>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let broker = open(&folder).await;
        let world = Self { folder, broker };
        world.add(letters).await;
        world
    }

    pub(crate) async fn add(&self, letters: impl IntoIterator<Item = DeadRecord>) {
        let letters = letters.into_iter().collect();
        self.broker.record(letters).await.unwrap();
    }

    /// The same place with another broker in it, and nothing on that.
    pub(crate) async fn start_over(&mut self) {
        self.broker.close().await;
        for file in ["tidings.db", "tidings.db-wal", "tidings.db-shm"] {
            let _ = fs::remove_file(self.folder.path().join(file));
        }
        self.broker = open(&self.folder).await;
    }

    pub(crate) fn operator(&self, by: &str) -> Operator {
        Operator::new(Arc::clone(&self.broker), by.into())
    }

    pub(crate) async fn register(&self) -> Register {
        Register::read(&*self.broker, ReadFrom::First)
            .await
            .unwrap()
    }

    /// The command with these arguments, told where the broker is and to keep its index here.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidings-dlq"));
        command
            .args(arguments)
            .env("TIDINGS_BROKER", url(&self.folder))
            .env("XDG_CACHE_HOME", self.folder.path())
            .env("USER", "ann");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        self.command(arguments).output().unwrap().into()
    }

    /// The same at a terminal of its own, where somebody types this: all that the terminal showed, and the exit status.
    #[cfg(target_os = "linux")]
    pub(crate) fn run_at_a_terminal(&self, arguments: &str, types: &str) -> (i32, String) {
        let command = format!("{} {arguments}", env!("CARGO_BIN_EXE_tidings-dlq"));
        let plain = self.command(&[]);
        let mut terminal = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .envs(
                plain
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // Kept open: what ends is the program, not the terminal.
        let mut keys = terminal.stdin.take().unwrap();
        std::io::Write::write_all(&mut keys, types.as_bytes()).unwrap();
        let output = terminal.wait_with_output().unwrap();
        drop(keys);
        let shown = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), shown)
    }

    /// What `list` lists.
    pub(crate) fn ids(&self, arguments: &[&str]) -> Vec<String> {
        let said = self.run(&[&["list", "--json"], arguments].concat());
        assert_eq!(said.status, 0, "{said:?}");
        let id = |letter: &Value| letter["message"]["id"].as_str().unwrap().to_owned();
        said.json().iter().map(id).collect()
    }

    /// What waits in the lane: ids and headers, in order.
    pub(crate) async fn queued(&self) -> Vec<(String, Headers)> {
        let ready = self.broker.depth(&raven()).await.unwrap().ready;
        let lane = LaneName::Account(raven());
        let mut lane = self.broker.subscribe(lane, u16::MAX).await.unwrap();
        let mut queued = Vec::new();
        for _ in 0..ready {
            let Some(LaneEvent::Delivered(delivery)) = lane.events.recv().await else {
                panic!("{ready} wait");
            };
            let body: Value = serde_json::from_slice(&delivery.body).unwrap();
            let id = body["id"].as_str().unwrap().to_owned();
            queued.push((id, delivery.headers.clone()));
            delivery.leave();
        }
        lane.settle.close().await;
        queued
    }
}

fn url(folder: &TempDir) -> String {
    format!("sqlite:{}", folder.path().join("tidings.db").display())
}

async fn open(folder: &TempDir) -> Arc<dyn Broker> {
    let url = url(folder).parse().unwrap();
    let options = Options::new("test".into());
    let broker = tidings_broker::connect(&url, options).await.unwrap();
    let topology = Topology::of([groupme(), raven()]);
    broker.apply(&topology).await.unwrap();
    broker
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            status: output.status.code().unwrap(),
            stdout: text(output.stdout),
            words: text(output.stderr),
        }
    }
}

impl Said {
    pub(crate) fn json(&self) -> Vec<Value> {
        let lines = self.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Whether a terminal would take some of it for orders.
pub(crate) fn acts_on_a_terminal(text: &str) -> bool {
    text.chars()
        .any(|c| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}'))
}
