//! What becomes of a call whose connection, or answer, is not what it should be.

use tidings_model::Verdict::{AccountProblem, Delivered, NotSent, RateLimited, Rejected, Unknown};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};

use super::*;
use crate::server::{Act, Server, answer, hear, serve};

/// An address at which nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_refused_connection_sent_nothing() {
    for provider in Provider::ALL {
        let answer = attempt(
            &client(provider, format!("http://{}", nobody().await), LONG),
            provider,
        )
        .await;
        assert_eq!(
            (answer.verdict, answer.status, answer.pauses_lane),
            (NotSent, None, false),
            "{provider}"
        );
        assert!(answer.error.unwrap().contains("refused"));
    }
}

#[tokio::test]
async fn a_name_that_is_none_sent_nothing() {
    let answer = attempt(
        &client(Provider::Raven, "http://nobody.invalid", LONG),
        Provider::Raven,
    )
    .await;
    assert_eq!(answer.verdict, NotSent, "{answer:?}");
}

#[tokio::test]
async fn a_hang_is_unknown() {
    let calls = Provider::ALL.map(|provider| {
        tokio::spawn(async move {
            let server = Server::start(|_| Act::Hang).await;
            let answer = attempt(&client(provider, server.url(), SHORT), provider).await;
            assert_eq!(
                (answer.verdict, answer.status),
                (Unknown, None),
                "{provider}: {answer:?}"
            );
            assert!(answer.error.unwrap().contains("no answer within 1s"));
            server.heard_once();
        })
    });
    for call in calls {
        call.await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_stops_half_way_is_unknown() {
    let half = b"HTTP/1.1 201 Created\r\ncontent-length: 99\r\n\r\n{\"message\":{\"id\":".to_vec();
    let hanging = half.clone();
    let hangs = serve(move |mut stream, _| {
        let half = hanging.clone();
        async move {
            hear(&mut stream).await;
            let _ = stream.write_all(&half).await;
            std::future::pending::<()>().await;
        }
    })
    .await;
    let closes = Server::start(move |_| Act::SayAndClose(half.clone())).await;
    for (url, timeout) in [(format!("http://{hangs}"), SHORT), (closes.url(), LONG)] {
        let answer = attempt(&client(Provider::Groupme, url, timeout), Provider::Groupme).await;
        assert_eq!(
            (answer.verdict, answer.status),
            (Unknown, Some(201)),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_reset_after_the_request_was_written_is_unknown() {
    for provider in Provider::ALL {
        // Closing a socket that has something unread resets the connection.
        let server = serve(|stream, _| async move {
            stream.peek(&mut [0]).await.unwrap();
        })
        .await;
        let answer = attempt(
            &client(provider, format!("http://{server}"), LONG),
            provider,
        )
        .await;
        assert_eq!(
            (answer.verdict, answer.status),
            (Unknown, None),
            "{provider}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_connection_that_closes_without_an_answer_is_unknown() {
    let server = Server::start(|_| Act::SayAndClose(Vec::new())).await;
    let answer = attempt(
        &client(Provider::Raven, server.url(), LONG),
        Provider::Raven,
    )
    .await;
    assert_eq!((answer.verdict, answer.status), (Unknown, None));
    server.heard_once();
}

#[tokio::test]
async fn what_is_no_http_is_unknown() {
    for bytes in [
        &b"\x00\xff\xfe garbage\r\n\r\n"[..],
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 xyz\r\n\r\n",
        b"HTTP/1.1 20",
    ] {
        let server = Server::start(move |_| Act::SayAndClose(bytes.to_vec())).await;
        let answer = attempt(
            &client(Provider::Pingup, server.url(), LONG),
            Provider::Pingup,
        )
        .await;
        assert_eq!(
            (answer.verdict, answer.status),
            (Unknown, None),
            "{bytes:?}"
        );
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_unknown() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = Server::answering(200, accepted(Provider::Raven).1).await;
        let to = format!("location: {}/message:send\r\n", elsewhere.url());
        let redirect = answer(status, &to, "");
        let server = Server::start(move |_| Act::Say(redirect.clone())).await;
        let answer = attempt(
            &client(Provider::Raven, server.url(), LONG),
            Provider::Raven,
        )
        .await;
        assert_eq!((answer.verdict, answer.status), (Unknown, Some(status)));
        assert!(answer.error.unwrap().contains(&elsewhere.url()));
        assert!(elsewhere.heard().is_empty());
    }
}

#[tokio::test]
async fn of_a_megabyte_only_the_beginning_is_read_and_the_status_may_still_tell() {
    let megabyte = vec![b' '; 1 << 20];
    for provider in Provider::ALL {
        let (status, good) = accepted(provider);
        // What would be a good answer is far beyond what is read.
        let body = [&megabyte[..], good.as_bytes()].concat();
        let cases = [
            (status, Unknown),
            (500, Unknown),
            (400, Rejected),
            (429, RateLimited),
        ];
        for (status, verdict) in cases {
            let server = Server::answering(status, &body).await;
            let client = client(provider, server.url(), LONG);
            let answer = attempt(&client, provider).await;
            assert_eq!(
                (answer.verdict, answer.status),
                (verdict, Some(status)),
                "{provider}"
            );
            assert!(answer.error.unwrap().chars().count() <= 500);
        }
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_for_ever() {
    let server = serve(|mut stream, _| async move {
        hear(&mut stream).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        while stream.write_all(b"5\r\nabcde\r\n").await.is_ok() {}
    })
    .await;
    let answer = attempt(
        &client(Provider::Grupo, format!("http://{server}"), LONG),
        Provider::Grupo,
    )
    .await;
    assert_eq!((answer.verdict, answer.status), (Unknown, Some(200)));
}

#[tokio::test]
async fn retry_after_is_passed_on_with_every_status() {
    for (status, verdict) in [(429, RateLimited), (503, Unknown), (401, AccountProblem)] {
        let limited = answer(status, "retry-after: 17\r\n", "");
        let server = Server::start(move |_| Act::Say(limited.clone())).await;
        let answer = attempt(
            &client(Provider::Raven, server.url(), LONG),
            Provider::Raven,
        )
        .await;
        assert_eq!(
            (answer.verdict, answer.pauses_lane),
            (verdict, true),
            "{status}"
        );
        assert_eq!(answer.retry_after, Some(Duration::from_secs(17)));
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let (status, body) = accepted(Provider::Raven);
    let server = Server::answering(status, body).await;
    let client = client(Provider::Raven, server.url(), LONG);
    for _ in 0..3 {
        assert_eq!(attempt(&client, Provider::Raven).await.verdict, Delivered);
    }
    let connections: Vec<_> = server
        .heard()
        .iter()
        .map(|heard| heard.connection)
        .collect();
    assert_eq!(connections, [1, 1, 1]);
}

#[tokio::test]
async fn a_kept_connection_that_the_server_has_closed_costs_nothing() {
    let (status, body) = accepted(Provider::Raven);
    let answer = answer(status, "", body);
    let (closed, mut is_closed) = tokio::sync::mpsc::unbounded_channel();
    let address = serve(move |mut stream, _| {
        let (answer, closed) = (answer.clone(), closed.clone());
        async move {
            hear(&mut stream).await;
            stream.write_all(&answer).await.unwrap();
            stream.shutdown().await.unwrap();
            // The other side closes too, once it has seen this: from then on it knows.
            hear(&mut stream).await;
            closed.send(()).unwrap();
        }
    })
    .await;
    let client = client(Provider::Raven, format!("http://{address}"), LONG);
    for _ in 0..3 {
        assert_eq!(attempt(&client, Provider::Raven).await.verdict, Delivered);
        is_closed.recv().await.unwrap();
    }
}
