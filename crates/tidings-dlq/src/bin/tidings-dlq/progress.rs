//! How far an operation has come, on stderr, and how it is interrupted.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    time::Duration,
};

use tidings_dlq::operator::{Progress, Stage, Tally, Watch};
use tidings_model::{OperationId, printable};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
    time::{Instant, interval},
};

use crate::{exit::Exit, output::say};

/// How often people are told.
const TELL: Duration = Duration::from_millis(500);

/// Tells on a terminal how an operation comes on, and ends it after the letters in hand at the first signal; at the
/// second one the process ends at once.
pub(crate) struct Telling {
    pub(crate) watch: Watch,
    tasks: [JoinHandle<()>; 2],
}

impl Telling {
    pub(crate) fn start() -> Self {
        let watch = Watch::default();
        Self {
            tasks: [
                tokio::spawn(tell(watch.clone())),
                tokio::spawn(stop_at_a_signal(watch.clone())),
            ],
            watch,
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        if stderr().is_terminal() {
            let _ = write!(stderr(), "\r\u{1b}[K");
        }
    }
}

async fn stop_at_a_signal(watch: Watch) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if watch.stop.is_cancelled() {
            std::process::exit(1);
        }
        say("stopping after the letters in hand");
        watch.stop.cancel();
    }
}

async fn tell(watch: Watch) {
    if !stderr().is_terminal() {
        return;
    }
    let (began, mut tick) = (Instant::now(), interval(TELL));
    loop {
        tick.tick().await;
        let line = line(&watch.progress.borrow(), began.elapsed());
        let _ = write!(stderr(), "\r\u{1b}[K{line}");
    }
}

fn line(progress: &Progress, elapsed: Duration) -> String {
    let Progress {
        planned,
        done,
        failed,
        ..
    } = progress;
    let stage = match progress.stage {
        Stage::Claiming => "claiming",
        Stage::Acting => "going on",
        Stage::Waiting => "waiting for outcomes",
    };
    let (rate, rest) = (progress.rate(elapsed), progress.remaining());
    format!("{stage}: {done} of {planned}, {failed} failed, {rate:.0}/s, {rest} remain")
}

/// Tells people what an operation has come to.
pub(crate) fn conclude(operation: OperationId, tally: &Tally) -> Exit {
    for (other, count) in &tally.lost {
        say(&format!(
            "{count} of the letters were claimed first by operation {other}: `tidings-dlq audit` says whose it is"
        ));
    }
    for (why, count) in &tally.failures {
        say(&format!("{count} failed: {}", printable(why)));
    }
    if let Some(why) = &tally.stopped {
        say(&format!("stopped: {why}; the rest is as it was"));
    }
    say(&format!(
        "done: {}, failed: {}, left alone: {}",
        tally.done, tally.failed, tally.skipped
    ));
    if tally.interrupted {
        say(&format!(
            "interrupted: `tidings-dlq replay --resume {operation}` goes on"
        ));
    }
    match tally.is_well() {
        true => Exit::Done,
        false => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_this_run_and_what_remains_that_of_all() {
        let progress = Progress {
            stage: Stage::Acting,
            planned: 1000,
            done: 590,
            failed: 10,
            skipped: 100,
            earlier: 500,
        };
        assert_eq!(
            line(&progress, Duration::from_secs(10)),
            "going on: 590 of 1000, 10 failed, 20/s, 300 remain"
        );
    }
}
