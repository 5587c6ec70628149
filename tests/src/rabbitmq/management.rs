//! RabbitMQ's management API: a vhost in 20 ms, where `rabbitmqctl` takes two seconds of processor time.

use anyhow::{Context, Result, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};
use url::Url;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Blocking, so that a vhost can be deleted in `drop`.
#[derive(Clone, Debug)]
pub(crate) struct Management {
    url: Url,
}

impl Management {
    /// `url` as in `http://guest:guest@127.0.0.1:15672`.
    pub(crate) fn new(url: Url) -> Self {
        Self { url }
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn check(&self) -> Result<()> {
        self.request("GET", "whoami", "")
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Result<()> {
        self.request("PUT", path, &body.to_string())
    }

    pub(crate) fn delete(&self, path: &str) -> Result<()> {
        self.request("DELETE", path, "")
    }

    fn request(&self, method: &str, path: &str, body: &str) -> Result<()> {
        let host = format!(
            "{}:{}",
            self.url.host_str().unwrap_or("127.0.0.1"),
            self.url.port().unwrap_or(15672)
        );
        let answer = self.exchange(&host, method, path, body).with_context(|| {
            format!("RabbitMQ's management API at {host} does not answer {method} /api/{path}")
        })?;
        match answer.split(' ').nth(1) {
            Some(status) if status.starts_with('2') => Ok(()),
            _ => {
                bail!("RabbitMQ's management API at {host} refused {method} /api/{path}: {answer}")
            }
        }
    }

    fn exchange(
        &self,
        host: &str,
        method: &str,
        path: &str,
        body: &str,
    ) -> std::io::Result<String> {
        let user = format!(
            "{}:{}",
            self.url.username(),
            self.url.password().unwrap_or_default()
        );
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let request = format!(
            "{method} /api/{path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Basic {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            BASE64_STANDARD.encode(user),
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}
