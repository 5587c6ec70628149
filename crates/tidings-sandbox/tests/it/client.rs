//! A client that sees what a library would hide: how a connection ends, and each byte of an answer.

use std::io;
use std::time::Duration;

use serde_json::Value;
use tidings_sandbox::Sandbox;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than anything takes that is going to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request about to be made.
#[derive(Clone)]
pub(crate) struct Asking {
    address: String,
    head: String,
    body: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) fn get(sandbox: &Sandbox, path: &str) -> Asking {
    asking(sandbox, "GET", path)
}

pub(crate) fn post(sandbox: &Sandbox, path: &str) -> Asking {
    asking(sandbox, "POST", path)
}

pub(crate) fn put(sandbox: &Sandbox, path: &str) -> Asking {
    asking(sandbox, "PUT", path)
}

pub(crate) fn delete(sandbox: &Sandbox, path: &str) -> Asking {
    asking(sandbox, "DELETE", path)
}

fn asking(sandbox: &Sandbox, method: &str, path: &str) -> Asking {
    let address = sandbox.address().to_string();
    // Version 1.0: the answer ends with the connection, and is not cut into chunks.
    Asking {
        head: format!("{method} {path} HTTP/1.0\r\nhost: {address}\r\n"),
        address,
        body: Vec::new(),
    }
}

impl Asking {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head += &format!("{name}: {value}\r\n");
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .raw(body.to_string())
    }

    pub(crate) fn form(self, fields: &[(&str, &str)], file: Option<(&str, &[u8])>) -> Self {
        let mut body = Vec::new();
        for (name, value) in fields {
            let part = format!(
                "--cut\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
            body.extend(part.into_bytes());
        }
        if let Some((name, bytes)) = file {
            let head = format!(
                "--cut\r\nContent-Disposition: form-data; name=\"file_attachments\"; filename=\"{name}\"\r\n\
                 Content-Type: image/png\r\n\r\n"
            );
            body.extend([head.as_bytes(), bytes, b"\r\n"].concat());
        }
        body.extend(b"--cut--\r\n");
        self.header("content-type", "multipart/form-data; boundary=cut")
            .raw(body)
    }

    pub(crate) fn raw(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The answer, or how the connection ended without one.
    pub(crate) async fn send(&self) -> io::Result<Answered> {
        tokio::time::timeout(PATIENCE, self.exchange())
            .await
            .map_err(|_| io::ErrorKind::TimedOut)?
    }

    /// The answer, where there must be one.
    pub(crate) async fn answer(&self) -> Answered {
        self.send().await.unwrap()
    }

    /// The request written, and nothing read.
    pub(crate) async fn write(&self) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.address).await?;
        let head = format!("{}content-length: {}\r\n\r\n", self.head, self.body.len());
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&self.body).await?;
        Ok(stream)
    }

    async fn exchange(&self) -> io::Result<Answered> {
        let mut stream = self.write().await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        let text = String::from_utf8(bytes).map_err(io::Error::other)?;
        let (head, body) = text
            .split_once("\r\n\r\n")
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .ok_or(io::ErrorKind::InvalidData)?;
        Ok(Answered {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        })
    }
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self
            .head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        headers
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// Waits until it holds.
pub(crate) async fn eventually(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("it never came true");
}
