//! What a test started ends with the test, also when the test is killed with `kill -9`.

use std::{
    ffi::OsStr,
    io,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

/// Runs a line of shell as soon as this process ends, however it ends.
///
/// A small shell in a process group of its own (so that neither Ctrl-C nor the test runner's kill reaches it) reads from
/// a pipe whose other end only this process holds. When the pipe closes, it cleans up.
pub(crate) struct Leash(Child);

impl Leash {
    /// `script` sees `args` as `$1`, `$2` …
    pub(crate) fn tie(script: &str, args: &[&OsStr]) -> io::Result<Self> {
        Command::new("sh")
            .arg("-c")
            .arg(format!("trap '' HUP INT TERM; cat >/dev/null; {script}"))
            .arg("leash")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map(Self)
    }
}

impl Drop for Leash {
    /// Whoever drops a leash has cleaned up, or is about to.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
