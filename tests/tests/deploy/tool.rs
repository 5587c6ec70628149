//! The tools that the files of `deploy/` are for.

use std::{
    env,
    fs::File,
    io::{self, Read, Write},
    net::TcpStream,
};

use tidings_tests::Program;

/// A program that is not of this workspace; where it is not installed, `check` is left out.
pub(crate) fn tool(name: &'static str, check: &str) -> Option<Program> {
    let folders = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&folders).any(|folder| folder.join(name).is_file()) {
        return Some(Program::installed(name));
    }
    leave_out(check, &format!("{name} is not installed"));
    None
}

/// Leaves a check out, and says so by name: here, and where `tests/run` shows it at the end (a test runner hides what a
/// test printed that passed).
///
/// # Panics
/// Where `CI` is `true`: the gate has all that the checks need.
#[expect(clippy::print_stderr, reason = "whoever runs the test alone reads it")]
pub(crate) fn leave_out(check: &str, why: &str) {
    let line = format!("Left out: {check}: {why}");
    assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "{line}");
    eprintln!("{line}");
    if let Some(list) = env::var_os("TIDINGS_TEST_LEFT_OUT") {
        File::options()
            .append(true)
            .open(list)
            .and_then(|mut list| writeln!(list, "{line}"))
            .expect("the list of what was left out takes a line");
    }
}

/// Runs it, and returns what it printed; it must succeed.
pub(crate) async fn succeeds(program: Program) -> String {
    let output = program.run("").await;
    let words = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{words}");
    words
}

/// A page of an admin endpoint, with the answer's head.
pub(crate) fn get(address: &str, page: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {page} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
