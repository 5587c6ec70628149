use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::desk::Desk;
use crate::received::{Received, Refused, Summary};
use crate::routes::router;
use crate::wire::{Cut, Wires};
use crate::world::World;
use crate::{Faults, Provider};

/// How long a stop waits for a client that has sent half of a request.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a sandbox starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// What goes wrong from the start.
    pub faults: Faults,
    /// How many bytes of bodies the book keeps, all in all; those after it are only measured. 0 keeps none.
    pub room_for_bodies: usize,
}

impl Default for Config {
    /// A free port of this host, no faults, 64 MiB of bodies.
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            faults: Faults::none(),
            room_for_bodies: 64 << 20,
        }
    }
}

/// A sandbox that did not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen}: {source}")]
pub struct StartError {
    listen: SocketAddr,
    source: io::Error,
}

/// A running sandbox. It stops when it is dropped; [`Sandbox::stop`] also waits for that.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    desk: Desk,
    closing: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Sandbox {
    /// Listens, and serves on the current runtime.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let failed = |source| StartError {
            listen: config.listen,
            source,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (closing, closed) = watch::channel(false);
        let desk = Desk::new(
            World::new(config.faults, config.room_for_bodies),
            closed.clone(),
        );
        let server = tokio::spawn(serve(Wires(listener), desk.clone(), closed));
        Ok(Self {
            address,
            desk,
            closing,
            server,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS`, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a client of that provider takes for the provider's base URL.
    pub fn base_url(&self, provider: Provider) -> String {
        format!("{}/{provider}", self.url())
    }

    /// Other faults from now on; all rules count from zero.
    pub fn set_faults(&self, faults: Faults) {
        self.desk.world().set_faults(faults);
    }

    /// All messages accepted, in order.
    pub fn received(&self) -> Vec<Received> {
        let world = self.desk.world();
        (0..)
            .map_while(|number| world.book.received(number, &world.names))
            .collect()
    }

    /// All calls refused or lost to faults, in order; of very many the latest 100,000.
    pub fn refused(&self) -> Vec<Refused> {
        let world = self.desk.world();
        let first = world.book.refused_since(0);
        (first..)
            .map_while(|number| world.book.refused(number, &world.names))
            .collect()
    }

    /// The book in figures.
    pub fn summary(&self) -> Summary {
        self.desk.world().summary()
    }

    /// Forgets all messages, GroupMe's groups and all figures; the faults stay, and count from zero.
    pub fn forget(&self) {
        self.desk.world().forget();
    }

    /// Stops listening, lets answers in hand go out, cuts those that would hang.
    pub async fn stop(mut self) {
        self.closing.send_replace(true);
        // It cannot have panicked: it only accepts. A client that never finishes its request is left alone.
        let _ = tokio::time::timeout(FAREWELL, &mut self.server).await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.closing.send_replace(true);
    }
}

async fn serve(wires: Wires, desk: Desk, mut closed: watch::Receiver<bool>) {
    let service = router(desk).into_make_service_with_connect_info::<Cut>();
    let stopped = async move {
        // An error means that the sandbox was dropped.
        let _ = closed.wait_for(|&closed| closed).await;
    };
    // It never fails: accepting is retried for ever.
    let _ = axum::serve(wires, service)
        .with_graceful_shutdown(stopped)
        .await;
}
