use std::io;

use serde::Serialize;
use tidings::{Account, MessageId};

use crate::output::Lines;

/// What is told of each message, on stdout. When nobody reads it any more, the sending goes on.
#[derive(Debug)]
pub(super) struct Output {
    lines: Lines,
    reader_left: bool,
}

#[derive(Debug, Serialize)]
struct Status<'m> {
    id: &'m MessageId,
    account: &'m Account,
    status: &'static str,
}

impl Output {
    pub(super) fn new() -> Self {
        Self {
            lines: Lines::to_stdout(),
            reader_left: false,
        }
    }

    pub(super) fn line(
        &mut self,
        id: &MessageId,
        account: &Account,
        status: &'static str,
    ) -> io::Result<()> {
        if self.reader_left {
            return Ok(());
        }
        let written = self.lines.json(&Status {
            id,
            account,
            status,
        });
        self.unless_reader_left(written)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.reader_left {
            return Ok(());
        }
        let flushed = self.lines.flush();
        self.unless_reader_left(flushed)
    }

    fn unless_reader_left(&mut self, written: io::Result<()>) -> io::Result<()> {
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.reader_left = true;
                Ok(())
            }
            written => written,
        }
    }
}
