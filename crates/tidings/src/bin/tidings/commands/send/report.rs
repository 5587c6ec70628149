use std::{
    cell::Cell,
    io::{IsTerminal, Write as _, stderr, stdout},
    time::Instant,
};

use tidings_model::printable;

use crate::{exit::Exit, output::say};

/// What became of the lines so far, told to people: each failure, and how far it is.
#[derive(Debug)]
pub(super) struct Report {
    queued: Cell<u64>,
    failed: Cell<u64>,
    began: Instant,
    /// Whether stderr is a terminal that the data does not go to as well.
    live: bool,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            queued: Cell::new(0),
            failed: Cell::new(0),
            began: Instant::now(),
            live: stderr().is_terminal() && !stdout().is_terminal(),
        }
    }
}

impl Report {
    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    pub(super) fn queued(&self) {
        self.queued.set(self.queued.get() + 1);
    }

    pub(super) fn failed(&self, line: u64, why: &str) {
        self.failed.set(self.failed.get() + 1);
        self.say(&format!("line {line}: {}", printable(why)));
    }

    pub(super) fn say(&self, words: &str) {
        if self.live {
            let _ = write!(stderr().lock(), "\r\u{1b}[K");
        }
        say(words);
    }

    /// Shows how far it is, over the last time it did.
    pub(super) fn show(&self) {
        let (queued, failed) = (self.queued.get(), self.failed.get());
        let rate = queued as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let _ = write!(
            stderr().lock(),
            "\r{queued} queued, {failed} failed, {rate:.0}/s\u{1b}[K"
        );
    }

    pub(super) fn finish(&self) -> Exit {
        if self.live {
            self.show();
            say("");
        }
        let (queued, failed) = (self.queued.get(), self.failed.get());
        if failed == 0 {
            return Exit::Done;
        }
        let lines = queued + failed;
        say(&format!(
            "{failed} of {lines} messages failed, {queued} did not"
        ));
        Exit::Failed
    }
}
