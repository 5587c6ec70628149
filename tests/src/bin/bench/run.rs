//! One drain: a fresh vhost with a backlog, a sandbox, and the program that drains it.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures::{StreamExt as _, stream::FuturesUnordered};
use jiff::Timestamp;
use serde_json::Value;
use tempfile::{NamedTempFile, TempDir};
use tidings_broker::{Envelope, Options, Topology};
use tidings_model::{Account, Draft, Headers, MessageId, payload::groupme};
use tidings_tests::{Broker, Flavour, Process, Program, Vhost};

/// Who drains the backlog.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Drainer {
    /// lapin and reqwest, by hand.
    PlainLoop,
    /// `tidings-worker`, unlimited rate, concurrency 64.
    Worker,
}

/// How it went.
pub(crate) struct Drained {
    /// From the first tenth to the last message, by the sandbox's clock.
    pub(crate) per_second: f64,
    /// The drainer's own processor time for each message, user and system.
    pub(crate) cpu_micros: f64,
    /// The drainer's peak resident memory.
    pub(crate) peak_mib: f64,
}

/// What all drains share.
pub(crate) struct Bench {
    broker: Broker,
    account: Account,
    http: reqwest::Client,
}

const QUEUE: &str = "tidings.lane.groupme-bench";

impl Bench {
    pub(crate) async fn start() -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let broker = Broker::shared(Flavour::Debian).await;
        Ok(Self {
            broker,
            account: "groupme.bench".parse()?,
            http: reqwest::Client::builder().build()?,
        })
    }

    pub(crate) async fn drain(
        &self,
        drainer: Drainer,
        latency: &str,
        messages: usize,
    ) -> Result<Drained> {
        let vhost = self.broker.vhost();
        let broker = self.declare(&vhost).await?;
        self.fill(&*broker, messages).await?;
        broker.close().await;
        let folder = tempfile::tempdir()?;
        let (sandbox, url) = sandbox(&folder, latency).await?;
        let process = self.start_drainer(drainer, &vhost, &folder, &url)?;
        let summary = self.until_received(&url, messages, &process).await?;
        let (cpu, peak_mib) = used(process.id())?;
        match drainer {
            Drainer::Worker => anyhow::ensure!(
                process.terminate().await.success(),
                "the worker did not end well"
            ),
            Drainer::PlainLoop => process.kill9().await,
        }
        drop(sandbox);
        let millis = |name: &str| {
            summary[name]
                .as_f64()
                .with_context(|| format!("the summary has no {name}"))
        };
        let count = messages as f64;
        let seconds = (millis("last_ms")? - millis("tenth_ms")?) / 1000.0;
        Ok(Drained {
            per_second: count * 0.9 / seconds,
            cpu_micros: cpu.as_secs_f64() * 1e6 / count,
            peak_mib,
        })
    }

    /// `tidings send` from a file: messages a second, from its start to its end.
    pub(crate) async fn send(&self, messages: usize) -> Result<f64> {
        let vhost = self.broker.vhost();
        self.declare(&vhost).await?.close().await;
        let mut lines = NamedTempFile::new()?;
        for number in 0..messages {
            let line = format!(
                r#"{{"account":"{}","payload":{{"group_id":"{}","text":"Deploy finished, all is well"}}}}"#,
                self.account,
                number % 50
            );
            writeln!(lines, "{line}")?;
        }
        let program = Program::new("tidings").args(["send", "--broker", vhost.url(), "--file"]);
        let began = Instant::now();
        let output = program.arg(lines.path()).run([]).await;
        let took = began.elapsed();
        let queued = output.stdout.iter().filter(|byte| **byte == b'\n').count();
        anyhow::ensure!(
            output.status.success() && queued == messages,
            "{queued} of {messages} sent: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(messages as f64 / took.as_secs_f64())
    }

    /// Declares the topology.
    async fn declare(&self, vhost: &Vhost) -> Result<Arc<dyn tidings_broker::Broker>> {
        let broker =
            tidings_broker::connect(&vhost.url().parse()?, Options::new("bench".into())).await?;
        // As the worker's configuration has them where it says nothing.
        let days = |count: u64| Duration::from_secs(count * 86_400);
        broker
            .apply(&Topology {
                accounts: vec![self.account.clone()],
                ledger_max_age: days(7),
                dead_max_age: days(180),
            })
            .await?;
        Ok(broker)
    }

    /// Puts the backlog into the lane.
    async fn fill(&self, broker: &dyn tidings_broker::Broker, messages: usize) -> Result<()> {
        let mut confirmations = FuturesUnordered::new();
        for number in 0..messages {
            confirmations.push(broker.publish(self.message(number)?).await?);
            while confirmations.len() >= 1000 {
                confirmations.next().await.transpose()?;
            }
        }
        while let Some(confirmed) = confirmations.next().await {
            confirmed?;
        }
        Ok(())
    }

    fn message(&self, number: usize) -> Result<Envelope> {
        let id: MessageId = format!("bench-{number}").parse()?;
        let text = groupme::Text::to((number % 50).to_string())
            .text("Deploy finished, all is well")
            .build()?;
        let draft = Draft::new(self.account.clone(), text).id(id.clone());
        let message = draft.accept(Timestamp::now(), || id.clone())?;
        let body = Bytes::from(message.encode());
        Ok(Envelope {
            account: self.account.clone(),
            id,
            body,
            headers: Headers::default(),
        })
    }

    fn start_drainer(
        &self,
        drainer: Drainer,
        vhost: &Vhost,
        folder: &TempDir,
        url: &str,
    ) -> Result<Process> {
        let base = format!("{url}/groupme");
        let program = match drainer {
            Drainer::PlainLoop => Program::new("plain-loop").args([vhost.url(), QUEUE, &base]),
            Drainer::Worker => {
                let mut config = format!("broker = {:?}\nadmin = \"127.0.0.1:0\"\n", vhost.url());
                write!(
                    config,
                    "[accounts.\"groupme.bench\"]\nbase_url = {base:?}\nsecret = {{ env = \"BENCH\" }}\n"
                )?;
                config.push_str("rate = \"unlimited\"\nconcurrency = 64\n");
                let path = folder.path().join("bench.toml");
                fs::write(&path, config)?;
                Program::new("tidings-worker")
                    .arg("--config")
                    .arg(path)
                    .env("BENCH", "bench")
            }
        };
        Ok(program.start())
    }

    async fn until_received(&self, url: &str, messages: usize, drainer: &Process) -> Result<Value> {
        loop {
            if let Some(status) = drainer.ended() {
                anyhow::bail!("it ended with {status}:\n{}", drainer.log());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            let answer = self
                .http
                .get(format!("{url}/received/summary"))
                .send()
                .await?
                .bytes()
                .await?;
            let summary: Value = serde_json::from_slice(&answer)?;
            if summary["received"]
                .as_u64()
                .is_some_and(|received| received >= messages as u64)
            {
                return Ok(summary);
            }
        }
    }
}

async fn sandbox(folder: &TempDir, latency: &str) -> Result<(Process, String)> {
    let faults = folder.path().join("faults.json");
    fs::write(
        &faults,
        format!(r#"{{"latency": [{{"takes": {{"fixed": {latency:?}}}}}]}}"#),
    )?;
    let arguments = ["--listen", "127.0.0.1:0", "--no-bodies", "--faults"];
    let sandbox = Program::new("tidings-sandbox")
        .args(arguments)
        .arg(&faults)
        .start();
    let line = sandbox.line("the book is at ").await;
    let (_, book) = line
        .split_once("the book is at ")
        .context("the sandbox's address")?;
    let url = book.trim_end_matches("/received").to_owned();
    Ok((sandbox, url))
}

/// Processor time and peak memory of a process, as Linux tells them.
fn used(pid: u32) -> Result<(Duration, f64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|field| field.parse::<u64>().ok())
            .context("/proc/PID/stat")
    };
    // utime and stime are fields 14 and 15 of all, in hundredths of a second.
    let cpu = Duration::from_millis((ticks(11)? + ticks(12)?) * 10);
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("VmHWM in /proc/PID/status")?;
    let kib: f64 = peak.trim().trim_end_matches("kB").trim().parse()?;
    Ok((cpu, kib / 1024.0))
}
