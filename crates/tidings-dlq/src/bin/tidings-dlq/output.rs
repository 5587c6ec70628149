use std::io::{self, BufWriter, StdoutLock, Write as _};

use comfy_table::{Table, presets};
use jiff::Timestamp;
use serde::Serialize;
use tidings_model::{Attempt, printable};

/// As much of the provider's words as a table has room for, in characters.
const WORDS: usize = 60;

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

/// A table with these columns, and no rows yet.
pub(crate) fn table(columns: impl IntoIterator<Item = &'static str>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(columns);
    table
}

/// A line of JSON. Other people's text in it cannot act on a terminal.
pub(crate) fn json_line(value: &impl Serialize) -> anyhow::Result<String> {
    let json = serde_json::to_string(value)?;
    Ok(printable(&json).into_owned())
}

/// Tells people something, on stderr. What others wrote cannot act on a terminal. That nobody listens is no error.
pub(crate) fn say(words: &str) {
    let lines: Vec<_> = words.lines().map(printable).collect();
    let _ = writeln!(io::stderr().lock(), "{}", lines.join("\n"));
}

/// A moment, to the second.
pub(crate) fn short(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What an attempt showed, in as many words as a table has room for.
pub(crate) fn last_words(attempt: &Attempt) -> String {
    let status = attempt
        .status
        .map_or_else(|| attempt.verdict.to_string(), |status| status.to_string());
    let words = printable(attempt.error.as_deref().unwrap_or_default()).into_owned();
    let mut characters = words.chars();
    let start: String = characters.by_ref().take(WORDS).collect();
    let more = if characters.next().is_some() {
        "…"
    } else {
        ""
    };
    format!("{status} {start}{more}").trim_end().to_owned()
}
