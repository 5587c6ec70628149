use std::{
    io::{self, BufRead, BufReader, Read},
    mem, thread,
};

use futures::{Stream, StreamExt, stream};
use tidings::{Draft, Invalid, MAX_BODY_BYTES};
use tokio::sync::mpsc;

/// A batch is handed on when it has so many bytes of input.
const BATCH_BYTES: usize = 256 * 1024;

/// A line of the input that is not blank: a message, or in words why it is none.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) draft: Result<Draft, String>,
}

/// Reads and parses lines on a thread of their own: a file cannot be awaited, and parsing goes on while others wait.
///
/// Two batches at most are read ahead. What has arrived is handed on at once, so that a slow pipe is not held up.
pub(super) fn read<R: Read + Send + 'static>(
    input: BufReader<R>,
) -> impl Stream<Item = io::Result<Line>> {
    let (batches, read) = mpsc::channel(1);
    thread::spawn(move || Reader::new(input).run(&batches));
    let batches = stream::unfold(read, |mut read| async { Some((read.recv().await?, read)) });
    batches.flat_map(stream::iter)
}

struct Reader<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    number: u64,
}

impl<R: Read> Reader<R> {
    fn new(input: BufReader<R>) -> Self {
        Self {
            input,
            line: Vec::new(),
            number: 0,
        }
    }

    /// Reads to the end, or until nobody takes the batches any more.
    fn run(mut self, batches: &mpsc::Sender<Vec<io::Result<Line>>>) {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        loop {
            let more = match self.advance() {
                Ok(more) => more,
                Err(error) => {
                    self.line.clear();
                    batch.push(Err(error));
                    false
                }
            };
            bytes += self.line.len();
            batch.extend(self.parse().map(Ok));
            let must_wait = !self.input.buffer().contains(&b'\n');
            if (!more || must_wait || bytes >= BATCH_BYTES) && !batch.is_empty() {
                bytes = 0;
                if batches.blocking_send(mem::take(&mut batch)).is_err() {
                    return;
                }
            }
            if !more {
                return;
            }
        }
    }

    /// Reads the next line, or as much of it as a message may have. `false` at the end.
    fn advance(&mut self) -> io::Result<bool> {
        self.line.clear();
        let cap = MAX_BODY_BYTES as u64 + 1;
        let read = self
            .input
            .by_ref()
            .take(cap)
            .read_until(b'\n', &mut self.line)?;
        self.number += u64::from(read > 0);
        if self.is_too_long() {
            self.input.skip_until(b'\n')?;
        }
        Ok(read > 0)
    }

    fn is_too_long(&self) -> bool {
        self.line.len() > MAX_BODY_BYTES && !self.line.ends_with(b"\n")
    }

    fn parse(&self) -> Option<Line> {
        let draft = if self.is_too_long() {
            Err(format!(
                "longer than the {MAX_BODY_BYTES} bytes that a message may have"
            ))
        } else {
            let text = self.line.trim_ascii();
            if text.is_empty() {
                return None;
            }
            Draft::parse(text).map_err(|error| words(&error))
        };
        Some(Line {
            number: self.number,
            draft,
        })
    }
}

/// The error without the JSON reader's own count of lines, which would contradict ours.
fn words(error: &Invalid) -> String {
    error
        .to_string()
        .replace(" at line 1 column ", " at column ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"account": "groupme.ops", "payload": {"group_id": "1", "text": "hi"}}"#;

    async fn numbers(input: Vec<u8>) -> (Vec<u64>, Vec<(u64, String)>) {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        let lines = read(BufReader::new(io::Cursor::new(input)));
        for line in lines.collect::<Vec<_>>().await {
            let line = line.unwrap();
            match line.draft {
                Ok(_) => good.push(line.number),
                Err(why) => bad.push((line.number, why)),
            }
        }
        (good, bad)
    }

    #[tokio::test]
    async fn blank_lines_count_but_are_no_messages() {
        let (good, bad) = numbers(format!("\n{GOOD}\r\n  \n{GOOD}\n\n{GOOD}").into_bytes()).await;
        assert_eq!((good, bad), (vec![2, 4, 6], vec![]));
    }

    #[tokio::test]
    async fn a_bad_line_is_named_by_its_number_alone() {
        let (good, bad) =
            numbers(format!("{GOOD}\n{{\"account\": 5}}\n\u{0}\n{GOOD}").into_bytes()).await;
        assert_eq!(good, [1, 4]);
        assert_eq!(
            bad.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
            [2, 3]
        );
        assert!(
            bad.iter()
                .all(|(_, why)| why.contains("column") && !why.contains("line 1")),
            "{bad:?}"
        );
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_one_bad_line() {
        let mut input = vec![b' '; MAX_BODY_BYTES + 100];
        input.extend_from_slice(format!("x\n{GOOD}\n").as_bytes());
        let (good, bad) = numbers(input).await;
        assert_eq!((good, bad.len(), bad[0].0), (vec![2], 1, 1));
        assert!(bad[0].1.contains("12582912"), "{bad:?}");
    }
}
