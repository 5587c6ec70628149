//! The `tidings` command: sends messages, tells what became of them, declares the topology, shows and steers the lanes,
//! looks after the delays.
//!
//! Data goes to stdout, words for people to stderr. Exit status: 0 done, 1 the work failed or part of it, 2 usage or
//! configuration.

mod commands;
mod connection;
mod exit;
mod output;

use std::{
    io::{IsTerminal, stderr},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::exit::Exit;

/// Sends chat messages through Tidings, and tells what became of them.
#[derive(Debug, Parser)]
#[command(name = "tidings", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Send(commands::send::Args),
    Outcomes(commands::outcomes::Args),
    Topology(commands::topology::Args),
    Lanes(commands::lanes::Args),
    Delays(commands::delays::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    log_warnings();
    let done = match cli.command {
        Command::Send(args) => Box::pin(commands::send::run(args)).await,
        Command::Outcomes(args) => Box::pin(commands::outcomes::run(args)).await,
        Command::Topology(args) => Box::pin(commands::topology::run(args)).await,
        Command::Lanes(args) => Box::pin(commands::lanes::run(args)).await,
        Command::Delays(args) => Box::pin(commands::delays::run(args)).await,
    };
    exit::code(done.unwrap_or_else(|error| Exit::from_error(&error)))
}

/// Warnings on stderr; `RUST_LOG` asks for more. The AMQP library would write refused messages out in full.
fn log_warnings() {
    let asked_for = EnvFilter::try_from_default_env();
    tracing_subscriber::fmt()
        .with_env_filter(asked_for.unwrap_or_else(|_| EnvFilter::new("warn,lapin=off")))
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .init();
}
