//! What `tidings send` accepted ends in one outcome, and the ledger, the dead letters and the providers agree on it.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

mod copies;
mod harm;

use std::{collections::BTreeMap, time::Duration};

use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};
use tidings_broker::Envelope;
use tidings_model::{Headers, Outcome, Reason};
use tidings_sandbox::{Fault, Faults, Garbage, On as Calls, Operation, Provider};
use tidings_tests::{
    fleet::{Fleet, ONE_OF_EACH, On, message, refusal, to},
    on_each_broker, on_rabbitmq_4_3,
};

use self::{
    copies::copies_of_a_message_are_called_once, harm::what_cannot_be_handled_stops_no_lane,
};

on_each_broker! {
    every_class_of_fault_ends_each_message_once,
    copies_of_a_message_are_called_once,
    delayed_expired_and_unroutable_messages_end_as_they_should,
    what_cannot_be_handled_stops_no_lane,
}

on_rabbitmq_4_3! {
    every_class_of_fault_ends_each_message_once,
    what_cannot_be_handled_stops_no_lane,
}

const QUICK: &str = r#"
    rate = "200/s"
    destination_rate = "unlimited"
    timeout = "2s"
    account_probe = "1s"
    retry = { max_attempts = 4, base = "1s", cap = "1s" }
"#;

/// What goes wrong with the messages to one destination, and how they end all the same.
struct Class {
    destination: &'static str,
    fault: Option<Fault>,
    ends: Option<Reason>,
}

fn class(destination: &'static str, fault: Fault, ends: Option<Reason>) -> Class {
    Class {
        destination,
        fault: Some(fault),
        ends,
    }
}

/// The classes of a provider. `HEALS` strikes once, and what is tried again then passes.
fn classes(provider: Provider) -> Vec<Class> {
    let refused = refusal(provider);
    let limited = if provider == Provider::GroupMe {
        420
    } else {
        429
    };
    vec![
        Class {
            destination: "well",
            fault: None,
            ends: None,
        },
        class("refused", refused, Some(Reason::Rejected)),
        class("hiccup", Fault::status(503).times(1), None),
        class("down", Fault::status(500), Some(Reason::AttemptsExhausted)),
        class(
            "limited",
            Fault::status(limited)
                .retry_after(Duration::from_secs(1))
                .times(1),
            None,
        ),
        class("revoked", Fault::bad_token().times(1), None),
        class("reset", Fault::reset().times(1), None),
        class("silent", Fault::timeout().times(1), None),
        class(
            "lost-answer",
            Fault::timeout().after_recording().times(1),
            None,
        ),
        class("garbled", Fault::garbage(Garbage::Truncated).times(1), None),
        class("other-shape", Fault::other_shape(), None),
    ]
}

async fn every_class_of_fault_ends_each_message_once(on: On) {
    let (mut faults, mut sent, mut wanted) = (Faults::none(), Vec::new(), BTreeMap::new());
    let mut draft = Fleet::on(on);
    for (account, provider) in ONE_OF_EACH {
        // One by one: a fault strikes the message that it is meant for, and pauses are its own.
        draft = draft.account(account, &format!("{QUICK}\nconcurrency = 1"));
        for Class {
            destination,
            fault,
            ends,
        } in classes(provider)
        {
            let id = format!("{account}-{destination}");
            sent.push(to(account, destination, &id));
            wanted.insert(id, ends);
            if let Some(fault) = fault {
                let calls = Calls::from(provider)
                    .destination(destination)
                    .operation(Operation::Send);
                faults = faults.fault(fault.on(calls));
            }
        }
        if provider == Provider::GroupMe {
            // A 401 is taken for a revoked token only where the account's own page says so too.
            let me = Calls::from(provider).operation(Operation::Me);
            faults = faults.fault(Fault::bad_token().on(me).times(1));
        }
    }
    let fleet = draft.faults(faults).start().await;
    let worker = fleet.worker().await;

    let ids = fleet.send(&sent).await;
    let reckoning = fleet.reckon(&ids).await;

    reckoning.adds_up(&[]);
    let ended: BTreeMap<String, Option<Reason>> = reckoning
        .outcomes
        .iter()
        .map(|(id, outcome)| (id.clone(), outcome.reason()))
        .collect();
    assert_eq!(ended, wanted);
    for letter in &reckoning.letters {
        let spent = letter
            .attempts
            .iter()
            .filter(|attempt| attempt.verdict.is_spent())
            .count();
        let allowed = if letter.reason == Reason::Rejected {
            1
        } else {
            4
        };
        assert_eq!(spent, allowed, "{letter:?}");
    }
    for (id, outcome) in &reckoning.outcomes {
        // Nobody spends an attempt for the provider's or the account's trouble.
        if ["limited", "revoked"]
            .iter()
            .any(|class| id.ends_with(class))
        {
            assert_eq!(attempts(outcome), 1, "{outcome:?}");
        }
    }
    let found = &reckoning.outcomes["groupme.ops-lost-answer"];
    assert!(
        matches!(
            found,
            Outcome::Delivered {
                deduplicated: true,
                provider_message_id: Some(_),
                ..
            }
        ),
        "looked up, not sent again: {found:?}"
    );
    assert_eq!(
        reckoning.book.summary.provider(Provider::GroupMe).repeats,
        0
    );
    assert!(worker.terminate().await.success());

    assert_eq!(outcomes_by_command(&fleet).await, reckoning.outcomes);
}

fn attempts(outcome: &Outcome) -> u32 {
    match outcome {
        Outcome::Delivered { attempts, .. } | Outcome::Dead { attempts, .. } => *attempts,
    }
}

/// What `tidings outcomes` prints.
async fn outcomes_by_command(fleet: &Fleet) -> BTreeMap<String, Outcome> {
    let output = fleet.command("tidings", &["outcomes"]).run("").await;
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: Vec<Outcome> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("an outcome"))
        .collect();
    let count = lines.len();
    let outcomes: BTreeMap<_, _> = lines
        .into_iter()
        .map(|outcome| (outcome.id().to_string(), outcome))
        .collect();
    assert_eq!(outcomes.len(), count, "each once");
    outcomes
}

async fn delayed_expired_and_unroutable_messages_end_as_they_should(on: On) {
    let fleet = Fleet::on(on)
        .account("raven.crm", QUICK)
        .account("pingup.acme", QUICK)
        .start()
        .await;
    let with = |account: &str, id: &str, field: &str, value: Value| {
        let mut message = message(account, id);
        message[field] = value;
        message
    };
    let before = Timestamp::now();
    let at = before.checked_add(3.seconds()).expect("a time");
    let mut reminder = message("pingup.acme", "reminder");
    reminder["payload"]["delay"] = json!("10m");
    let ids = fleet
        .send(&[
            message("raven.crm", "at-once"),
            with("raven.crm", "in-two-seconds", "delay", json!("2s")),
            with(
                "raven.crm",
                "at-a-time",
                "not_before",
                json!(at.to_string()),
            ),
            with("raven.crm", "expired", "expires_in", json!("1s")),
            with("whatspie.nobody", "unroutable", "delay", json!("1s")),
            reminder,
        ])
        .await;
    // Any client may put a body into the lane: what it says of its delay holds as well.
    let direct = json!({
        "account": "raven.crm", "id": "direct", "enqueued_at": before.to_string(), "delay": "4s",
        "payload": message("raven.crm", "direct")["payload"],
    });
    let envelope = Envelope {
        account: "raven.crm".parse().unwrap(),
        id: "direct".parse().unwrap(),
        body: direct.to_string().into(),
        headers: Headers::default(),
    };
    fleet.broker.publish(envelope).await.unwrap().await.unwrap();
    let ids = [ids, vec!["direct".to_owned()]].concat();
    // What has a second to be sent waits longer than that for a worker.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let worker = fleet.worker().await;

    let reckoning = fleet.reckon(&ids).await;
    reckoning.adds_up(&[]);
    let reason = |id: &str| reckoning.outcomes[id].reason();
    assert_eq!(reason("expired"), Some(Reason::Expired));
    assert_eq!(reason("unroutable"), Some(Reason::Unroutable));
    for id in [
        "at-once",
        "in-two-seconds",
        "at-a-time",
        "reminder",
        "direct",
    ] {
        assert_eq!(reason(id), None, "{id}");
    }
    let millis = |at: Timestamp| u64::try_from(at.as_millisecond()).expect("after 1970");
    let received = |id: &str| reckoning.book.entry(id).at_ms;
    assert!(received("in-two-seconds") >= millis(before) + 2000);
    assert!(received("at-a-time") >= millis(at));
    assert!(received("direct") >= millis(before) + 4000);
    assert_eq!(reckoning.book.times_of("direct"), 1);
    let reminder = reckoning
        .book
        .entry("reminder")
        .deliver_at_ms
        .expect("Pingup keeps the delay");
    let (earliest, latest) = (millis(before) + 600_000, millis(Timestamp::now()) + 601_000);
    assert!(
        (earliest..latest).contains(&reminder),
        "{earliest} {reminder} {latest}: counted from send"
    );
    assert!(worker.terminate().await.success());
    let verify = ["delays", "verify", "--json", "--wait", "5s"];
    let verified = fleet.command("tidings", &verify).run("").await;
    assert!(verified.status.success(), "{verified:?}");
    let last = String::from_utf8_lossy(&verified.stdout);
    let last: Value = serde_json::from_str(last.lines().last().unwrap()).unwrap();
    assert_eq!(
        last,
        json!({"unroutable": 0, "dead": {"whatspie.nobody": 1}})
    );

    let refused = fleet
        .try_to_send(&[message("whatspie.nobody", "at-once-to-nobody")])
        .await;
    let words = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{words}");
    assert!(words.contains("whatspie.nobody has no lane"), "{words}");
}
