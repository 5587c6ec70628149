use std::{ops::Deref, path::Path, time::Duration};

use serde_json::Value;
use tidings_model::LaneReport;

use super::sandbox::http;
use crate::{Process, Program, eventually};

/// A worker that runs.
pub struct Worker {
    process: Process,
    admin: String,
    http: reqwest::Client,
}

impl Worker {
    pub(super) async fn start(configuration: &Path, arguments: &[&str]) -> Self {
        Self::listening(Self::program(configuration).args(arguments)).await
    }

    pub(super) fn program(configuration: &Path) -> Program {
        Program::new("tidings-worker")
            .arg("--config")
            .arg(configuration)
            .env("TIDINGS_LOG", "info,tidings_worker=debug")
    }

    pub(super) async fn listening(program: Program) -> Self {
        let process = program.start();
        let line = process.line("the admin endpoint listens").await;
        let line: Value = serde_json::from_str(&line).expect("a log line is JSON");
        let admin = line["admin"]
            .as_str()
            .expect("the admin endpoint's address");
        Self {
            admin: format!("http://{admin}"),
            process,
            http: http(),
        }
    }

    /// A page of the admin endpoint: its status and its words.
    ///
    /// # Panics
    /// Where it does not answer.
    pub async fn page(&self, path: &str) -> (u16, String) {
        let asked = self
            .http
            .get(format!("{}{path}", self.admin))
            .timeout(Duration::from_secs(10))
            .send()
            .await;
        let answer = asked.unwrap_or_else(|error| panic!("{path} of the admin endpoint: {error}"));
        (
            answer.status().as_u16(),
            answer.text().await.expect("words"),
        )
    }

    /// Waits until it is ready.
    pub async fn ready(&self) {
        eventually("the worker is ready", async || {
            match self.page("/readyz").await {
                (200, _) => Ok(()),
                other => Err(other),
            }
        })
        .await;
    }

    /// What `/lanes` says.
    ///
    /// # Panics
    /// Where that is no JSON.
    pub async fn lanes(&self) -> Vec<LaneReport> {
        let (status, text) = self.page("/lanes").await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).expect("reports of lanes")
    }

    /// What `/lanes` says of one account; nothing where it has no such lane.
    pub async fn lane(&self, account: &str) -> Option<LaneReport> {
        let lanes = self.lanes().await;
        lanes
            .into_iter()
            .find(|lane| lane.account.to_string() == account)
    }

    /// The sum of a metric over all its labels that contain `with`.
    ///
    /// # Panics
    /// Where `/metrics` does not read.
    pub async fn metric(&self, name: &str, with: &str) -> f64 {
        let (status, text) = self.page("/metrics").await;
        assert_eq!(status, 200, "{text}");
        text.lines()
            .filter(|line| line.starts_with(name) && line.contains(with))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

impl Deref for Worker {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}
