//! The programs of Tidings as processes: started, watched, frozen and killed.

use crate::{eventually, leash::Leash};
use rustix::process::{Pid, kill_process, kill_process_group};
use std::{
    env,
    ffi::OsStr,
    fs,
    io::Write as _,
    iter,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;

pub use rustix::process::Signal;

/// How much of a process's output a failed test shows.
const LAST_LINES: usize = 80;

/// What [`Process::answer`] types to interrupt whatever runs.
pub const CTRL_C: &str = "\u{3}";

/// A program of this workspace with its arguments and environment.
pub struct Program {
    name: &'static str,
    command: Command,
}

impl Program {
    /// The program as it was last built, in the profile of this test.
    ///
    /// # Panics
    /// Where it is not built: Cargo does not build the programs of other crates for a test.
    pub fn new(name: &'static str) -> Self {
        Self::of(name, &find(name))
    }

    /// A program that is not of this workspace, looked for in `PATH`.
    pub fn installed(name: &'static str) -> Self {
        Self::of(name, Path::new(name))
    }

    fn of(name: &'static str, path: &Path) -> Self {
        let mut command = Command::new(path);
        command.env("NO_COLOR", "1").stdin(Stdio::null());
        Self { name, command }
    }

    /// Where it lies; for an installed one only its name.
    pub fn path(&self) -> &Path {
        Path::new(self.command.get_program())
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// The same program with somebody at a terminal in front of it, who answers with [`Process::answer`].
    #[must_use]
    pub fn at_a_terminal(self) -> Self {
        let words = iter::once(self.command.get_program()).chain(self.command.get_args());
        let words = words.map(|word| {
            let word = word.to_str().expect("a word of a command line");
            format!("'{}'", word.replace('\'', r"'\''"))
        });
        let command = words.collect::<Vec<_>>().join(" ");
        let mut terminal = Self::of(self.name, Path::new("script"));
        for (name, value) in self.command.get_envs() {
            terminal.command.env(name, value.unwrap_or_default());
        }
        // `script` ends as the program does.
        terminal
            .command
            .args(["--quiet", "--return", "--command"])
            .arg(format!("stty -echo cols 160 rows 40; exec {command}"))
            .arg("/dev/null")
            .stdin(Stdio::piped());
        terminal
    }

    /// Runs it to its end with `input` on its standard input; it is killed where the test does not wait for it.
    pub async fn run(self, input: impl AsRef<[u8]>) -> Output {
        let mut command = tokio::process::Command::from(self.command);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", self.name));
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        let feed = async move {
            // A program that ends before it has read everything says why by its status and its words.
            let _ = stdin.write_all(input.as_ref()).await;
        };
        let ((), output) = tokio::join!(feed, child.wait_with_output());
        output.unwrap_or_else(|error| panic!("{} cannot be waited for: {error}", self.name))
    }

    /// Starts it and returns at once; it is killed when the [`Process`] is dropped, or this test ends in any way.
    pub fn start(mut self) -> Process {
        let log = NamedTempFile::with_prefix(format!("{}-", self.name))
            .expect("a temporary file for the log");
        let append = || {
            fs::File::options()
                .append(true)
                .open(log.path())
                .expect("the log is there")
        };
        self.command
            .stdout(append())
            .stderr(append())
            .process_group(0);
        let child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", self.name));
        let leash = Leash::tie(
            r#"kill -s KILL -- "-$1"; rm -f -- "$2""#,
            &[OsStr::new(&child.id().to_string()), log.path().as_os_str()],
        )
        .expect("sh starts");
        Process {
            name: self.name,
            pid: Pid::from_child(&child),
            child: Mutex::new(child),
            log,
            leash: Some(leash),
        }
    }
}

/// A program that runs, with what it printed so far.
pub struct Process {
    name: &'static str,
    pid: Pid,
    child: Mutex<Child>,
    log: NamedTempFile,
    leash: Option<Leash>,
}

impl Process {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    /// All that it has printed, on either stream.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log.path()).expect("the log is readable"))
            .into_owned()
    }

    /// Waits for a line that contains `text`, and returns it.
    ///
    /// # Panics
    /// Where it does not come in time, or the process ends without it.
    pub async fn line(&self, text: &str) -> String {
        eventually(&format!("{} prints {text:?}", self.name), async || {
            let ended = self.ended();
            let log = self.log();
            match (log.lines().find(|line| line.contains(text)), ended) {
                (Some(line), _) => Ok(line.to_owned()),
                (None, None) => Err(format!("{} lines without it", log.lines().count())),
                (None, Some(status)) => panic!(
                    "{} ended with {status} and never printed {text:?}",
                    self.name
                ),
            }
        })
        .await
    }

    /// Types a line, at its terminal.
    ///
    /// # Panics
    /// Where it is not [at one](Program::at_a_terminal), or gone.
    pub fn answer(&self, line: &str) {
        let mut child = self.lock();
        let terminal = child.stdin.as_mut().expect("a terminal");
        writeln!(terminal, "{line}").expect("somebody reads it");
    }

    /// Sends `TERM`, `STOP`, `CONT` or another signal. One that has ended already takes it silently.
    pub fn signal(&self, signal: Signal) {
        // Nobody waits for it while the lock is held: the number stays this process's.
        let mut child = self.lock();
        if matches!(child.try_wait(), Ok(None)) {
            kill_process(self.pid, signal)
                .unwrap_or_else(|error| panic!("{} takes no {signal:?}: {error}", self.name));
        }
    }

    /// `SIGSTOP`, and waits until every thread of it stands still. `CONT` lets it go on.
    ///
    /// # Panics
    /// Where it does not stand still, or is gone.
    pub async fn freeze(&self) {
        self.signal(Signal::STOP);
        eventually(&format!("{} stands still", self.name), async || {
            let threads = fs::read_dir(format!("/proc/{}/task", self.id())).expect("it lives");
            let states: Vec<_> = threads
                .filter_map(|thread| state(&thread.ok()?.path()))
                .collect();
            let stopped = |state: &String| state == "T";
            if states.iter().all(stopped) {
                Ok(())
            } else {
                Err(states)
            }
        })
        .await;
    }

    /// `kill -9` for it and whatever it started, and waits until it is gone.
    pub async fn kill9(&self) {
        kill_group(&mut self.lock());
        self.exit().await;
    }

    /// `SIGTERM`, and waits until it has ended in order.
    pub async fn terminate(&self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.exit().await
    }

    /// Waits until it ends.
    pub async fn exit(&self) -> ExitStatus {
        eventually(&format!("{} ends", self.name), async || {
            self.ended().ok_or("still running")
        })
        .await
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.lock().try_wait().expect("a child can be waited for")
    }

    fn lock(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.leash = None;
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        kill_group(child);
        let _ = child.wait();
        if std::thread::panicking() {
            show(self.name, &fs::read(self.log.path()).unwrap_or_default());
        }
    }
}

fn kill_group(child: &mut Child) {
    if matches!(child.try_wait(), Ok(None)) {
        let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    }
}

/// The state of a thread: the word behind its name, which is in parentheses. `None` where it has ended.
fn state(thread: &Path) -> Option<String> {
    let stat = fs::read_to_string(thread.join("stat")).ok()?;
    let (_, behind) = stat.rsplit_once(')')?;
    behind.split_whitespace().next().map(str::to_owned)
}

#[expect(clippy::print_stderr, reason = "the test that failed shows it")]
fn show(name: &str, log: &[u8]) {
    let log = String::from_utf8_lossy(log);
    let lines: Vec<_> = log.lines().collect();
    let last = lines.len().saturating_sub(LAST_LINES);
    eprintln!(
        "---- {name} printed ({last} lines before these)\n{}\n----",
        lines[last..].join("\n")
    );
}

/// A test's own program lies in `target/PROFILE/deps`, a benchmark in `target/PROFILE`.
fn find(name: &str) -> PathBuf {
    let this = env::current_exe().expect("this program has a path");
    this.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .unwrap_or_else(|| {
            panic!(
                "{name} is not built: run `cargo build --workspace --bins` first (`make test` does)"
            )
        })
}
