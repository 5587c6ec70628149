//! A worker from start to stop.

use std::{
    sync::{Arc, OnceLock, atomic::AtomicU64},
    time::Duration,
};

use jiff::Timestamp;
use opentelemetry_sdk::trace::SdkTracer;
use tidings_broker::{Broker, BrokerError, Difference, Options, Topology};
use tidings_model::{Account, BrokerUrl, Config, WorkerId};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    admin::{self, Subject},
    attempt::{CallerError, Secrets},
    fleet::Fleet,
    follow::Memories,
    metrics, orders,
    supervise::{Lanes, Shared},
    unroutable,
};

/// What a worker is started with.
pub struct Setup {
    /// Who it is: [`crate::worker_id`].
    pub id: WorkerId,
    /// What it serves.
    pub config: Config,
    /// Fetches secrets.
    pub secrets: Secrets,
    /// Whether it checks at its start that the broker has all that the contract names.
    pub verify: bool,
    /// Where the spans of attempts go, if anywhere.
    pub tracer: Option<SdkTracer>,
}

/// How a running worker is told things.
pub struct Stop {
    /// Turns true when it should drain and end.
    pub stop: watch::Receiver<bool>,
    /// A configuration whose accounts it should serve from now on.
    pub reload: mpsc::Receiver<Config>,
}

/// Why a worker did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The broker is there, and cannot be used.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The broker lacks what the contract names.
    #[error("{}\ndeclare what is missing with `tidings topology apply --config FILE`", lines(.0))]
    Topology(Vec<Difference>),
    /// Accounts that cannot be served.
    #[error("{}", lines(.0))]
    Accounts(Vec<CallerError>),
    /// The admin endpoint cannot listen.
    #[error(
        "the admin endpoint cannot listen on {address}: {why} (`admin` in the configuration, or TIDINGS_ADMIN)"
    )]
    Admin {
        /// Where it should.
        address: std::net::SocketAddr,
        /// What the system said.
        why: std::io::Error,
    },
    /// Lanes that did not let go when they were told to stop.
    #[error("lanes hung, and were left without a note: {}", lines(.0))]
    Hanging(Vec<Account>),
    /// Metrics cannot be collected, for instance because a worker runs in this process already.
    #[error("metrics cannot be collected: {0}")]
    Metrics(String),
    /// A part of it ended, without which it would stand still.
    #[error(
        "a part of the worker ended by itself, and the worker with it ({0}): please report this"
    )]
    Broken(String),
}

fn lines<T: std::fmt::Display>(items: &[T]) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Runs until it is told to stop, and then lets its lanes go in good order.
///
/// # Errors
/// Where it cannot start: see [`WorkerError`]. A broker that is away is waited for.
pub async fn run(setup: Setup, mut told: Stop) -> Result<(), WorkerError> {
    let metrics = metrics::install().map_err(|error| WorkerError::Metrics(error.to_string()))?;
    let address = setup.config.admin;
    let listener = admin::listen(address)
        .await
        .map_err(|why| WorkerError::Admin { address, why })?;
    let subject = Arc::new(OnceLock::new());
    let (ended, end) = watch::channel(false);
    let admin = tokio::spawn(admin::serve(
        listener,
        subject.clone(),
        metrics.clone(),
        end.clone(),
    ));
    let upkeep = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            metrics.run_upkeep();
        }
    });
    let served = serve(setup, &subject, &mut told).await;
    ended.send_replace(true);
    upkeep.abort();
    // Idle connections of whoever looks at it do not hold up the end.
    let _ = tokio::time::timeout(Duration::from_secs(1), admin).await;
    served
}

async fn serve(
    setup: Setup,
    subject: &OnceLock<Subject>,
    told: &mut Stop,
) -> Result<(), WorkerError> {
    let Setup {
        id,
        config,
        secrets,
        verify,
        tracer,
    } = setup;
    let broker = tokio::select! {
        broker = reach(&id, &config, verify) => broker?,
        _ = told.stop.wait_for(|stop| *stop) => return Ok(()),
    };
    let shared = Shared {
        me: id.clone(),
        broker: broker.clone(),
        memories: Arc::new(Memories::new(id.clone(), config.remember, Timestamp::now())),
        fleet: Arc::new(Fleet::new(id.clone())),
        secrets,
        tenures: Arc::new(AtomicU64::new(1)),
        tracer,
    };
    let lanes = Arc::new(Lanes::new(shared.clone()));
    let mut background = JoinSet::new();
    background.spawn({
        let (memories, broker) = (shared.memories.clone(), broker.clone());
        async move { memories.follow(&*broker).await }
    });
    background.spawn({
        let (fleet, broker) = (shared.fleet.clone(), broker.clone());
        async move { fleet.listen(&*broker).await }
    });
    background.spawn({
        let lanes = lanes.clone();
        async move { lanes.measure().await }
    });
    background.spawn({
        let lanes = lanes.clone();
        async move { lanes.watch().await }
    });
    background.spawn({
        let (fleet, broker, lanes) = (shared.fleet.clone(), broker.clone(), lanes.clone());
        let memories = shared.memories.clone();
        async move {
            memories.caught_up().await;
            fleet.turn(&*broker, || lanes.reports()).await;
        }
    });
    background.spawn({
        let (memories, fleet, broker) = (
            shared.memories.clone(),
            shared.fleet.clone(),
            broker.clone(),
        );
        // Several times in what a worker that starts reads of the ledger, and in what is kept of it.
        let again = config.remember.time.min(config.ledger_max_age) / 4;
        async move { orders::keep(&memories, &fleet, &*broker, again).await }
    });
    if let Err(errors) = lanes.become_those_of(&config).await {
        background.shutdown().await;
        broker.close().await;
        return Err(WorkerError::Accounts(errors));
    }
    let unroutable = tokio::spawn(unroutable::run(broker.clone(), told.stop.clone()));
    let connected = broker.connected();
    let _ = subject.set(Subject {
        lanes: lanes.clone(),
        connected,
        memories: shared.memories.clone(),
    });
    tracing::info!(worker = %id, broker = %broker.place(), lanes = config.accounts.len(), "the worker runs");
    let broken = tokio::select! {
        () = until_told(&lanes, &shared, verify, told) => None,
        why = end_of_any(&mut background) => Some(why),
    };
    tracing::info!(worker = %id, "the worker drains");
    shared.fleet.drain(&*broker, lanes.reports()).await;
    let hanging = lanes.stop().await;
    if broken.is_some() {
        // Nobody told it to stop.
        unroutable.abort();
    }
    let _ = unroutable.await;
    background.shutdown().await;
    broker.close().await;
    if !hanging.is_empty() {
        return Err(WorkerError::Hanging(hanging));
    }
    tracing::info!(worker = %id, "the worker has stopped");
    broken.map_or(Ok(()), |why| Err(WorkerError::Broken(why)))
}

/// Waits for the end of what never ends, unless it panics; says why.
async fn end_of_any(background: &mut JoinSet<()>) -> String {
    match background.join_next().await {
        Some(Err(error)) => error.to_string(),
        Some(Ok(())) | None => "it returned".into(),
    }
}

async fn until_told(lanes: &Lanes, shared: &Shared, verify: bool, told: &mut Stop) {
    let broker = &*shared.broker;
    loop {
        let config = tokio::select! {
            _ = told.stop.wait_for(|stop| *stop) => return,
            Some(config) = told.reload.recv() => config,
        };
        let mut reloading = std::pin::pin!(reload(lanes, broker, &config, verify));
        let reloaded = tokio::select! {
            reloaded = &mut reloading => reloaded,
            _ = told.stop.wait_for(|stop| *stop) => {
                // Those that stay drain beside those that go, and others may have them.
                lanes.tell_to_stop();
                shared.fleet.drain(broker, lanes.reports()).await;
                reloading.await
            }
        };
        match reloaded {
            Ok(()) => tracing::info!(
                lanes = config.accounts.len(),
                "the configuration was reloaded"
            ),
            Err(error) => {
                tracing::error!(%error, "the configuration was not reloaded, and stays as it was")
            }
        }
    }
}

async fn reload(
    lanes: &Lanes,
    broker: &dyn Broker,
    config: &Config,
    verify: bool,
) -> Result<(), WorkerError> {
    match check_topology(broker, config, verify).await {
        // It is waited for, here as at the start. The embedded one is declared on, and not only looked at.
        Err(WorkerError::Broker(error @ BrokerError::Away { .. }))
            if !matches!(config.broker, BrokerUrl::Sqlite(_)) =>
        {
            tracing::warn!(%error, "the broker is not checked for what the new configuration needs");
        }
        checked => checked?,
    }
    lanes
        .become_those_of(config)
        .await
        .map_err(WorkerError::Accounts)
}

/// Connects to a broker that has what the configuration needs. While it is away it is waited for, for ever.
async fn reach(
    id: &WorkerId,
    config: &Config,
    verify: bool,
) -> Result<Arc<dyn Broker>, WorkerError> {
    let mut wait = Duration::from_millis(250);
    loop {
        match try_to_reach(id, config, verify).await {
            Err(WorkerError::Broker(error @ BrokerError::Away { .. })) => {
                tracing::warn!(%error, "waiting for the broker")
            }
            reached => return reached,
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(5));
    }
}

async fn try_to_reach(
    id: &WorkerId,
    config: &Config,
    verify: bool,
) -> Result<Arc<dyn Broker>, WorkerError> {
    let options = Options {
        prefix: config.prefix.clone(),
        heartbeat: config.heartbeat,
        ..Options::new(id.clone())
    };
    let broker = tidings_broker::connect(&config.broker, options).await?;
    check_topology(&*broker, config, verify).await?;
    Ok(broker)
}

/// On the embedded broker, which has no rights to keep apart, a worker declares what it needs; elsewhere it checks.
async fn check_topology(
    broker: &dyn Broker,
    config: &Config,
    verify: bool,
) -> Result<(), WorkerError> {
    let topology = Topology::from(config);
    if matches!(config.broker, BrokerUrl::Sqlite(_)) {
        return Ok(broker.apply(&topology).await?);
    }
    if verify {
        let differences = broker.verify(&topology).await?;
        if !differences.is_empty() {
            return Err(WorkerError::Topology(differences));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_panics_is_noticed() {
        let mut background = JoinSet::new();
        background.spawn(std::future::pending());
        background.spawn(async { panic!("a bug") });
        let why = end_of_any(&mut background).await;
        assert!(why.contains("panicked"), "{why}");
    }
}
