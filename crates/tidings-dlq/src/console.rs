//! The web console: the same looking and acting as the command line, in a browser.
//!
//! Pages are rendered here, complete without a script; the one script there is only renews a progress and knows some
//! keys. Nothing is fetched from elsewhere. Who may see a page and who may act is decided in one place, in front of
//! all pages, and nothing that acts is done but by [`Operator`](crate::Operator).

mod asked;
mod assets;
mod desk;
mod fleet;
mod guard;
mod page;
mod pages;

use std::{io, sync::Arc};

use axum::{
    Router, middleware,
    routing::{get, post},
};
use tidings_broker::{Broker, BrokerError};
use tokio::net::TcpListener;

pub use self::guard::{Credentials, CredentialsError, is_public};
use self::{desk::Desk, guard::Guard};
use crate::Retention;

/// Who looks in.
#[derive(Debug)]
pub struct Visitors {
    /// Who is written in the audit where nobody has to say who they are: `user@host`.
    pub local: String,
    /// Who may come in. Without it everybody who reaches the address: only ever on loopback.
    pub credentials: Option<Credentials>,
}

/// Serves the console until `stop` ends. Letters near the end of what `retention` keeps are shown as such.
///
/// # Errors
/// When the address is public and nobody has to say who they are, when the broker is away or has no dead letters'
/// stream, or when the listener breaks.
pub async fn serve(
    listener: TcpListener,
    broker: Arc<dyn Broker>,
    visitors: Visitors,
    retention: Retention,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ConsoleError> {
    let address = listener.local_addr()?;
    if is_public(address) && visitors.credentials.is_none() {
        return Err(ConsoleError::Public(address));
    }
    let guard = Arc::new(Guard::new(address, visitors));
    let desk = Desk::open(broker, Arc::clone(&guard), retention).await?;
    let router = Router::new()
        .route("/", get(pages::overview))
        .route("/letters", get(pages::letters))
        .route("/letter", get(pages::letter))
        .route("/plan", get(pages::plan))
        .route("/operations", post(pages::begin))
        .route("/operations/{id}", get(pages::operation))
        .route("/operations/{id}/progress", get(pages::progress))
        .route("/operations/{id}/stop", post(pages::stop))
        .route("/operations/{id}/resume", post(pages::resume))
        .route("/audit", get(pages::audit))
        .route_layer(middleware::from_fn_with_state(desk.clone(), pages::read))
        .route("/style.css", get(assets::style))
        .route("/script.js", get(assets::script))
        .route("/icon.svg", get(assets::icon))
        .fallback(pages::nowhere)
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .with_state(desk.clone());
    axum::serve(listener, router)
        .with_graceful_shutdown(stop)
        .await?;
    desk.stop();
    Ok(())
}

/// Why there is no console.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// Anybody could look in and send messages.
    #[error(
        "{0} can be reached from elsewhere: give `--auth FILE` with who may come in, or listen on 127.0.0.1"
    )]
    Public(std::net::SocketAddr),
    /// The broker could not be read.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The listener broke.
    #[error("the console cannot listen: {0}")]
    Io(#[from] io::Error),
}
