//! `with-rabbitmq COMMAND [ARGUMENT…]`: starts the RabbitMQs that the environment does not name, tells the command where
//! they are (`TIDINGS_TEST_AMQP`, `TIDINGS_TEST_AMQP_43`), and ends them after it. Its exit status is the command's.

use anyhow::{Context, Result};
use std::{
    env,
    process::{Command, ExitCode},
};
use tidings_tests::SharedBrokers;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stderr, reason = "it is a command")]
async fn main() -> ExitCode {
    run().await.unwrap_or_else(|error| {
        eprintln!("with-rabbitmq: {error:#}");
        ExitCode::from(2)
    })
}

async fn run() -> Result<ExitCode> {
    let mut words = env::args_os().skip(1);
    let program = words
        .next()
        .context("usage: with-rabbitmq COMMAND [ARGUMENT…]")?;
    let brokers = SharedBrokers::start().await?;
    let status = Command::new(&program)
        .args(words)
        .envs(brokers.variables.iter().cloned())
        .status()
        .with_context(|| format!("{} does not start", program.to_string_lossy()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
