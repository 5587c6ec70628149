use std::{num::NonZeroU32, sync::Arc, time::Duration};

use rcgen::CertifiedKey;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use secrecy::SecretString;
use tidings_model::{
    Account, Draft, Message, Rate, RetryPolicy, Verdict,
    config::{AccountConfig, OnUnknown, SecretSource},
    payload::groupme,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::with_roots;
use crate::{Answer, Client};

/// Long enough for a loaded machine.
const LONG: Duration = Duration::from_secs(30);

/// A provider over TLS that accepts any message: its address, and its certificate.
async fn provider() -> (String, CertificateDer<'static>) {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let answer = b"HTTP/1.1 201 Created\r\ncontent-length: 25\r\n\r\n{\"message\":{\"id\":\"7777\"}}";
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        }
    });
    (url, cert.der().clone())
}

async fn attempt(url: &str, trusted: &[CertificateDer<'static>], timeout: Duration) -> Answer {
    let account: Account = "groupme.ops".parse().unwrap();
    let config = AccountConfig {
        base_url: url.to_owned(),
        secret: SecretSource::Env("UNUSED".into()),
        business: None,
        rate: Rate::Unlimited,
        burst: NonZeroU32::MIN,
        destination_rate: Rate::Unlimited,
        concurrency: NonZeroU32::MIN,
        timeout,
        on_unknown: OnUnknown::Retry,
        account_probe: Duration::from_secs(60),
        events: false,
        retry: RetryPolicy::default(),
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted.iter().cloned());
    let tls = with_roots(roots).unwrap();
    let client = Client::with_tls(&account, &config, SecretString::from("token"), tls).unwrap();
    client
        .send(&message(account), Duration::ZERO, std::future::ready(true))
        .await
}

fn message(account: Account) -> Message {
    let payload = groupme::Text::to("1").text("hi").build().unwrap();
    let draft = Draft::new(account, payload);
    draft
        .accept("2026-01-01T00:00:00Z".parse().unwrap(), || {
            "m-1".parse().unwrap()
        })
        .unwrap()
}

#[tokio::test]
async fn a_trusted_provider_is_sent_the_message() {
    let (url, certificate) = provider().await;
    let answer = attempt(&url, &[certificate], LONG).await;
    assert_eq!(
        (answer.verdict, answer.provider_message_id.as_deref()),
        (Verdict::Delivered, Some("7777"))
    );
}

#[tokio::test]
async fn a_provider_with_an_unknown_certificate_is_sent_nothing() {
    let (url, _) = provider().await;
    let (_, another) = provider().await;
    let answer = attempt(&url, &[another], LONG).await;
    assert_eq!((answer.verdict, answer.status), (Verdict::NotSent, None));
    assert!(answer.error.unwrap().contains("certificate"));
}

/// A server that does this with a connection, and then nothing.
async fn without_tls(greeting: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.write_all(greeting).await;
        std::future::pending::<()>().await;
    });
    url
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_sent_nothing() {
    let url = without_tls(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert_eq!(attempt(&url, &[], LONG).await.verdict, Verdict::NotSent);
}

#[tokio::test]
async fn a_connection_that_is_not_ready_in_time_is_sent_nothing() {
    let url = without_tls(b"").await;
    let answer = attempt(&url, &[], Duration::from_millis(400)).await;
    assert_eq!(
        (answer.verdict, answer.status),
        (Verdict::NotSent, None),
        "{answer:?}"
    );
}
