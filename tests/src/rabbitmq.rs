//! Real RabbitMQ for tests: one broker shared by a whole run, a vhost of it for each test, and nodes of one's own to kill.
//!
//! `with-rabbitmq COMMAND…` starts the shared brokers and tells the tests where they are through the environment. A test
//! that runs without it starts what it needs by itself: slower by some seconds, and gone with its process.

mod container;
mod installed;
mod management;
mod node;
pub(crate) mod ports;
mod vhost;

pub use node::PrivateNode;
pub use vhost::Vhost;

use anyhow::{Context, Result};
use management::Management;
use tokio::sync::OnceCell;
use url::Url;

/// Every node that is started here has it, as those in production should.
const ADVANCED_CONFIG: &str = include_str!("../../deploy/rabbitmq/advanced.config");

/// Which RabbitMQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// The installed one: on Debian 12 it is 3.10, the oldest that Tidings supports. In a container where none is installed.
    Debian,
    /// 4.3 in a container, what production runs.
    V43,
}

impl Flavour {
    fn variables(self) -> [&'static str; 2] {
        match self {
            Self::Debian => ["TIDINGS_TEST_AMQP", "TIDINGS_TEST_MANAGEMENT"],
            Self::V43 => ["TIDINGS_TEST_AMQP_43", "TIDINGS_TEST_MANAGEMENT_43"],
        }
    }
}

/// A broker that runs, and its management API.
#[derive(Clone, Debug)]
pub struct Broker {
    amqp: Url,
    management: Management,
}

impl Broker {
    /// The one that all tests share: leave its state alone, take a [`Vhost`].
    ///
    /// # Panics
    /// Where there is none and none can be started, with what to install.
    pub async fn shared(flavour: Flavour) -> Self {
        static STARTED: [OnceCell<PrivateNode>; 2] = [OnceCell::const_new(), OnceCell::const_new()];
        match Self::from_environment(flavour) {
            Ok(Some(broker)) => broker,
            Ok(None) => {
                let started = &STARTED[flavour as usize];
                started
                    .get_or_init(|| PrivateNode::new(flavour))
                    .await
                    .broker()
                    .clone()
            }
            Err(error) => panic!("{error:#}"),
        }
    }

    /// A vhost of its own for one test, deleted when it is dropped.
    ///
    /// # Panics
    /// Where the management API refuses.
    pub fn vhost(&self) -> Vhost {
        Vhost::create(self).unwrap_or_else(|error| panic!("{error:#}"))
    }

    fn new(amqp: Url, management: Url) -> Self {
        Self {
            amqp,
            management: Management::new(management),
        }
    }

    fn on_loopback(amqp: u16, management: u16) -> Result<Self> {
        Ok(Self::new(
            Url::parse(&format!("amqp://guest:guest@127.0.0.1:{amqp}"))?,
            Url::parse(&format!("http://guest:guest@127.0.0.1:{management}"))?,
        ))
    }

    /// `None` where the environment names no broker. Where it does not name the management API, that is looked for on
    /// the same host, port 15672, as the same user.
    fn from_environment(flavour: Flavour) -> Result<Option<Self>> {
        let [amqp, management] = flavour.variables();
        let Some(amqp) = url_from_environment(amqp)? else {
            return Ok(None);
        };
        let management = match url_from_environment(management)? {
            Some(url) => url,
            None => Url::parse(&format!(
                "http://{}:{}@{}:15672",
                amqp.username(),
                amqp.password().unwrap_or_default(),
                amqp.host_str().unwrap_or("127.0.0.1"),
            ))?,
        };
        Ok(Some(Self::new(amqp, management)))
    }

    fn variables(&self, flavour: Flavour) -> [(&'static str, String); 2] {
        let [amqp, management] = flavour.variables();
        [
            (amqp, self.amqp.to_string()),
            (management, self.management.url().to_string()),
        ]
    }
}

/// The brokers of a whole test run; they end when this is dropped.
pub struct SharedBrokers {
    /// What the tests must find in their environment.
    pub variables: Vec<(&'static str, String)>,
    /// Held, so that they run.
    nodes: Vec<PrivateNode>,
}

impl SharedBrokers {
    /// Starts the brokers that the environment does not name already.
    ///
    /// Without a container engine, or without the image, there is no 4.3:
    /// `TIDINGS_TEST_WITHOUT_43` then says why.
    ///
    /// # Errors
    /// Where no RabbitMQ can be started at all, and where the environment names one wrongly.
    pub async fn start() -> Result<Self> {
        let mut brokers = Self {
            variables: Vec::new(),
            nodes: Vec::new(),
        };
        if Broker::from_environment(Flavour::Debian)?.is_none() {
            brokers.add(Flavour::Debian).await?;
        }
        if Broker::from_environment(Flavour::V43)?.is_none()
            && let Err(why) = brokers.add(Flavour::V43).await
        {
            let why = format!("{why:#}");
            brokers.variables.push(("TIDINGS_TEST_WITHOUT_43", why));
        }
        Ok(brokers)
    }

    async fn add(&mut self, flavour: Flavour) -> Result<()> {
        let node = PrivateNode::try_lasting(flavour).await?;
        self.variables.extend(node.broker().variables(flavour));
        self.nodes.push(node);
        Ok(())
    }
}

fn url_from_environment(name: &str) -> Result<Option<Url>> {
    std::env::var(name)
        .ok()
        .filter(|text| !text.is_empty())
        .map(|text| Url::parse(&text).with_context(|| format!("{name} is not a URL: {text:?}")))
        .transpose()
}
