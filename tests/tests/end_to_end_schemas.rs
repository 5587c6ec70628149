//! Services in other languages check what they write and read against the schemas: a validator agrees with Tidings.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use std::{fs, path::Path};

use jsonschema::Validator;
use serde_json::{Value, json};
use tidings_broker::DeadRecord;
use tidings_model::Reason;
use tidings_sandbox::{Fault, Faults, On as Calls, Operation, Provider};
use tidings_tests::fleet::{Fleet, ONE_OF_EACH, On, message, refusals, to};

const QUICK: &str = "rate = \"unlimited\"\ndestination_rate = \"unlimited\"\ntimeout = \"1s\"\n\
                     retry = { max_attempts = 2, base = \"1s\", cap = \"1s\" }";

fn schema(name: &str) -> Validator {
    let file = format!("../crates/tidings-model/schemas/{name}.schema.json");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let schema: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap()
}

fn assert_valid(schema: &Validator, value: &Value) {
    let errors: Vec<String> = schema
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?} in {value}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_demo_sends_is_valid_and_what_is_not_is_refused_by_send() {
    let fleet = Fleet::on(On::Embedded)
        .account("groupme.ops", QUICK)
        .start()
        .await;
    let schema = schema("message");
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/demo/messages.jsonl");
    for line in fs::read_to_string(demo).unwrap().lines() {
        assert_valid(&schema, &serde_json::from_str(line).unwrap());
    }
    let good = message("groupme.ops", "m");
    assert_valid(&schema, &good);
    let with = |field: &str, value: Value| {
        let mut message = good.clone();
        message[field] = value;
        message
    };
    let mut nobodys = good.clone();
    nobodys.as_object_mut().unwrap().remove("account");
    for bad in [
        nobodys,
        with("account", json!("telegram.ops")),
        with("accuont", json!("groupme.ops")),
        with("delay", json!("soon")),
        with("delay", json!(5)),
        with("not_before", json!("tomorrow")),
        with("metadata", json!({"count": 5})),
        with("payload", json!("text")),
        json!([good.clone()]),
    ] {
        assert!(!schema.is_valid(&bad), "{bad}");
        let sent = fleet.try_to_send(&[bad]).await;
        assert_eq!(sent.status.code(), Some(1), "{sent:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_and_dead_letters_are_valid() {
    let lost = Calls::from(Provider::Raven)
        .operation(Operation::Send)
        .destination("lost");
    let down = Calls::from(Provider::Pingup).destination("down");
    let faults = Faults::none()
        .fault(Fault::timeout().after_recording().on(lost))
        .fault(Fault::status(503).on(down));
    let fleet = ONE_OF_EACH
        .iter()
        .fold(Fleet::on(On::Embedded), |draft, (account, _)| {
            draft.account(account, QUICK)
        })
        .account("raven.parks", &format!("{QUICK}\non_unknown = \"park\""))
        .faults(faults)
        .start()
        .await;
    let worker = fleet.worker().await;
    let mut sent: Vec<Value> = ONE_OF_EACH
        .iter()
        .map(|(account, _)| message(account, &format!("{account}-well")))
        .collect();
    sent.push(to("raven.parks", "lost", "lost"));
    sent.push(to("pingup.acme", "down", "down"));
    let mut ids = fleet.send(&sent).await;
    fleet.ended(&ids).await;
    fleet.sandbox.set_faults(&refusals()).await;
    let mut annotated = message("grupo.site", "refused");
    annotated["metadata"] = json!({"order": "17"});
    ids.extend(fleet.send(&[annotated]).await);
    let reckoning = fleet.reckon(&ids).await;
    for reason in [
        Reason::UnknownOutcome,
        Reason::AttemptsExhausted,
        Reason::Rejected,
    ] {
        assert_eq!(reckoning.dead(reason), 1, "{reason}");
    }

    let outcome = schema("outcome");
    let shown = fleet
        .command("tidings", &["outcomes", "--since", "1h"])
        .run("")
        .await;
    let lines = String::from_utf8(shown.stdout).unwrap();
    assert_eq!(lines.lines().count(), ids.len(), "{lines}");
    for line in lines.lines() {
        assert_valid(&outcome, &serde_json::from_str(line).unwrap());
    }
    let letter = schema("dead-letter");
    // And one of which nobody knows what it was.
    let head = json!({
        "id": null, "account": "grupo.site", "reason": "undecodable", "attempts": [],
        "dead_at": "2026-01-01T00:00:00Z", "generation": 0, "maybe_delivered": false,
    });
    let undecodable = DeadRecord::Letter {
        head: serde_json::from_value(head).unwrap(),
        body: "not a message".into(),
    };
    fleet.broker.record(vec![undecodable]).await.unwrap();
    let letters = fleet.dlq_does(&["list", "--json"]).await;
    assert_eq!(letters.len(), 4);
    for line in &letters {
        assert_valid(&letter, line);
        let mut other = line.clone();
        other["reason"] = json!("bad luck");
        assert!(!letter.is_valid(&other), "{other}");
    }
    assert!(worker.terminate().await.success());
}
