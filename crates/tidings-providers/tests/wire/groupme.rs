//! What only GroupMe can do: confirm a 401, look up, delete, check a token.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use serde_json::json;
use tidings_model::Verdict::{self, AccountProblem, NotSent, RateLimited, Rejected};
use tidings_providers::{Check, Deletion, LookUp};

use super::*;
use crate::server::{Act, Heard, Server, answer};

const SINCE: &str = "2026-01-01T00:00:00Z";
const SINCE_SECOND: i64 = 1_767_225_600;

fn groupme(server: &Server, timeout: Duration) -> Client {
    client(Provider::Groupme, server.url(), timeout)
}

/// A server that answers 401 to all but `users/me`.
async fn unauthorized(me: Act) -> Server {
    Server::start(move |heard| match heard.line() {
        "GET /users/me" => me.clone(),
        _ => Act::Say(answer(
            401,
            "",
            r#"{"meta":{"code":401,"errors":["unauthorized"]},"response":null}"#,
        )),
    })
    .await
}

fn say(status: u16, body: impl AsRef<[u8]>) -> Act {
    Act::Say(answer(status, "", body))
}

#[tokio::test]
async fn a_401_is_an_account_problem_only_if_the_token_does_not_work() {
    let cases = [
        (say(200, r#"{"response":{"id":"1"}}"#), Rejected),
        (say(401, ""), AccountProblem),
        (say(403, ""), AccountProblem),
        (say(429, ""), AccountProblem),
        (say(500, ""), AccountProblem),
        (Act::SayAndClose(Vec::new()), AccountProblem),
    ];
    for (me, verdict) in cases {
        let server = unauthorized(me.clone()).await;
        let answer = attempt(&groupme(&server, LONG), Provider::Groupme).await;
        assert_eq!(
            (answer.verdict, answer.status),
            (verdict, Some(401)),
            "{me:?}"
        );
        assert_eq!(answer.error.as_deref(), Some("unauthorized"));
        assert_eq!(answer.pauses_lane, verdict == AccountProblem);
        let heard = server.heard();
        assert_eq!(heard.len(), 2);
        assert_eq!(heard[1].header("x-access-token"), Some(SECRET));
    }
}

#[tokio::test]
async fn a_401_that_cannot_be_confirmed_in_time_is_an_account_problem() {
    let server = unauthorized(Act::Hang).await;
    let answer = attempt(&groupme(&server, SHORT), Provider::Groupme).await;
    assert_eq!((answer.verdict, answer.status), (AccountProblem, Some(401)));
}

/// Of those that are under way together: a token that worked a while ago may be revoked by now.
#[tokio::test]
async fn a_token_is_tried_once_for_all_who_want_to_know() {
    let server = unauthorized(say(200, r#"{"response":{"id":"1"}}"#)).await;
    let client = groupme(&server, LONG);
    let (permits, message) = (AtomicU32::new(0), plain(Provider::Groupme));
    let send = || {
        client.send(&message, Duration::ZERO, async {
            permits.fetch_add(1, Relaxed);
            true
        })
    };
    let (first, second) = tokio::join!(send(), send());
    let later = send().await;
    for answer in [first, second, later] {
        assert_eq!(answer.verdict, Rejected);
    }
    assert_eq!(server.heard().len(), 3 + 2);
    assert_eq!(permits.into_inner(), 2);
}

/// Waiting for a permit takes nothing from the time that the question has.
#[tokio::test]
async fn a_permit_that_takes_long_is_waited_for() {
    let server = unauthorized(say(200, r#"{"response":{"id":"1"}}"#)).await;
    let client = groupme(&server, SHORT);
    let permit = async {
        tokio::time::sleep(SHORT * 2).await;
        true
    };
    let answer = client
        .send(&plain(Provider::Groupme), Duration::ZERO, permit)
        .await;
    assert_eq!(answer.verdict, Rejected);

    let none = async { false };
    let answer = client
        .send(&plain(Provider::Groupme), Duration::ZERO, none)
        .await;
    assert_eq!(answer.verdict, AccountProblem, "nobody could be asked");
}

#[tokio::test]
async fn another_providers_401_asks_nothing_more() {
    let server = Server::answering(401, "").await;
    assert_eq!(
        attempt(
            &client(Provider::Raven, server.url(), LONG),
            Provider::Raven
        )
        .await
        .verdict,
        AccountProblem
    );
    server.heard_once();
}

/// An index of three pages, newest first: `g-5` to `g-1`, two a page, then nothing.
fn index(heard: &Heard) -> Act {
    let entry = |n: i64| json!({"id": format!("{n}"), "source_guid": format!("g-{n}"), "created_at": SINCE_SECOND + n});
    let page = |entries: &[i64]| {
        let messages: Vec<_> = entries.iter().map(|&n| entry(n)).collect();
        say(
            200,
            json!({"meta": {"code": 200}, "response": {"count": 5, "messages": messages}})
                .to_string(),
        )
    };
    match heard.line() {
        "GET /groups/77/messages?limit=100" => page(&[5, 4]),
        "GET /groups/77/messages?limit=100&before_id=4" => page(&[3, 2]),
        "GET /groups/77/messages?limit=100&before_id=2" => page(&[1]),
        "GET /groups/77/messages?limit=100&before_id=1" => say(304, ""),
        other => panic!("{other}"),
    }
}

/// Looks these up in group 77; counts the permits.
async fn look_up(client: &Client, wanted: &[&str]) -> (LookUp, u32) {
    let permits = AtomicU32::new(0);
    let looked = client
        .look_up("77", SINCE.parse().unwrap(), wanted, async || {
            permits.fetch_add(1, Relaxed);
            tokio::task::yield_now().await;
        })
        .await;
    (looked, permits.load(Relaxed))
}

fn found(looked: LookUp) -> Vec<(String, String)> {
    match looked {
        LookUp::Read { found, .. } => {
            let mut found: Vec<_> = found.into_iter().collect();
            found.sort();
            found
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_look_up_reads_page_after_page_with_a_permit_for_each() {
    let server = Server::start(index).await;
    let client = groupme(&server, LONG);
    let (looked, permits) = look_up(&client, &["g-5", "g-2", "g-0"]).await;
    let pair = |guid: &str, id: &str| (guid.to_owned(), id.to_owned());
    assert_eq!(found(looked), [pair("g-2", "2"), pair("g-5", "5")]);
    assert_eq!((permits, server.heard().len()), (4, 4));

    let (looked, permits) = look_up(&client, &["g-4"]).await;
    assert_eq!((found(looked), permits), (vec![pair("g-4", "4")], 1));
}

#[tokio::test]
async fn a_reading_counts_from_before_its_first_page() {
    let server = Server::start(index).await;
    let before = tokio::time::Instant::now();
    let first_permit = std::sync::Mutex::new(None);
    let looked = groupme(&server, LONG)
        .look_up("77", SINCE.parse().unwrap(), &["none"], async || {
            let mut first = first_permit.lock().unwrap();
            // The second permit comes after the first page.
            if first.is_none() || server.heard().len() == 1 {
                *first = Some(tokio::time::Instant::now());
            }
        })
        .await;
    let LookUp::Read { read_at, .. } = looked else {
        panic!("{looked:?}")
    };
    assert!(before <= read_at && read_at <= first_permit.lock().unwrap().unwrap());
}

#[tokio::test]
async fn a_look_up_can_be_made_by_a_task() {
    let server = Server::start(|_| say(304, "")).await;
    let client = groupme(&server, LONG);
    let looked = tokio::spawn(async move { look_up(&client, &["g"]).await.0 })
        .await
        .unwrap();
    assert_eq!(found(looked), []);
}

#[tokio::test]
async fn a_look_up_that_fails_says_whether_to_ask_again() {
    let failed = |looked: (LookUp, u32)| match looked.0 {
        LookUp::Failed(answer) => Some((answer.verdict, answer.status)),
        LookUp::CannotTell(_) => None,
        LookUp::Read { .. } => panic!("nothing was read"),
    };
    for (act, expected) in [
        (say(500, ""), Some((NotSent, Some(500)))),
        (say(429, ""), Some((RateLimited, Some(429)))),
        (say(404, ""), None),
        (Act::SayAndClose(Vec::new()), Some((NotSent, None))),
        (Act::Hang, Some((NotSent, None))),
    ] {
        let server = Server::start({
            let act = act.clone();
            move |_| act.clone()
        })
        .await;
        let timeout = if matches!(act, Act::Hang) {
            SHORT
        } else {
            LONG
        };
        assert_eq!(
            failed(look_up(&groupme(&server, timeout), &["g"]).await),
            expected,
            "{act:?}"
        );
    }
    for (me, expected) in [(200, None), (401, Some((AccountProblem, Some(401))))] {
        let server = unauthorized(say(me, "")).await;
        assert_eq!(
            failed(look_up(&groupme(&server, LONG), &["g"]).await),
            expected,
            "{me}"
        );
    }
}

#[tokio::test]
async fn a_page_of_a_hundred_long_messages_is_read_whole() {
    let text = "x".repeat(3000);
    let messages: Vec<_> = (0..100)
        .map(|n| json!({"id": format!("{n}"), "source_guid": format!("g-{n}"), "created_at": SINCE_SECOND + 100 - n, "text": text}))
        .collect();
    let body = json!({"count": 100, "messages": messages}).to_string();
    let server = Server::answering(200, body).await;
    let (looked, _) = look_up(&groupme(&server, LONG), &["g-99"]).await;
    assert_eq!(found(looked), [("g-99".to_owned(), "99".to_owned())]);
}

#[tokio::test]
async fn only_groupme_has_an_index_a_check_and_a_way_back() {
    let server = Server::answering(200, "").await;
    for provider in Provider::ALL
        .into_iter()
        .filter(|provider| *provider != Provider::Groupme)
    {
        let client = client(provider, server.url(), LONG);
        let (looked, permits) = look_up(&client, &["g"]).await;
        assert!(matches!(looked, LookUp::CannotTell(_)), "{looked:?}");
        assert_eq!(permits, 0);
        assert_eq!(client.check().await, Check::NoHarmlessCall);
        assert_eq!(client.delete("77", "1").await, Deletion::NotPossible);
    }
    assert!(server.heard().is_empty());
}

#[tokio::test]
async fn a_token_is_checked_without_sending_anything() {
    let server = Server::answering(200, r#"{"response":{"id":"1"}}"#).await;
    assert_eq!(groupme(&server, LONG).check().await, Check::Works);
    assert_eq!(server.heard_once().line(), "GET /users/me");
    let refusing = Server::answering(401, r#"{"meta":{"errors":["unauthorized"]}}"#).await;
    assert_eq!(
        groupme(&refusing, LONG).check().await,
        Check::Refused("unauthorized".into())
    );
    let hanging = Server::start(|_| Act::Hang).await;
    assert!(matches!(
        groupme(&hanging, SHORT).check().await,
        Check::CannotTell(_)
    ));
}

#[tokio::test]
async fn a_delivered_message_can_be_taken_back() {
    let server = Server::start(|heard| match heard.line() {
        "DELETE /conversations/7%2F7/messages/42" => say(204, ""),
        _ => say(404, r#"{"meta":{"errors":["not found"]}}"#),
    })
    .await;
    let client = groupme(&server, LONG);
    assert_eq!(client.delete("7/7", "42").await, Deletion::Deleted);
    let Deletion::Failed(answer) = client.delete("7/7", "43").await else {
        panic!("deleted")
    };
    assert_eq!(
        (answer.verdict, answer.error.as_deref()),
        (Verdict::Rejected, Some("not found"))
    );
}
