//! The `tidings-dlq` command: looks at the messages that ended dead, and acts on them.
//!
//! Data goes to stdout, words for people to stderr. Exit status: 0 done, 1 the work failed or part of it, 2 usage or
//! configuration.

mod commands;
mod connection;
mod exit;
mod output;
mod plan;
mod progress;
mod which;

use std::{
    io::{IsTerminal, stderr},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::{
    connection::{Connection, operator},
    exit::Exit,
};

/// Looks at the messages that ended dead, and acts on them. Looking changes nothing.
#[derive(Debug, Parser)]
#[command(name = "tidings-dlq", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(commands::list::Args),
    Groups(commands::groups::Args),
    Show(commands::show::Args),
    Watch(commands::watch::Args),
    Export(commands::export::Args),
    Replay(commands::replay::Args),
    Edit(commands::edit::Args),
    Discard(commands::settle::Discard),
    Restore(commands::settle::Restore),
    Renew(commands::settle::Renew),
    Audit(commands::audit::Args),
    Serve(commands::serve::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    log_warnings();
    exit::code(
        run(&cli)
            .await
            .unwrap_or_else(|error| Exit::from_error(&error)),
    )
}

async fn run(cli: &Cli) -> anyhow::Result<Exit> {
    let broker = cli.connection.open().await?;
    let exit = match &cli.command {
        Command::List(args) => commands::list::run(&*broker, args).await?,
        Command::Groups(args) => {
            commands::groups::run(&*broker, &cli.connection.cache(&*broker), args).await?
        }
        Command::Watch(args) => commands::watch::run(&*broker, args).await?,
        Command::Show(args) => commands::show::run(&*broker, args).await?,
        Command::Export(args) => commands::export::run(&*broker, args).await?,
        Command::Replay(args) => commands::replay::run(&operator(&broker), args).await?,
        Command::Edit(args) => commands::edit::run(&operator(&broker), args).await?,
        Command::Discard(args) => args.run(&operator(&broker)).await?,
        Command::Restore(args) => args.run(&operator(&broker)).await?,
        Command::Renew(args) => args.run(&operator(&broker)).await?,
        Command::Serve(args) => commands::serve::run(&broker, args).await?,
        Command::Audit(args) => commands::audit::run(&*broker, args).await?,
    };
    broker.close().await;
    Ok(exit)
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
