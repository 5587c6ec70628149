use std::io::{self, BufWriter, StdoutLock, Write as _};

use serde::Serialize;
use tidings_model::printable;

/// Lines of data on stdout, buffered: end with [`Lines::flush`].
#[derive(Debug)]
pub(crate) struct Lines(BufWriter<StdoutLock<'static>>);

impl Lines {
    pub(crate) fn to_stdout() -> Self {
        Self(BufWriter::with_capacity(64 * 1024, io::stdout().lock()))
    }

    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        self.0.write_all(text.as_bytes())?;
        self.0.write_all(b"\n")
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A line of JSON. Other people's text in it cannot act on a terminal.
pub(crate) fn json_line(value: &impl Serialize) -> anyhow::Result<String> {
    let json = serde_json::to_string(value)?;
    Ok(printable(&json).into_owned())
}

/// Tells people something, on stderr. That nobody listens is no error.
pub(crate) fn say(words: &str) {
    let _ = writeln!(io::stderr().lock(), "{words}");
}
