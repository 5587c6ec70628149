//! A way over TCP that can be cut, as a network is: without a word to either end.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};
use url::Url;

/// Stands between whoever connects to it and one server. While it is cut no byte passes in either direction, and nobody
/// is told: connections stay open, new ones are taken and never answered. Once it is healed all of them go on.
pub struct Relay {
    url: String,
    open: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// A relay on loopback to the server of this URL, which names host and port.
    ///
    /// # Panics
    /// Where it does not, or no port is free.
    pub async fn to(url: &str) -> Self {
        let mut url: Url = url.parse().expect("a URL");
        let server = url.socket_addrs(|| None).expect("a host and a port")[0];
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let here = listener.local_addr().expect("an address");
        url.set_ip_host(here.ip()).expect("a URL with a host");
        url.set_port(Some(here.port())).expect("a URL with a port");
        let (open, opened) = watch::channel(true);
        Self {
            url: url.into(),
            open,
            accepting: tokio::spawn(accept(listener, server, opened)),
        }
    }

    /// The server's URL by way of this relay.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Nothing passes any more.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Everything passes again, what was under way first.
    pub fn heal(&self) {
        self.open.send_replace(true);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, open: watch::Receiver<bool>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(connect(client, server, open.clone()));
    }
}

async fn connect(
    client: TcpStream,
    server: SocketAddr,
    mut open: watch::Receiver<bool>,
) -> io::Result<()> {
    let _ = open.wait_for(|open| *open).await;
    let server = TcpStream::connect(server).await?;
    for end in [&client, &server] {
        end.set_nodelay(true)?;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::try_join!(
        pump(from_client, to_server, open.clone()),
        pump(from_server, to_client, open),
    )?;
    Ok(())
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut open: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer).await?;
        let _ = open.wait_for(|open| *open).await;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn what_is_cut_is_silent_and_goes_on_when_it_is_healed() {
        let server = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let relay = Relay::to(&format!("amqp://{}/%2f", server.local_addr().unwrap())).await;
        let way = Url::parse(relay.url()).unwrap();
        let mut here = TcpStream::connect(("127.0.0.1", way.port().unwrap()))
            .await
            .unwrap();
        let (mut there, _) = server.accept().await.unwrap();
        here.write_all(b"before").await.unwrap();
        assert_eq!(&read(&mut there).await.unwrap(), b"before");

        relay.cut();
        here.write_all(b"during").await.unwrap();
        there.write_all(b"answer").await.unwrap();
        assert_eq!(read(&mut there).await, None);
        assert_eq!(read(&mut here).await, None);

        relay.heal();
        assert_eq!(&read(&mut there).await.unwrap(), b"during");
        assert_eq!(&read(&mut here).await.unwrap(), b"answer");
        drop(here);
        assert_eq!(there.read(&mut [0]).await.unwrap(), 0, "the end passes too");
    }

    /// Six bytes, or nothing where they do not come.
    async fn read(from: &mut TcpStream) -> Option<[u8; 6]> {
        let mut bytes = [0; 6];
        let read = timeout(Duration::from_millis(500), from.read_exact(&mut bytes)).await;
        read.ok().map(|read| {
            read.unwrap();
            bytes
        })
    }
}
