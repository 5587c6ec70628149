use std::{cell::RefCell, collections::VecDeque, io};

use anyhow::{anyhow, bail};
use tidings::{Draft, Receipt, SendError};
use tokio::sync::Notify;

use super::{lines::Line, report::Report};

/// Which lines are on their way, and whether more may be read.
#[derive(Debug, Default)]
pub(super) struct Input {
    stop: Notify,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The lines on their way: results come in their order.
    on_their_way: VecDeque<u64>,
    last: u64,
    ended: Ended,
}

/// Why the reading ended.
#[derive(Debug, Default)]
enum Ended {
    #[default]
    AtTheEnd,
    Interrupted,
    BrokerGone,
    Unreadable(io::Error),
}

impl Input {
    /// Resolves when no more lines may be read.
    pub(super) async fn stopped(&self) {
        self.stop.notified().await;
    }

    pub(super) fn interrupt(&self) {
        self.end_with(Ended::Interrupted);
    }

    pub(super) fn was_interrupted(&self) -> bool {
        matches!(self.state.borrow().ended, Ended::Interrupted)
    }

    /// The line's message; a line without one is reported.
    pub(super) fn draft(&self, line: io::Result<Line>, report: &Report) -> Option<Draft> {
        let line = match line {
            Ok(line) => line,
            Err(error) => {
                self.end_with(Ended::Unreadable(error));
                return None;
            }
        };
        let mut state = self.state.borrow_mut();
        state.last = line.number;
        match line.draft {
            Ok(draft) => {
                state.on_their_way.push_back(line.number);
                Some(draft)
            }
            Err(why) => {
                report.failed(line.number, &why);
                None
            }
        }
    }

    /// The next line on its way has arrived, or failed. A broker that is gone ends the reading.
    pub(super) fn settled(&self, result: &Result<Receipt, SendError>, report: &Report) {
        let line = self.state.borrow_mut().on_their_way.pop_front();
        match result {
            Ok(_) => report.queued(),
            Err(error) => {
                report.failed(line.unwrap_or_default(), &error.to_string());
                if error.is_temporary() && !self.was_interrupted() {
                    self.end_with(Ended::BrokerGone);
                }
            }
        }
    }

    fn end_with(&self, ended: Ended) {
        self.state.borrow_mut().ended = ended;
        self.stop.notify_one();
    }

    /// Tells where the reading ended, if that was not the end of the input.
    pub(super) fn end(&self) -> anyhow::Result<()> {
        let State { last, ended, .. } = self.state.take();
        match ended {
            Ended::AtTheEnd => Ok(()),
            Ended::Interrupted => bail!("interrupted: what follows line {last} is not sent"),
            Ended::BrokerGone => {
                bail!(
                    "the broker takes no messages: what follows line {last} is not sent; send it again later"
                )
            }
            Ended::Unreadable(error) => {
                Err(anyhow!(error).context(format!("the input cannot be read beyond line {last}")))
            }
        }
    }
}
