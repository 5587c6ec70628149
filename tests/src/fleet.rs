//! A fleet as it runs: a broker, a configuration, the pretended providers, workers, and what they wrote down. Every
//! program is the real one, in a process of its own.
//!
//! ```no_run
//! # async fn example() {
//! use tidings_tests::fleet::{Fleet, On, messages};
//!
//! let fleet = Fleet::on(On::Embedded)
//!     .account("raven.crm", r#"rate = "100/s""#)
//!     .start()
//!     .await;
//! let worker = fleet.worker().await;
//! let ids = fleet.send(&messages("raven.crm", "m", 10)).await;
//! fleet.ended(&ids).await;
//! assert!(worker.terminate().await.success());
//! # }
//! ```

mod book;
mod configuration;
mod dead;
mod ledger;
mod message;
mod pace;
mod place;
mod reckoning;
mod sandbox;
mod users;
mod worker;

pub use book::Book;
pub use configuration::Configuration;
pub use dead::{refusal, refusals};
pub use ledger::Ledger;
pub use message::{ONE_OF_EACH, message, messages, to};
pub use pace::{AFTER_A_KILL, IN_ORDER, Limited, TOLERANCE, Watched, after_a_freeze};
pub use place::On;
pub use reckoning::Reckoning;
pub use sandbox::{Sandbox, http};
pub use users::{Role, Users};
pub use worker::Worker;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Output,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;
use tidings_broker::{Broker, Options};
use tidings_model::{BrokerUrl, DeadLetter, Outcome};
use tidings_sandbox::Faults;

use self::place::Place;
use crate::{PATIENCE, PrivateNode, Program, Signal, eventually_within};

/// How long a fleet may take to bring everything to its end: longer than [`PATIENCE`], since it is a lot.
const ENDING: Duration = PATIENCE.saturating_mul(3);

/// A broker with its topology declared, the sandbox, and a configuration that knows both.
pub struct Fleet {
    /// What the configuration file says; [`Fleet::reconfigure`] changes both.
    configuration: Configuration,
    /// The providers.
    pub sandbox: Sandbox,
    /// What the ledger says, as it is written.
    pub ledger: Ledger,
    /// A connection of the test's own, for what no program of Tidings does.
    pub broker: Arc<dyn Broker>,
    place: Place,
    folder: TempDir,
}

/// A fleet that is about to start.
pub struct Draft {
    on: On,
    configuration: Configuration,
    faults: Faults,
}

impl Draft {
    /// Adds an account whose base URL is the sandbox's and whose secret is in a file; `settings` are lines of TOML.
    #[must_use]
    pub fn account(mut self, name: &str, settings: &str) -> Self {
        self.configuration.account(name, settings);
        self
    }

    /// Adds lines of TOML in front of the accounts.
    #[must_use]
    pub fn settings(mut self, settings: &str) -> Self {
        self.configuration.settings.push_str(settings);
        self
    }

    /// What goes wrong from the start.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Starts the sandbox, and declares the topology. No worker runs yet.
    ///
    /// # Panics
    /// Where anything of that fails.
    pub async fn start(self) -> Fleet {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = Place::prepare(self.on, folder.path()).await;
        let sandbox = Sandbox::start().await;
        sandbox.set_faults(&self.faults).await;
        let mut configuration = self.configuration;
        configuration.place(folder.path(), &place.url_of(Role::Worker), sandbox.url());
        configuration.write();
        apply(&configuration, &place).await;
        let url: BrokerUrl = place.url().parse().expect("a broker's URL");
        let broker = tidings_broker::connect(&url, Options::new("test".into()))
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        Fleet {
            configuration,
            sandbox,
            ledger: Ledger::follow(broker.clone()),
            broker,
            place,
            folder,
        }
    }
}

impl Fleet {
    /// A fleet on that broker, with nothing in it yet.
    pub fn on(on: On) -> Draft {
        Draft {
            on,
            configuration: Configuration::default(),
            faults: Faults::none(),
        }
    }

    /// The broker's URL for a program's `--broker`: on RabbitMQ as a user who may do no more than this role needs.
    pub fn url(&self, role: Role) -> String {
        self.place.url_of(role)
    }

    /// The configuration, as it was written last.
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// Changes the configuration file, and declares what it names. Workers that run know nothing of it yet.
    pub async fn reconfigure(&mut self, change: impl FnOnce(&mut Configuration)) {
        change(&mut self.configuration);
        self.configuration.write();
        apply(&self.configuration, &self.place).await;
    }

    /// Starts a worker, and waits until its admin endpoint listens.
    pub async fn worker(&self) -> Worker {
        self.worker_with(&[]).await
    }

    /// The same with more arguments.
    pub async fn worker_with(&self, arguments: &[&str]) -> Worker {
        Worker::start(&self.configuration.file(), arguments).await
    }

    /// A worker with more in its environment.
    pub async fn worker_in(&self, environment: &[(&str, &str)]) -> Worker {
        let program = Worker::program(&self.configuration.file());
        let with = |program: Program, (name, value): &(&str, &str)| program.env(name, value);
        Worker::listening(environment.iter().fold(program, with)).await
    }

    /// A worker with another configuration, and more arguments.
    pub async fn worker_of(&self, configuration: &Path, arguments: &[&str]) -> Worker {
        Worker::start(configuration, arguments).await
    }

    /// Runs `tidings-worker check-config` with the configuration and these arguments.
    pub async fn check_config(&self, arguments: &[&str]) -> Output {
        Program::new("tidings-worker")
            .args(["check-config", "--config"])
            .arg(self.configuration.file())
            .args(arguments)
            .run("")
            .await
    }

    /// Hands messages to `tidings send`, and returns their ids once the broker confirmed all of them.
    ///
    /// # Panics
    /// Where it does not take every one.
    pub async fn send(&self, messages: &[Value]) -> Vec<String> {
        let output = self.try_to_send(messages).await;
        assert!(
            output.status.success(),
            "tidings send: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let receipts = lines(&output.stdout);
        assert!(
            receipts.iter().all(|receipt| receipt["status"] == "queued"),
            "{receipts:?}"
        );
        assert_eq!(receipts.len(), messages.len());
        let id = |receipt: &Value| receipt["id"].as_str().expect("a receipt's id").to_owned();
        receipts.iter().map(id).collect()
    }

    /// Hands messages to `tidings send`, and returns what it said.
    pub async fn try_to_send(&self, messages: &[Value]) -> Output {
        let lines: Vec<String> = messages.iter().map(Value::to_string).collect();
        self.command("tidings", &["send"])
            .run(lines.join("\n"))
            .await
    }

    /// A program that is told where the broker is, as the user for what it does.
    pub fn command(&self, program: &'static str, arguments: &[&str]) -> Program {
        let role = match (program, arguments.first()) {
            ("tidings-dlq", _) => Role::Inspector,
            (_, Some(&"send")) => Role::Producer,
            (_, Some(&"outcomes")) => Role::Reader,
            _ => Role::Operator,
        };
        Program::new(program)
            .args(arguments)
            .args(["--broker", &self.url(role)])
    }

    /// Waits until each of these has an outcome, and returns them.
    pub async fn ended(&self, ids: &[String]) -> BTreeMap<String, Outcome> {
        eventually_within(ENDING, "every message has ended", async || {
            let open = self.ledger.open(ids);
            match open.first() {
                None => Ok(()),
                Some(first) => Err(format!(
                    "{} of {} are open, {first} for one",
                    open.len(),
                    ids.len()
                )),
            }
        })
        .await;
        let wanted: BTreeSet<&String> = ids.iter().collect();
        let mut outcomes = self.ledger.outcomes();
        outcomes.retain(|id, _| wanted.contains(id));
        outcomes
    }

    /// Waits until each of these has an outcome, and puts the ledger, the dead letters and the sandbox's book together.
    pub async fn reckon(&self, ids: &[String]) -> Reckoning {
        let outcomes = self.ended(ids).await;
        // A letter follows its outcome, in a step of its own.
        let dead = outcomes
            .values()
            .filter(|outcome| outcome.reason().is_some())
            .count();
        let letters = eventually_within(PATIENCE, "every dead message has a letter", async || {
            let letters = self.letters().await;
            match letters.len() >= dead {
                true => Ok(letters),
                false => Err(format!("{} letters for {dead}", letters.len())),
            }
        });
        Reckoning {
            letters: letters.await,
            outcomes,
            book: self.sandbox.book().await,
        }
    }

    /// The dead letters, as `tidings-dlq list --json` shows them.
    ///
    /// # Panics
    /// Where it fails.
    pub async fn letters(&self) -> Vec<DeadLetter> {
        let output = self
            .command("tidings-dlq", &["list", "--json"])
            .run("")
            .await;
        assert!(
            output.status.success(),
            "tidings-dlq list: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let letter = |line| serde_json::from_value(line).expect("a dead letter");
        lines(&output.stdout).into_iter().map(letter).collect()
    }

    /// Freezes a worker until it gets `CONT`; returns from when on it stands still.
    ///
    /// One of the embedded broker is not frozen in the middle of a write, which would keep its file from all others.
    ///
    /// # Panics
    /// Where it does not stand still.
    pub async fn freeze(&self, worker: &Worker) -> Timestamp {
        loop {
            worker.freeze().await;
            let frozen_at = Timestamp::now();
            if self.place.takes_writes() {
                return frozen_at;
            }
            worker.signal(Signal::CONT);
        }
    }

    /// Freezes a worker of the embedded broker in the middle of a write: the file is kept from all others.
    ///
    /// # Panics
    /// Where it does not stand still.
    pub async fn freeze_writing(&self, worker: &Worker) {
        loop {
            worker.freeze().await;
            if !self.place.takes_writes() {
                return;
            }
            worker.signal(Signal::CONT);
        }
    }

    /// The node of [`On::OwnRabbitMq`].
    ///
    /// # Panics
    /// Anywhere else.
    pub fn node(&mut self) -> &mut PrivateNode {
        self.place.node()
    }

    /// Where the fleet keeps its files: the configuration, the secrets, the embedded broker's file.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

async fn apply(configuration: &Configuration, place: &Place) {
    let output = Program::new("tidings")
        .args(["topology", "apply", "--config"])
        .arg(configuration.file())
        .env("TIDINGS_BROKER", place.url_of(Role::Operator))
        .run("")
        .await;
    assert!(
        output.status.success(),
        "tidings topology apply: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn lines(stdout: &[u8]) -> Vec<Value> {
    String::from_utf8_lossy(stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}
