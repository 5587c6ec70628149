//! The loop that one would write by hand: consume, POST, ack. What `make bench` measures the worker against.
//!
//! `plain-loop AMQP_URL QUEUE BASE_URL`: prefetch 64, a task for each message, an ack each. It keeps no limit, retries
//! nothing, and remembers nothing.

use std::{env, sync::Arc};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use lapin::{
    Connection, ConnectionProperties,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use reqwest::Client;
use serde::Deserialize;

#[derive(Deserialize)]
struct Message {
    id: String,
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    group_id: String,
    text: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut words = env::args().skip(1);
    let mut word = || {
        words
            .next()
            .context("usage: plain-loop AMQP_URL QUEUE BASE_URL")
    };
    let (url, queue, base) = (word()?, word()?, word()?);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().build()?;
    let base: Arc<str> = base.into();
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.basic_qos(64, BasicQosOptions::default()).await?;
    let mut deliveries = channel
        .basic_consume(
            queue.into(),
            "plain-loop".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    while let Some(delivery) = deliveries.next().await {
        let (delivery, client, base) = (delivery?, client.clone(), base.clone());
        tokio::spawn(async move {
            if post(&client, &base, &delivery.data).await.is_ok() {
                let _ = delivery.ack(BasicAckOptions::default()).await;
            }
        });
    }
    Ok(())
}

async fn post(client: &Client, base: &str, body: &[u8]) -> Result<()> {
    let message: Message = serde_json::from_slice(body)?;
    let url = format!("{base}/groups/{}/messages", message.payload.group_id);
    let body = serde_json::json!({ "message": { "source_guid": message.id, "text": message.payload.text } });
    let request = client
        .post(url)
        .header("X-Access-Token", "bench")
        .header("content-type", "application/json");
    let response = request
        .body(body.to_string())
        .send()
        .await?
        .error_for_status()?;
    let answer: serde_json::Value = serde_json::from_slice(&response.bytes().await?)?;
    anyhow::ensure!(answer.pointer("/response/message/id").is_some(), "no id");
    Ok(())
}
