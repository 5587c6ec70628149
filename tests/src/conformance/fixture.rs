use std::{fmt, future::Future, marker::PhantomData, path::PathBuf, sync::Arc, time::Duration};

use rusqlite::Connection;
use tempfile::TempDir;
use tidings_broker::{Broker, Options, Topology};
use tidings_model::{Account, BrokerUrl};

use super::{amqp::Amqp, in_time};
use crate::{Broker as RunningBroker, Flavour, PrivateNode, Vhost};

/// The account that checks send to.
pub(super) const OPS: &str = "groupme.ops";
/// Another one.
pub(super) const ALERTS: &str = "raven.alerts";

/// A broker for one check: fresh, empty, and with a lane for each of `OPS` and `ALERTS`.
pub trait Fixture: Sized + Send + Sync {
    /// Whether record, effect and acknowledgement are steps that a crash can part, or one transaction.
    const IN_STEPS: bool;

    /// How long a killed owner's lane stays without one, at most.
    const TAKE_OVER: Duration;

    /// Prepares one, with the topology applied.
    fn fresh() -> impl Future<Output = Result<Self, LeftOut>> + Send;

    /// Where processes of their own connect to.
    fn url(&self) -> String;

    /// How many messages wait in the delays, looked at beside the port.
    fn delayed(&self) -> impl Future<Output = u32> + Send;

    /// A new connection, as another process would make it.
    fn connect(&self, name: &str) -> impl Future<Output = Arc<dyn Broker>> + Send {
        connect(self.url(), name.to_owned())
    }
}

/// A fixture that other clients reach as well, with whatever AMQP can say.
pub trait OverAmqp: Fixture {
    /// A connection beside the port.
    fn amqp(&self) -> impl Future<Output = Amqp> + Send {
        Amqp::connect(self.url())
    }
}

/// Why a check cannot run here. The last line of a test run says so too.
#[derive(Debug)]
pub struct LeftOut(String);

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "left out: {}", self.0)
    }
}

pub(super) fn account(name: &str) -> Account {
    name.parse().expect("an account")
}

pub(super) fn topology(accounts: &[&str]) -> Topology {
    const DAY: Duration = Duration::from_secs(86_400);
    Topology {
        accounts: accounts.iter().map(|name| account(name)).collect(),
        ledger_max_age: 7 * DAY,
        dead_max_age: 180 * DAY,
    }
}

async fn connect(url: String, name: String) -> Arc<dyn Broker> {
    let url: BrokerUrl = url.parse().expect("a broker's URL");
    let connecting = tidings_broker::connect(&url, Options::new(name.into()));
    in_time("a connection", connecting)
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Declares all that the contract names, with lanes for these accounts.
pub(super) async fn apply(broker: &dyn Broker, accounts: &[&str]) {
    in_time("the topology", broker.apply(&topology(accounts)))
        .await
        .unwrap_or_else(|error| panic!("{error}"));
}

async fn prepare(url: String) {
    let broker = connect(url, "operator".into()).await;
    apply(&*broker, &[OPS, ALERTS]).await;
    broker.close().await;
}

/// The embedded broker: a file in a folder of its own.
pub struct Embedded(TempDir);

impl Embedded {
    fn file(&self) -> PathBuf {
        self.0.path().join("tidings.db")
    }
}

impl Fixture for Embedded {
    const IN_STEPS: bool = false;
    const TAKE_OVER: Duration = Duration::from_secs(10);

    async fn fresh() -> Result<Self, LeftOut> {
        let fixture = Self(tempfile::tempdir().expect("a temporary folder"));
        prepare(fixture.url()).await;
        Ok(fixture)
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.file().display())
    }

    async fn delayed(&self) -> u32 {
        let file = Connection::open(self.file()).expect("the broker's file");
        file.query_row("SELECT count(*) FROM delayed", [], |row| row.get(0))
            .expect("a count")
    }
}

/// Which RabbitMQ a fixture runs on.
pub trait Version: Send + Sync {
    /// The harness's name for it.
    const FLAVOUR: Flavour;
}

/// RabbitMQ 3.10, the oldest that is supported.
pub struct V3_10;

impl Version for V3_10 {
    const FLAVOUR: Flavour = Flavour::Debian;
}

/// RabbitMQ 4.3, what production runs.
pub struct V4_3;

impl Version for V4_3 {
    const FLAVOUR: Flavour = Flavour::V43;
}

impl LeftOut {
    /// What the harness found out before the first test.
    fn check(flavour: Flavour) -> Result<(), Self> {
        match std::env::var("TIDINGS_TEST_WITHOUT_43") {
            Ok(why) if flavour == Flavour::V43 => Err(Self(why)),
            _ => Ok(()),
        }
    }
}

/// A vhost on the RabbitMQ that all tests share.
pub struct SharedNode<V> {
    vhost: Vhost,
    version: PhantomData<V>,
}

impl<V: Version> Fixture for SharedNode<V> {
    const IN_STEPS: bool = true;
    const TAKE_OVER: Duration = Duration::from_secs(5);

    async fn fresh() -> Result<Self, LeftOut> {
        LeftOut::check(V::FLAVOUR)?;
        let vhost = RunningBroker::shared(V::FLAVOUR).await.vhost();
        prepare(vhost.url().to_owned()).await;
        Ok(Self {
            vhost,
            version: PhantomData,
        })
    }

    fn url(&self) -> String {
        self.vhost.url().to_owned()
    }

    async fn delayed(&self) -> u32 {
        self.amqp().await.delayed().await
    }
}

impl<V: Version> OverAmqp for SharedNode<V> {}

/// A RabbitMQ of one's own, to stop, kill, freeze and alarm.
pub struct OwnNode<V> {
    pub(super) node: PrivateNode,
    version: PhantomData<V>,
}

impl<V: Version> Fixture for OwnNode<V> {
    const IN_STEPS: bool = true;
    const TAKE_OVER: Duration = Duration::from_secs(5);

    async fn fresh() -> Result<Self, LeftOut> {
        LeftOut::check(V::FLAVOUR)?;
        let node = PrivateNode::new(V::FLAVOUR).await;
        prepare(node.url()).await;
        Ok(Self {
            node,
            version: PhantomData,
        })
    }

    fn url(&self) -> String {
        self.node.url()
    }

    async fn delayed(&self) -> u32 {
        self.amqp().await.delayed().await
    }
}

impl<V: Version> OverAmqp for OwnNode<V> {}
