//! The command as a process.

use std::io::Write;
use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings-sandbox"));
    command
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// The process, and the address its first line names.
async fn started(arguments: &[&str]) -> (Child, String) {
    let mut child = command(arguments).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let address = line
        .strip_prefix("listening on http://")
        .unwrap_or_else(|| panic!("{line}"))
        .to_owned();
    (child, address)
}

async fn output(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command(arguments).output().await.unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

async fn page(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[tokio::test]
async fn it_says_where_it_listens_and_a_signal_ends_it_well() {
    for signal in ["TERM", "INT"] {
        let (mut child, address) = started(&["--listen", "127.0.0.1:0"]).await;
        assert!(page(&address, "/").await.contains("/groupme"));
        let pid = child.id().unwrap().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", signal, &pid])
                .status()
                .await
                .unwrap()
                .success()
        );
        assert_eq!(child.wait().await.unwrap().code(), Some(0), "{signal}");
    }
}

#[tokio::test]
async fn it_starts_with_the_faults_of_a_file() {
    let faults = file(r#"{"faults": [{"do": {"status": {"code": 503}}}]}"#);
    let path = faults.path().to_str().unwrap();
    let (_child, address) = started(&["--listen", "127.0.0.1:0", "--faults", path]).await;
    assert!(
        page(&address, "/groupme/users/me?token=t")
            .await
            .starts_with("HTTP/1.0 503")
    );
}

#[tokio::test]
async fn wrong_faults_end_it_with_2_and_the_name_of_the_field() {
    let faults = file(r#"{"fautls": []}"#);
    let (code, stderr) = output(&[
        "--listen",
        "127.0.0.1:0",
        "--faults",
        faults.path().to_str().unwrap(),
    ])
    .await;
    assert_eq!(code, Some(2));
    assert!(
        stderr.contains("`fautls`") && stderr.contains(faults.path().to_str().unwrap()),
        "{stderr}"
    );
    assert_eq!(output(&["--faults", "/no/such/file"]).await.0, Some(2));
}

#[tokio::test]
async fn an_address_in_use_ends_it_with_2_and_the_address() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, stderr) = output(&["--listen", &address]).await;
    assert_eq!(code, Some(2));
    assert!(stderr.contains(&address), "{stderr}");
}

#[tokio::test]
async fn the_example_of_the_help_is_a_faults_file() {
    let help = command(&["--help"]).output().await.unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let example = help.split("A faults file:").nth(1).unwrap();
    let example = example.split("Exit status").next().unwrap();
    let faults = tidings_sandbox::Faults::from_json(example).unwrap();
    assert_ne!(faults, tidings_sandbox::Faults::none());
}
