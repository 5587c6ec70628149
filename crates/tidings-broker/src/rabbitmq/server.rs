//! Which broker it is: asked once, before anything relies on it.

use futures::{AsyncReadExt, AsyncWriteExt};
use lapin::{
    tcp::{AMQPUriTcpExt, OwnedTLSConfig},
    uri::AMQPUri,
};

use super::{place::Place, session::CONNECTING};
use crate::BrokerError;

const OLDEST: (u32, u32) = (3, 10);
const HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
/// A frame's type, channel and size.
const FRAME: usize = 7;
/// The server's greeting has a few hundred bytes; what says it has more is no AMQP broker.
const MAX_GREETING: u32 = 65_536;

/// Refuses a broker that is too old, or none. lapin does not tell what the server says of itself, so this reads the
/// greeting on a connection of its own.
pub(super) async fn check(uri: &AMQPUri, place: &Place) -> Result<(), BrokerError> {
    let asked = tokio::time::timeout(CONNECTING, greeting(uri)).await;
    let greeting = asked
        .map_err(|_| place.away(format!("no answer within {CONNECTING:?}")))?
        .map_err(|error| place.away(error))?;
    judge(&greeting).map_err(|why| place.unsupported(why))
}

async fn greeting(uri: &AMQPUri) -> std::io::Result<Vec<u8>> {
    let runtime = lapin::runtime::default_runtime().map_err(std::io::Error::other)?;
    let tls = OwnedTLSConfig::default();
    let mut stream = uri
        .connect_with_config_async(tls.as_ref(), &runtime)
        .await?;
    stream.write_all(HEADER).await?;
    stream.flush().await?;
    let mut frame = [0; FRAME];
    stream.read_exact(&mut frame).await?;
    let size = u32::from_be_bytes([frame[3], frame[4], frame[5], frame[6]]);
    if frame[0] != 1 || size > MAX_GREETING {
        return Ok(Vec::new());
    }
    let mut greeting = vec![0; size as usize];
    stream.read_exact(&mut greeting).await?;
    Ok(greeting)
}

fn judge(greeting: &[u8]) -> Result<(), String> {
    let needed = "RabbitMQ 3.10 or newer is needed";
    if property(greeting, "product").as_deref() != Some("RabbitMQ") {
        return Err(format!("it is not RabbitMQ; {needed}"));
    }
    let version = property(greeting, "version").unwrap_or_default();
    let mut parts = version.split('.').map(|part| part.parse().ok());
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor)) if (major, minor) >= OLDEST => Ok(()),
        _ => Err(format!("it is RabbitMQ {version}; {needed}")),
    }
}

/// A text among the server's properties: its name's length and the name, `S`, the text's length, and the text.
fn property(greeting: &[u8], name: &str) -> Option<String> {
    let mut wanted = vec![u8::try_from(name.len()).ok()?];
    wanted.extend_from_slice(name.as_bytes());
    wanted.push(b'S');
    let at = greeting
        .windows(wanted.len())
        .position(|bytes| bytes == wanted)?;
    let rest = greeting.get(at + wanted.len()..)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let text = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(product: &str, version: &str) -> Vec<u8> {
        let mut bytes = b"\x00\x0a\x00\x0a\x00\x09".to_vec();
        for (name, value) in [("product", product), ("version", version)] {
            bytes.push(u8::try_from(name.len()).unwrap());
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(b'S');
            bytes.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(value.as_bytes());
        }
        bytes
    }

    #[test]
    fn rabbitmq_from_3_10_on_is_taken_and_all_else_is_named() {
        for version in ["3.10.8", "3.13.7", "4.0.5", "4.3.6", "10.0.0-rc.1"] {
            assert_eq!(judge(&greeting("RabbitMQ", version)), Ok(()), "{version}");
        }
        for version in ["3.9.29", "2.8.1", "", "x"] {
            let why = judge(&greeting("RabbitMQ", version)).unwrap_err();
            assert!(why.contains(version) && why.contains("3.10"), "{why}");
        }
        assert!(
            judge(&greeting("Other", "4.0.0"))
                .unwrap_err()
                .contains("not RabbitMQ")
        );
        assert!(judge(b"\x07versionS\xff\xff\xff\xff").is_err());
    }
}
