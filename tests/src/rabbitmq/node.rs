use super::{
    Broker, Flavour, Vhost,
    container::Container,
    installed::{self, Installed},
};
use crate::eventually::PATIENCE;
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use std::path::PathBuf;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Duration, Instant, sleep, timeout},
};

const PAUSE: Duration = Duration::from_millis(50);

/// A RabbitMQ node that one test has for itself: to stop, kill, freeze and alarm. It keeps its ports and its data over a
/// restart, and is gone when it is dropped or the process ends.
///
/// Every method panics where the node does not do as it is told.
pub struct PrivateNode {
    broker: Broker,
    backend: Backend,
}

enum Backend {
    Installed(Box<Installed>),
    Container(Container),
}

impl PrivateNode {
    /// Starts a node and waits until it accepts connections: about five seconds.
    pub async fn new(flavour: Flavour) -> Self {
        Self::of(flavour, false)
            .await
            .unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// The RabbitMQ that is installed, with more lines for its `rabbitmq.conf`.
    pub async fn with_settings(settings: &str) -> Self {
        let programs = installed::programs();
        let started = async {
            let programs = programs.context("no RabbitMQ: install rabbitmq-server")?;
            Self::start_installed(programs, settings).await
        };
        started.await.unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// As [`Self::new`], of one that is never stopped: it may store all in memory.
    ///
    /// # Errors
    /// In one line for people: what is missing and what to install.
    pub async fn try_lasting(flavour: Flavour) -> Result<Self> {
        Self::of(flavour, true).await
    }

    async fn of(flavour: Flavour, in_memory: bool) -> Result<Self> {
        let programs = if flavour == Flavour::Debian {
            installed::programs()
        } else {
            None
        };
        if let Some(programs) = programs {
            return Self::start_installed(programs, "").await;
        }
        let container = Container::start(in_memory)
            .await
            .with_context(|| match flavour {
                Flavour::Debian => "no RabbitMQ: install rabbitmq-server, or set TIDINGS_TEST_AMQP",
                Flavour::V43 => "no RabbitMQ 4.3",
            })?;
        let mut node = Self {
            broker: Broker::on_loopback(container.amqp_port(), container.management_port())?,
            backend: Backend::Container(container),
        };
        node.wait_until_ready().await?;
        Ok(node)
    }

    async fn start_installed(programs: PathBuf, settings: &str) -> Result<Self> {
        let mut installed = Box::new(Installed::prepare(programs, settings)?);
        installed.start()?;
        let mut node = Self {
            broker: Broker::on_loopback(installed.amqp_port(), installed.management_port())?,
            backend: Backend::Installed(installed),
        };
        node.wait_until_ready().await?;
        Ok(node)
    }

    /// To give to what only needs a broker.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// A vhost of its own on this node.
    pub fn vhost(&self) -> Vhost {
        self.broker.vhost()
    }

    /// The default vhost of this node, as a user who may do everything.
    pub fn url(&self) -> String {
        format!("{}/%2f", self.broker.amqp)
    }

    /// Stops it in order, as for an upgrade, and waits until it has ended.
    pub async fn stop(&mut self) {
        done(match &mut self.backend {
            Backend::Installed(installed) => installed.end(Signal::TERM).await,
            Backend::Container(container) => container.docker("stop").await,
        });
    }

    /// `kill -9`.
    ///
    /// RabbitMQ itself loses a quorum queue, with the messages it confirmed, that was declared within the last three
    /// seconds (the table of its queues' folders is written that late; seen on 3.10 and 4.3). No client can help that, so
    /// the table is written first.
    pub async fn kill9(&mut self) {
        self.ctl(&["eval", "[dets:sync(Table) || Table <- dets:all()]."])
            .await;
        done(match &mut self.backend {
            Backend::Installed(installed) => installed.end(Signal::KILL).await,
            Backend::Container(container) => container.docker("kill").await,
        });
    }

    /// Starts it again after [`Self::stop`] or [`Self::kill9`], and waits until it accepts connections.
    pub async fn start(&mut self) {
        done(match &mut self.backend {
            Backend::Installed(installed) => installed.start(),
            Backend::Container(container) => container.docker("start").await,
        });
        done(self.wait_until_ready().await);
    }

    /// Stands still: connections stay open and nothing is answered.
    pub async fn freeze(&mut self) {
        done(match &mut self.backend {
            Backend::Installed(installed) => installed.signal(Signal::STOP),
            Backend::Container(container) => container.docker("pause").await,
        });
    }

    /// Goes on after [`Self::freeze`].
    pub async fn thaw(&mut self) {
        done(match &mut self.backend {
            Backend::Installed(installed) => installed.signal(Signal::CONT),
            Backend::Container(container) => container.docker("unpause").await,
        });
    }

    /// The node believes that it has no memory left, and blocks whoever publishes.
    pub async fn raise_memory_alarm(&self) {
        self.ctl(&["set_vm_memory_high_watermark", "0"]).await;
    }

    /// Ends what [`Self::raise_memory_alarm`] began.
    pub async fn clear_memory_alarm(&self) {
        self.ctl(&["set_vm_memory_high_watermark", "0.4"]).await;
    }

    /// From now on, who opens a channel loses it about a second after it was handed something that it does not settle.
    pub async fn lose_patience_with_holders(&self) {
        let settings = "application:set_env(rabbit, consumer_timeout, 1000), \
                        application:set_env(rabbit, channel_tick_interval, 500).";
        self.ctl(&["eval", settings]).await;
    }

    /// `rabbitmqctl ARGUMENTS` on this node; returns what it printed. Takes two seconds of processor time.
    pub async fn ctl(&self, arguments: &[&str]) -> String {
        let mut command = match &self.backend {
            Backend::Installed(installed) => installed.ctl(),
            Backend::Container(container) => container.ctl(),
        };
        command.args(arguments);
        let output = tokio::process::Command::from(command)
            .output()
            .await
            .expect("rabbitmqctl starts");
        let [stdout, stderr] =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        assert!(
            output.status.success(),
            "rabbitmqctl {}: {stdout}{stderr}",
            arguments.join(" ")
        );
        stdout.into_owned()
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            if let Backend::Installed(installed) = &mut self.backend {
                installed.check_alive()?;
            }
            match self.greet().await {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    return Err(error.context("the RabbitMQ node started and does not answer"));
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// A connection that is accepted says little (a container's proxy accepts for a broker that is not there yet): the
    /// broker has to speak.
    async fn greet(&self) -> Result<()> {
        let address = (
            self.broker.amqp.host_str().unwrap_or_default(),
            self.broker.amqp.port().unwrap_or_default(),
        );
        let mut first = [0];
        timeout(Duration::from_secs(5), async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
            stream.read_exact(&mut first).await
        })
        .await
        .context("the broker says nothing")??;
        // A method frame: connection.start.
        ensure!(first == [1], "this is not a broker");
        self.broker.management.check()
    }
}

fn done(result: Result<()>) {
    result.unwrap_or_else(|error| panic!("{error:#}"));
}
