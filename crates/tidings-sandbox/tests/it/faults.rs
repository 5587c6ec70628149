use std::io;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tidings_sandbox::{Config, Fault, Faults, Garbage, Latency, On, Provider, Sandbox};

use crate::client::{Answered, delete, eventually, get, post, put};
use crate::groupme::{message, sandbox};

async fn struck_by(fault: Fault) -> (Sandbox, io::Result<Answered>) {
    let sandbox = Sandbox::start(Config {
        faults: Faults::none().fault(fault),
        ..Config::default()
    })
    .await
    .unwrap();
    let answer = message(&sandbox, "42", "g").send().await;
    (sandbox, answer)
}

#[tokio::test]
async fn a_status_comes_with_or_without_retry_after() {
    for code in [500, 503, 429, 420] {
        let (sandbox, answer) = struck_by(Fault::status(code)).await;
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.header("retry-after")), (code, None));
        assert_eq!(answer.json()["meta"]["code"], code);
        assert!(sandbox.received().is_empty());
        let (_sandbox, answer) =
            struck_by(Fault::status(code).retry_after(Duration::from_millis(1500))).await;
        assert_eq!(answer.unwrap().header("retry-after"), Some("2"));
    }
}

#[tokio::test]
async fn retry_after_may_be_a_date() {
    let (_sandbox, answer) =
        struck_by(Fault::status(503).retry_after_date(Duration::from_secs(600))).await;
    let date = httpdate::parse_http_date(answer.unwrap().header("retry-after").unwrap()).unwrap();
    assert!(date > SystemTime::now() + Duration::from_secs(500));
}

#[tokio::test]
async fn a_status_may_be_after_recording_and_have_its_own_body() {
    let (sandbox, answer) = struck_by(
        Fault::status(500)
            .after_recording()
            .body(json!({"odd": []})),
    )
    .await;
    assert_eq!(answer.unwrap().json(), json!({"odd": []}));
    assert_eq!(sandbox.received()[0].fault.as_deref(), Some("status"));
}

#[tokio::test]
async fn a_bad_token_is_answered_as_each_provider_does() {
    let sandbox = sandbox().await;
    let bad = On::everything().account("bad");
    sandbox.set_faults(Faults::none().fault(Fault::bad_token().on(bad)));
    for path in [
        "/whatspie/groups/1/send",
        "/raven/message:send",
        "/pingup/acme/messages",
    ] {
        let with = |token| post(&sandbox, path).bearer(token).json(&json!({}));
        assert_eq!(with("bad").answer().await.status, 401, "{path}");
        assert_ne!(with("good").answer().await.status, 401, "{path}");
    }
    let groupme = get(&sandbox, "/groupme/users/me?token=bad").answer().await;
    assert_eq!(
        (groupme.status, &groupme.json()["meta"]["code"]),
        (401, &json!(401))
    );
    let form = [("api_secret_key", "bad"), ("add", "message")];
    let grupo = post(&sandbox, "/grupo/api_request/")
        .form(&form, None)
        .answer()
        .await;
    assert_eq!(grupo.json()["error_key"], "invalid_api_secret_key");
}

#[tokio::test]
async fn a_timeout_before_recording_leaves_nothing_behind() {
    let sandbox = sandbox().await;
    sandbox.set_faults(Faults::none().fault(Fault::timeout().before_recording().first(1)));
    let hanging = message(&sandbox, "42", "g").write().await.unwrap();
    eventually(|| sandbox.summary().tally.faults == 1).await;
    drop(hanging);
    assert!(sandbox.received().is_empty());
    assert_eq!(sandbox.refused()[0].status, None);
    assert_eq!(message(&sandbox, "42", "g").answer().await.status, 201);
}

#[tokio::test]
async fn a_timeout_after_recording_makes_the_next_a_conflict() {
    let sandbox = sandbox().await;
    sandbox.set_faults(Faults::none().fault(Fault::timeout().after_recording().first(1)));
    let hanging = message(&sandbox, "42", "g").write().await.unwrap();
    eventually(|| sandbox.received().len() == 1).await;
    drop(hanging);
    assert_eq!(message(&sandbox, "42", "g").answer().await.status, 409);
    assert_eq!(sandbox.received()[0].fault.as_deref(), Some("timeout"));
}

#[tokio::test]
async fn what_is_recorded_late_arrives_though_its_caller_has_gone() {
    let sandbox = sandbox().await;
    let late = Fault::timeout().recorded_late(Duration::from_millis(50));
    sandbox.set_faults(Faults::none().fault(late));
    let hanging = message(&sandbox, "42", "g").write().await.unwrap();
    eventually(|| sandbox.summary().tally.faults == 1).await;
    drop(hanging);
    eventually(|| sandbox.received().len() == 1).await;
    assert_eq!(sandbox.received()[0].fault.as_deref(), Some("late"));
}

#[tokio::test]
async fn a_reset_is_one_whether_recorded_or_not() {
    for (fault, recorded) in [
        (Fault::reset().before_recording(), 0),
        (Fault::reset().after_recording(), 1),
    ] {
        let (sandbox, answer) = struck_by(fault).await;
        assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(sandbox.received().len(), recorded);
    }
}

#[tokio::test]
async fn garbage_is_what_cannot_be_read() {
    let unreadable = |answer: &Answered| serde_json::from_str::<Value>(&answer.body).is_err();
    for garbage in [
        Garbage::Html,
        Garbage::Truncated,
        Garbage::PhpWarning,
        Garbage::Megabyte,
        Garbage::Empty,
    ] {
        let (sandbox, answer) = struck_by(Fault::garbage(garbage)).await;
        let answer = answer.unwrap();
        assert!(unreadable(&answer), "{garbage:?}");
        assert_eq!(sandbox.received().len(), 1, "{garbage:?}");
        match garbage {
            Garbage::Html => assert!(
                answer
                    .header("content-type")
                    .unwrap()
                    .starts_with("text/html")
            ),
            Garbage::Truncated => assert!(answer.body.starts_with(r#"{"response":{"message""#)),
            Garbage::PhpWarning => assert!(
                answer.body.contains("Warning") && answer.body.contains(r#""source_guid":"g""#)
            ),
            Garbage::Megabyte => assert_eq!(answer.body.len(), 1 << 20),
            Garbage::Empty => assert_eq!(answer.body, ""),
        }
    }
}

#[tokio::test]
async fn a_redirect_leads_elsewhere() {
    let (sandbox, answer) = struck_by(Fault::redirect("http://127.0.0.1:9/")).await;
    let answer = answer.unwrap();
    assert_eq!(
        (answer.status, answer.header("location")),
        (302, Some("http://127.0.0.1:9/"))
    );
    assert!(sandbox.received().is_empty());
}

#[tokio::test]
async fn an_answer_takes_as_long_as_the_latency_and_is_recorded_before() {
    let sandbox = sandbox().await;
    let hour = Latency::fixed(Duration::from_secs(3600)).on(On::everything().destination("slow"));
    let moment = Latency::fixed(Duration::from_millis(80));
    sandbox.set_faults(Faults::none().latency(hour).latency(moment));
    let waiting = message(&sandbox, "slow", "g").write().await.unwrap();
    eventually(|| sandbox.received().len() == 1).await;
    let before = tokio::time::Instant::now();
    message(&sandbox, "quick", "g").answer().await;
    assert!(before.elapsed() >= Duration::from_millis(80));
    drop(waiting);
}

#[tokio::test]
async fn a_fault_on_one_destination_spares_the_others() {
    let sandbox = sandbox().await;
    let one = On::from(Provider::GroupMe)
        .account("ops-token")
        .destination("42");
    sandbox.set_faults(Faults::none().fault(Fault::status(500).on(one).times(2)));
    let mut statuses = Vec::new();
    for (group, guid) in [("42", "a"), ("43", "a"), ("42", "b"), ("42", "c")] {
        statuses.push(message(&sandbox, group, guid).answer().await.status);
    }
    assert_eq!(statuses, [500, 201, 500, 201]);
    assert_eq!(sandbox.summary().struck, [2]);
}

#[tokio::test]
async fn faults_are_set_and_cleared_over_http() {
    let sandbox = sandbox().await;
    let faults = json!({"seed": 0, "clock_ahead_ms": 0, "latency": [], "limits": [],
        "faults": [{"on": {"provider": "groupme"}, "do": {"status": {"code": 503, "retry_after": "2s"}}, "when": {"first": 1}}]});
    assert_eq!(
        put(&sandbox, "/faults").json(&faults).answer().await.json(),
        faults
    );
    assert_eq!(get(&sandbox, "/faults").answer().await.json(), faults);
    assert_eq!(message(&sandbox, "42", "g").answer().await.status, 503);
    assert_eq!(message(&sandbox, "42", "g").answer().await.status, 201);
    put(&sandbox, "/faults").json(&faults).answer().await;
    assert_eq!(delete(&sandbox, "/faults").answer().await.status, 204);
    assert_eq!(message(&sandbox, "42", "h").answer().await.status, 201);
}

#[tokio::test]
async fn faults_that_do_not_read_change_nothing_and_name_the_field() {
    let sandbox = sandbox().await;
    let answer = put(&sandbox, "/faults")
        .raw(r#"{"faults": [{"do": "timeout", "wen": {}}]}"#)
        .answer()
        .await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.json()["error"].as_str().unwrap().contains("`wen`"),
        "{answer:?}"
    );
    assert_eq!(message(&sandbox, "42", "g").answer().await.status, 201);
}

#[tokio::test]
async fn stopping_cuts_what_hangs() {
    let sandbox = sandbox().await;
    sandbox.set_faults(Faults::none().fault(Fault::timeout()));
    let asking = message(&sandbox, "42", "g");
    let hanging = tokio::spawn(async move {
        asking
            .send()
            .await
            .map(|answer| answer.status)
            .map_err(|e| e.kind())
    });
    eventually(|| sandbox.summary().tally.faults == 1).await;
    let next = message(&sandbox, "42", "g");
    sandbox.stop().await;
    assert_eq!(hanging.await.unwrap(), Err(io::ErrorKind::ConnectionReset));
    assert_eq!(
        next.send().await.unwrap_err().kind(),
        io::ErrorKind::ConnectionRefused
    );
}
