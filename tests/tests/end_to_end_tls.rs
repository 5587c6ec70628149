//! RabbitMQ over TLS: whoever the machine trusts is trusted, and nobody else.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use std::{fs, net::TcpListener, path::Path};

use rcgen::CertifiedKey;
use serde_json::Value;
use tidings_tests::{PrivateNode, Process, Program, eventually};

const MESSAGE: &str = r#"{"group_id": "1", "text": "over TLS"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_message_goes_over_tls_to_a_broker_that_the_machine_trusts() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("certificate.pem");
    let (_node, broker) = node(folder.path(), &certificate).await;
    let configuration = folder.path().join("tidings.toml");
    let sandbox = Program::new("tidings-sandbox")
        .args(["--listen", "127.0.0.1:0"])
        .start();
    write_configuration(&configuration, &broker, &sandbox).await;
    let program = |name: &'static str| Program::new(name).env("SSL_CERT_FILE", &certificate);

    let apply = program("tidings").args(["topology", "apply", "--config"]);
    succeeds(apply.arg(&configuration)).await;
    let _worker = program("tidings-worker")
        .arg("--config")
        .arg(&configuration)
        .env("TOKEN", "t")
        .start();
    let send = program("tidings").args(["send", "--account", "groupme.ops", "--payload", MESSAGE]);
    let queued = succeeds(send.args(["--broker", &broker])).await;
    let queued: Value = serde_json::from_str(&queued).unwrap();
    eventually("its outcome", async || {
        let outcomes = program("tidings").args(["outcomes", "--broker", &broker]);
        let line = succeeds(outcomes).await;
        let outcome: Value = serde_json::from_str(&line).map_err(|_| line.clone())?;
        match outcome["outcome"] == "delivered" && outcome["id"] == queued["id"] {
            true => Ok(()),
            false => Err(line),
        }
    })
    .await;

    let stranger = Program::new("tidings")
        .env("SSL_CERT_FILE", "/dev/null")
        .args(["send", "--account", "groupme.ops", "--payload", MESSAGE])
        .args(["--broker", &broker]);
    let refused = stranger.run([]).await;
    let words = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{words}");
    assert!(words.contains("certificate"), "{words}");
    assert!(!words.contains("guest:guest"), "{words}");
}

/// A node that speaks TLS, and its URL.
async fn node(folder: &Path, certificate: &Path) -> (PrivateNode, String) {
    let names = vec!["localhost".to_owned()];
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
    let key = folder.join("key.pem");
    fs::write(certificate, cert.pem()).unwrap();
    fs::write(&key, signing_key.serialize_pem()).unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port();
    let node = PrivateNode::with_settings(&format!(
        "listeners.ssl.1 = 127.0.0.1:{port}\n\
         ssl_options.cacertfile = {certificate}\n\
         ssl_options.certfile = {certificate}\n\
         ssl_options.keyfile = {key}",
        certificate = certificate.display(),
        key = key.display()
    ))
    .await;
    (node, format!("amqps://guest:guest@localhost:{port}/%2f"))
}

async fn write_configuration(file: &Path, broker: &str, sandbox: &Process) {
    let line = sandbox.line("the book is at ").await;
    let (_, book) = line.split_once("the book is at ").unwrap();
    let providers = book.trim_end_matches("/received");
    fs::write(
        file,
        format!(
            "broker = {broker:?}\nadmin = \"127.0.0.1:0\"\n[accounts.\"groupme.ops\"]\n\
             base_url = \"{providers}/groupme\"\nsecret = {{ env = \"TOKEN\" }}\n"
        ),
    )
    .unwrap();
}

async fn succeeds(program: Program) -> String {
    let output = program.run([]).await;
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    String::from_utf8(output.stdout).unwrap()
}
