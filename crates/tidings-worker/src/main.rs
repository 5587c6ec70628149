//! The worker as a program: arguments, environment, files and signals; all else is the library's.

mod export;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::{Parser, Subcommand, ValueEnum};
use opentelemetry_sdk::trace::SdkTracer;
use secrecy::SecretString;
use tidings_model::{
    Config,
    config::{Overrides, SecretSource},
};
use tidings_worker::{Setup, Stop, WorkerError, worker_id};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};

/// Takes messages from the broker and sends them through their providers.
///
/// Runs until SIGTERM or SIGINT, then finishes what is under way and exits 0; a second one stops at once. SIGHUP reads
/// the accounts of the configuration again.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Arguments {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    /// Starts without checking that the broker has all that the contract names.
    #[arg(long)]
    no_verify: bool,
    /// How logs are written. What is logged is chosen with TIDINGS_LOG, such as "info" or "tidings_worker=debug".
    #[arg(long, value_enum, default_value_t = LogFormat::Auto)]
    log: LogFormat,
    /// Ends the process at a point of settling, as a crash would: POINT:N, for tests.
    #[cfg(feature = "fault-points")]
    #[arg(long, value_name = "POINT:N")]
    crash_at: Option<String>,
    /// Lets a lane's loop hang at such a point, for tests.
    #[cfg(feature = "fault-points")]
    #[arg(long, value_name = "POINT:N")]
    hang_at: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reads a configuration and names all that is wrong with it; exits 0 or 2.
    CheckConfig {
        /// The configuration file (TOML).
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Tries each account's secret too, where the provider has a harmless call.
        #[arg(long)]
        online: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people on a terminal, else JSON.
    Auto,
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

/// Usage or configuration is wrong.
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logging(arguments.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime cannot start: {error}"), 1),
    };
    match arguments.command {
        Some(Command::CheckConfig { config, online }) => {
            runtime.block_on(check_config(&config, online))
        }
        None => {
            let Some(path) = &arguments.config else {
                return fail("--config FILE is missing", MISUSED);
            };
            #[cfg(feature = "fault-points")]
            if let Err(error) = arm(&arguments) {
                return fail(&error, MISUSED);
            }
            let traces = match export::traces() {
                Ok(traces) => traces,
                Err(error) => return fail(&error, MISUSED),
            };
            let tracer = traces.as_ref().map(export::Traces::tracer);
            let code = runtime.block_on(work(path, !arguments.no_verify, tracer));
            // What is on its way is exported, as far as the collector takes it.
            drop(traces);
            // What hangs is not waited for.
            runtime.shutdown_background();
            code
        }
    }
}

#[cfg(feature = "fault-points")]
fn arm(arguments: &Arguments) -> Result<(), String> {
    use tidings_broker::fault::{Then, arm};
    let armed = [
        (&arguments.crash_at, Then::Crash),
        (&arguments.hang_at, Then::Hang),
    ];
    for (at, then) in armed {
        let Some(at) = at else { continue };
        let (point, nth) = at.split_once(':').unwrap_or((at, "1"));
        let nth = nth
            .parse()
            .map_err(|_| format!("{nth:?} is not a number"))?;
        arm(point.parse()?, nth, then);
    }
    Ok(())
}

#[expect(
    clippy::print_stderr,
    reason = "people's words go to stderr, also where nothing is logged"
)]
fn fail(what: &str, code: u8) -> ExitCode {
    eprintln!("tidings-worker: {what}");
    ExitCode::from(code)
}

fn start_logging(format: LogFormat) {
    use std::io::IsTerminal as _;
    let wanted = std::env::var("TIDINGS_LOG").unwrap_or_else(|_| "info".into());
    // lapin logs whole bodies that come back, and each look at what is not there.
    let filter = tracing_subscriber::EnvFilter::new(format!("lapin=off,{wanted}"));
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(terminal);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Auto if !terminal => builder.json().flatten_event(true).init(),
        LogFormat::Auto | LogFormat::Text => builder.init(),
    }
}

fn load(path: &Path) -> Result<Config, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let overrides = Overrides {
        broker: variable("TIDINGS_BROKER"),
        admin: variable("TIDINGS_ADMIN"),
    };
    Config::parse(&path.display().to_string(), &text, &overrides)
        .map_err(|errors| errors.to_string())
}

fn fetch(source: &SecretSource) -> Result<SecretString, String> {
    let text = match source {
        SecretSource::Env(name) => std::env::var(name).map_err(|error| error.to_string())?,
        SecretSource::File(path) => {
            std::fs::read_to_string(path).map_err(|error| error.to_string())?
        }
    };
    match text.trim() {
        "" => Err("it is empty".into()),
        secret => Ok(secret.into()),
    }
}

async fn work(path: &Path, verify: bool, tracer: Option<SdkTracer>) -> ExitCode {
    let config = match load(path) {
        Ok(config) => config,
        Err(errors) => return fail(&errors, MISUSED),
    };
    let (stop, stopped) = watch::channel(false);
    let (reload, reloads) = mpsc::channel(1);
    if let Err(error) = listen_to_signals(path.to_owned(), stop, reload) {
        return fail(&format!("signals cannot be listened to: {error}"), 1);
    }
    let setup = Setup {
        id: worker_id(),
        config,
        secrets: Arc::new(fetch),
        verify,
        tracer,
    };
    match tidings_worker::run(
        setup,
        Stop {
            stop: stopped,
            reload: reloads,
        },
    )
    .await
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(
            error @ (WorkerError::Topology(_)
            | WorkerError::Accounts(_)
            | WorkerError::Admin { .. }),
        ) => fail(&error.to_string(), MISUSED),
        Err(error) => fail(&error.to_string(), 1),
    }
}

fn listen_to_signals(
    path: PathBuf,
    stop: watch::Sender<bool>,
    reload: mpsc::Sender<Config>,
) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hang_up.recv() => {
                    match load(&path) {
                        Ok(config) => drop(reload.send(config).await),
                        Err(errors) => tracing::error!(%errors, "the configuration was not reloaded, and stays as it was"),
                    }
                    continue;
                }
            }
            if stop.send_replace(true) {
                tracing::warn!("told twice: stopping at once, without a note");
                std::process::exit(1);
            }
        }
    });
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the result is this command's data")]
async fn check_config(path: &Path, online: bool) -> ExitCode {
    let config = match load(path) {
        Ok(config) => config,
        Err(errors) => return fail(&errors, MISUSED),
    };
    let checked = tidings_worker::check(&config, &fetch, online).await;
    let mut code = ExitCode::SUCCESS;
    for (account, result) in checked {
        match result {
            Ok(words) => println!("{account}: {words}"),
            Err(problem) => {
                code = fail(
                    &format!("{}: account {account}: {problem}", path.display()),
                    MISUSED,
                )
            }
        }
    }
    code
}
