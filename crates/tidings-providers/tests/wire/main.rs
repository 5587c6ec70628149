//! Real calls over real connections, to servers that may answer anything.

#![allow(clippy::unwrap_used)]

mod connection;
mod groupme;
mod requests;
mod secrets;
mod server;

use std::{num::NonZeroU32, time::Duration};

use secrecy::SecretString;
use tidings_model::{
    Account, Draft, Message, Payload, Provider, Rate, RetryPolicy,
    config::{AccountConfig, OnUnknown, SecretSource},
    payload::{groupme as groupme_payload, grupo, pingup, raven, whatspie},
};
use tidings_providers::{Answer, Client};

/// Every client's secret.
const SECRET: &str = "s3cr3t-T0ken";

/// Long enough for a loaded machine; tests that wait for it to run out use [`SHORT`].
const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_secs(1);

fn account(provider: Provider) -> Account {
    format!("{provider}.ops").parse().unwrap()
}

fn config(base_url: impl Into<String>, timeout: Duration) -> AccountConfig {
    AccountConfig {
        base_url: base_url.into(),
        secret: SecretSource::Env("UNUSED".into()),
        business: Some("a/cme".into()),
        rate: Rate::Unlimited,
        burst: NonZeroU32::MIN,
        destination_rate: Rate::Unlimited,
        concurrency: NonZeroU32::new(4).unwrap(),
        timeout,
        on_unknown: OnUnknown::Retry,
        account_probe: Duration::from_secs(60),
        events: false,
        retry: RetryPolicy::default(),
    }
}

fn client(provider: Provider, base_url: impl Into<String>, timeout: Duration) -> Client {
    Client::new(
        &account(provider),
        &config(base_url, timeout),
        SecretString::from(SECRET),
    )
    .unwrap()
}

fn message(payload: Payload) -> Message {
    let draft = Draft::new(account(payload.provider()), payload).id("m-1".parse().unwrap());
    draft
        .accept("2026-01-01T00:00:00Z".parse().unwrap(), || unreachable!())
        .unwrap()
}

/// A plain message for each provider.
fn plain(provider: Provider) -> Message {
    let payload = match provider {
        Provider::Grupo => grupo::Text::to_user("ann")
            .sender("bob")
            .message("hi")
            .build(),
        Provider::Whatspie => whatspie::Text::to("495").message("hi").build(),
        Provider::Groupme => groupme_payload::Text::to("1234567").text("hi").build(),
        Provider::Raven => {
            let ann = raven::Recipient::new("Ann", [raven::Contact::whatsapp("Main", "+62851")]);
            raven::Text::from_user("ops", raven::Topic::persona("Deploys"))
                .to(ann)
                .message("hi")
                .build()
        }
        Provider::Pingup => pingup::Text::to_client("c-42").text_message("hi").build(),
    };
    message(payload.unwrap())
}

/// What each provider answers to a message that it takes.
fn accepted(provider: Provider) -> (u16, &'static str) {
    match provider {
        Provider::Grupo => (200, r#"{"success":true}"#),
        Provider::Whatspie => (200, r#"{"status":200,"message":"OK","data":{"id":"77"}}"#),
        Provider::Groupme => (
            201,
            r#"{"meta":{"code":201},"response":{"message":{"id":"77"}}}"#,
        ),
        Provider::Raven => (
            200,
            r#"{"data":77,"notification":"Chat Sent Successfully"}"#,
        ),
        Provider::Pingup => (200, r#"{"success":true,"data":{"message_id":"77"}}"#),
    }
}

/// One attempt at a plain message.
async fn attempt(client: &Client, provider: Provider) -> Answer {
    client
        .send(&plain(provider), Duration::ZERO, std::future::ready(true))
        .await
}
