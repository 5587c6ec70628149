//! `make bench`: drains a backlog of GroupMe messages from RabbitMQ to the sandbox, in turn with the plain loop that one
//! would write by hand and with `tidings-worker`, and prints medians of paired ratios. At the end it
//! sends a file with `tidings send`.
//!
//! `bench [PAIRS] [BACKLOG]`: how many pairs for each latency (default 5), and how many messages the large backlog has
//! (default 200,000; 0 leaves it out).

#![expect(clippy::print_stdout, reason = "the figures are its data")]

mod run;

use anyhow::Result;
use run::{Bench, Drained, Drainer};

#[tokio::main]
async fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let pairs: usize = words.next().map_or(Ok(5), |word| word.parse())?;
    let backlog: usize = words.next().map_or(Ok(200_000), |word| word.parse())?;
    let bench = Bench::start().await?;
    println!("latency   messages  drainer         msgs/s  µs CPU each  peak RSS MiB");
    for (latency, messages) in [("0ms", 40_000), ("50ms", 10_000)] {
        let mut measured = Vec::new();
        for _ in 0..pairs {
            let by_hand = bench.drain(Drainer::PlainLoop, latency, messages).await?;
            let tidings = bench.drain(Drainer::Worker, latency, messages).await?;
            show(latency, messages, "plain loop", &by_hand);
            show(latency, messages, "tidings-worker", &tidings);
            measured.push((tidings, by_hand));
        }
        let throughput = median(measured.iter().map(|(a, b)| a.per_second / b.per_second));
        let cpu = median(measured.iter().map(|(a, b)| a.cpu_micros / b.cpu_micros));
        let rss = median(measured.iter().map(|(a, _)| a.peak_mib));
        println!(
            "latency {latency}: tidings-worker / plain loop, medians of {pairs} pairs: throughput {throughput:.2}, CPU per message {cpu:.2}; RSS {rss:.0} MiB\n"
        );
    }
    if backlog > 0 {
        let drained = bench.drain(Drainer::Worker, "0ms", backlog).await?;
        show("0ms", backlog, "tidings-worker", &drained);
    }
    let mut sent = Vec::new();
    for _ in 0..3 {
        sent.push(bench.send(50_000).await?);
    }
    let sent = median(sent.into_iter());
    println!("tidings send, 50,000 messages from a file: {sent:.0} msgs/s, median of 3");
    Ok(())
}

fn show(latency: &str, messages: usize, drainer: &str, drained: &Drained) {
    let Drained {
        per_second,
        cpu_micros,
        peak_mib,
    } = drained;
    println!(
        "{latency:<8}  {messages:>8}  {drainer:<14}  {per_second:>6.0}  {cpu_micros:>11.1}  {peak_mib:>12.1}"
    );
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
