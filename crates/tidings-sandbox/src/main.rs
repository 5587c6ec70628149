//! The command `tidings-sandbox`.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use tidings_sandbox::{Config, Faults, Provider, Sandbox};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Pretends to be Grupo, WhatsPie, GroupMe, Raven and Pingup on one port.
///
/// Point the base URL of a client at http://ADDR/groupme (or /grupo, /whatspie, /raven, /pingup) and send with any token.
/// GET /received tells what arrived, PUT /faults makes things go wrong. It prints one line, "listening on http://…", on
/// stdout once it listens, runs until SIGTERM or SIGINT, and keeps everything in memory.
#[derive(Debug, Parser)]
#[command(name = "tidings-sandbox", version, after_help = EXAMPLE)]
struct Arguments {
    /// Where to listen; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8640")]
    listen: SocketAddr,

    /// A JSON file of faults, latencies and rate limits to start with; see the example below.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,

    /// How much of the bodies to keep in the book, in MiB; later ones are only measured.
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    keep_bodies: usize,

    /// Keep no bodies: for benchmarks. GroupMe's index then shows messages without their text.
    #[arg(long, conflicts_with = "keep_bodies")]
    no_bodies: bool,

    /// Log each call to stderr.
    #[arg(long, short)]
    verbose: bool,
}

const EXAMPLE: &str = r#"A faults file:
  {"faults":  [{"on": {"provider": "groupme"}, "do": {"status": {"code": 503, "retry_after": "2s"}}, "when": {"first": 3}},
               {"on": {"provider": "whatspie"}, "do": "timeout", "recorded": "yes", "when": {"probability": 0.1}}],
   "latency": [{"takes": {"percentiles": [[50, "20ms"], [99, "1s"]]}}],
   "limits":  [{"on": {"provider": "groupme"}, "rate": "20/s", "burst": 1, "tolerance": "5ms"}]}

Exit status: 0 stopped by a signal, 2 wrong arguments or faults, or an address that cannot be listened on."#;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let level = if arguments.verbose {
        "tidings_sandbox=debug"
    } else {
        "info"
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_writer(io::stderr)
        .init();
    // One thread: the work is a few microseconds a call, and what is measured against it needs the other cores.
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))
        .and_then(|runtime| runtime.block_on(run(&arguments)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), String> {
    let faults = arguments
        .faults
        .as_deref()
        .map_or(Ok(Faults::none()), read_faults)?;
    let room_for_bodies = if arguments.no_bodies {
        0
    } else {
        arguments.keep_bodies.saturating_mul(1 << 20)
    };
    // Before the line that says it listens: whoever reads that may send a signal at once.
    let mut terminate = signal(SignalKind::terminate()).map_err(text)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(text)?;
    let sandbox = Sandbox::start(Config {
        listen: arguments.listen,
        faults,
        room_for_bodies,
    })
    .await
    .map_err(text)?;
    announce(&sandbox)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    let summary = sandbox.summary();
    tracing::info!(
        received = summary.tally.received,
        refused = summary.tally.refused,
        "stopping"
    );
    sandbox.stop().await;
    Ok(())
}

fn announce(sandbox: &Sandbox) -> Result<(), String> {
    let url = sandbox.url();
    let providers = Provider::ALL
        .map(|provider| format!("{url}/{provider}"))
        .join(" ");
    tracing::info!("listening on {url}: {providers}; the book is at {url}/received");
    let mut stdout = io::stdout();
    writeln!(stdout, "listening on {url}")
        .and_then(|()| stdout.flush())
        .map_err(text)
}

fn read_faults(path: &Path) -> Result<Faults, String> {
    let json =
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Faults::from_json(&json).map_err(|error| format!("{}: {error}", path.display()))
}

fn text(error: impl Display) -> String {
    error.to_string()
}
