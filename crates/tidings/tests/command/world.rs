use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::Arc,
};

use serde_json::Value;
use tempfile::TempDir;
use tidings::{Account, Topology};
use tidings_broker::{Broker, Options};

/// A folder with an embedded broker in it.
pub(crate) struct World {
    folder: TempDir,
}

/// What a command said and did.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    /// A broker without a topology.
    pub(crate) fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A broker with lanes for `groupme.ops` and `pingup.shop`.
    pub(crate) async fn new() -> Self {
        let world = Self::empty();
        let accounts = ["groupme.ops", "pingup.shop"].map(account);
        let broker = world.broker().await;
        broker.apply(&Topology::of(accounts)).await.unwrap();
        broker.close().await;
        world
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite:{}", self.folder.path().join("tidings.db").display())
    }

    pub(crate) async fn broker(&self) -> Arc<dyn Broker> {
        let url = self.url().parse().unwrap();
        tidings_broker::connect(&url, Options::new("test".into()))
            .await
            .unwrap()
    }

    pub(crate) async fn queued(&self, account_name: &str) -> u64 {
        let broker = self.broker().await;
        let depth = broker.depth(&account(account_name)).await.unwrap();
        broker.close().await;
        depth.ready
    }

    /// Writes a file into the folder.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
        command.args(args).env("TIDINGS_BROKER", self.url());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        self.command(args).output().unwrap().into()
    }

    /// Runs with this on stdin.
    pub(crate) fn feed(&self, args: &[&str], input: &[u8]) -> Said {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap().into()
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
    /// Its lines of JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        let lines = self.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// A field of each of its lines of JSON.
    pub(crate) fn column(&self, field: &str) -> Vec<String> {
        let values = self.json().into_iter();
        values
            .map(|line| line[field].as_str().unwrap().to_owned())
            .collect()
    }
}

pub(crate) fn account(name: &str) -> Account {
    name.parse().unwrap()
}

/// A line of a file of messages.
pub(crate) fn line(id: &str, account: &str) -> String {
    let payload = match account.split_once('.').unwrap().0 {
        "pingup" => r#"{"client": "c-1", "text_message": "hi", "delay": "1M"}"#,
        _ => r#"{"group_id": "1", "text": "hi"}"#,
    };
    format!(r#"{{"account": "{account}", "payload": {payload}, "id": "{id}"}}"#)
}
