//! `many-letters [URL] [COUNT]`: buries so many letters (200,000) in an empty dead stream, and measures how long
//! `tidings-dlq groups` takes for them, the first time and then, with a thousand more at the end, and how much memory it needs;
//! and the same of a list of all and of the plan of a replay.

use std::{
    env, fmt, fs,
    ops::Range,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;
use tidings_broker::{DeadRecord, Options, Topology};
use tidings_model::{Account, Attempt, LetterHead, Reason, Verdict};

const ACCOUNTS: [&str; 4] = ["groupme.ops", "groupme.shop", "groupme.desk", "groupme.crm"];
const ERRORS: [&str; 5] = [
    "Group 4711 not found",
    "The service conversation 17 is not open",
    "token expired",
    "no answer within 10 s",
    "The recipient +62 851 7431 4159 has no such contact",
];

#[tokio::main]
async fn main() -> Result<()> {
    let folder = TempDir::new()?;
    let mut words = env::args().skip(1);
    let embedded = format!("sqlite:{}", folder.path().join("tidings.db").display());
    let url = words.next().unwrap_or(embedded);
    let count: u64 = words.next().map_or(Ok(200_000), |word| word.parse())?;
    const MORE: u64 = 1_000;
    bury(&url, 0..count).await?;
    groups(&url, &folder, "the first time", count)?;
    groups(&url, &folder, "the second time", count)?;
    bury(&url, count..count + MORE).await?;
    groups(&url, &folder, "with a thousand more", count + MORE)?;
    for arguments in [
        &["list", "--json"][..],
        &["replay", "--dry-run", "--including-unknown"],
    ] {
        let run = run(&url, &folder, arguments, Stdio::null())?;
        say(&format!("{}: {run}", arguments.join(" ")));
    }
    Ok(())
}

async fn bury(url: &str, numbers: Range<u64>) -> Result<()> {
    let broker =
        tidings_broker::connect(&url.parse()?, Options::new("many-letters".into())).await?;
    let accounts = ACCOUNTS.map(|account| account.parse().expect("an account"));
    broker.apply(&Topology::of(accounts.clone())).await?;
    let began = Instant::now();
    for first in numbers.clone().step_by(1000) {
        let some = first..(first + 1000).min(numbers.end);
        let letters = some.map(|number| letter(number, &accounts)).collect();
        broker.record(letters).await?;
    }
    broker.close().await;
    say(&format!(
        "{} letters buried in {:.1?}",
        numbers.end - numbers.start,
        began.elapsed()
    ));
    Ok(())
}

fn letter(number: u64, accounts: &[Account]) -> DeadRecord {
    let pick = |of: usize| usize::try_from(number).unwrap_or_default() % of;
    let id = format!("letter-{number}");
    let account = accounts[pick(accounts.len())].clone();
    let at = Timestamp::UNIX_EPOCH + Duration::from_secs(1_780_000_000 + number);
    let attempt = |verdict, error: &str| Attempt {
        at,
        verdict,
        status: Some(404),
        error: Some(error.replace("17", &number.to_string())),
        took_ms: 40,
        worker: "worker-1".into(),
    };
    let body = json!({
        "account": account, "id": id, "enqueued_at": at, "metadata": {"order": number.to_string()},
        "payload": {"group_id": number.to_string(), "text": "Your order is on its way. ".repeat(12)},
    });
    let head = LetterHead {
        id: id.parse().ok(),
        account: Some(account),
        reason: Reason::ALL[pick(3)],
        attempts: vec![
            attempt(Verdict::Unknown, "Bad gateway"),
            attempt(Verdict::Rejected, ERRORS[pick(ERRORS.len())]),
        ],
        dead_at: at,
        generation: 0,
        maybe_delivered: number.is_multiple_of(7),
        stood_at: None,
    };
    DeadRecord::Letter {
        head,
        body: body.to_string().into(),
    }
}

/// What one run took, and what it printed.
struct Run {
    took: Duration,
    peak: String,
    lines: String,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2?}, peak memory {}", self.took, self.peak)
    }
}

/// Runs `tidings-dlq`. What it prints to a pipe is read at its end, and must be little.
fn run(url: &str, cache: &TempDir, arguments: &[&str], stdout: Stdio) -> Result<Run> {
    let program = env::current_exe()?.with_file_name("tidings-dlq");
    let began = Instant::now();
    let mut child = Command::new(&program)
        .args(arguments)
        .args(["--broker", url])
        .env("XDG_CACHE_HOME", cache.path())
        .stdout(stdout)
        .spawn()
        .with_context(|| format!("{} does not start: build it first", program.display()))?;
    let mut memory = String::new();
    while child.try_wait()?.is_none() {
        memory = peak(child.id()).unwrap_or(memory);
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = began.elapsed();
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "tidings-dlq {arguments:?} failed");
    Ok(Run {
        took,
        peak: memory,
        lines: String::from_utf8(output.stdout)?,
    })
}

fn groups(url: &str, cache: &TempDir, when: &str, count: u64) -> Result<()> {
    let run = run(url, cache, &["groups", "--json"], Stdio::piped())?;
    let counted = |line: &str| -> Result<u64> {
        let group: serde_json::Value = serde_json::from_str(line)?;
        group["count"].as_u64().context("a count")
    };
    let sum: u64 = run.lines.lines().map(counted).sum::<Result<_>>()?;
    ensure!(sum == count, "{sum} letters are in the groups");
    let groups = run.lines.lines().count();
    say(&format!("groups, {when}: {run}, {groups} groups"));
    Ok(())
}

/// The most memory that a process has had so far.
fn peak(process: u32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(format!("{} MiB", kib / 1024))
}

#[expect(clippy::print_stdout, reason = "it is a command")]
fn say(words: &str) {
    println!("{words}");
}
