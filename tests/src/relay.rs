//! A way over TCP that can be cut, as a network is, and on which answers can be lost.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

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

/// Stands between whoever connects to it and one server.
pub struct Relay {
    url: String,
    open: watch::Sender<bool>,
    breaks: watch::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// A relay on loopback to the server of this URL, which names host and port.
    ///
    /// # Panics
    /// Where it does not, or no port is free.
    pub async fn to(url: &str) -> Self {
        Self::listening(url, None).await
    }

    /// The same; but once a client has said this word, the first time, nothing that the server answers on that connection
    /// arrives any more.
    ///
    /// # Panics
    /// Like [`Relay::to`].
    pub async fn that_loses_the_answer_to(word: &str, url: &str) -> Self {
        let word = Word {
            word: word.into(),
            was_said: AtomicBool::new(false),
        };
        Self::listening(url, Some(Arc::new(word))).await
    }

    async fn listening(url: &str, word: Option<Arc<Word>>) -> Self {
        let mut url: Url = url.parse().expect("a URL");
        let server = url.socket_addrs(|| None).expect("a host and a port")[0];
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let here = listener.local_addr().expect("an address");
        url.set_ip_host(here.ip()).expect("a URL with a host");
        url.set_port(Some(here.port())).expect("a URL with a port");
        let (open, opened) = watch::channel(true);
        let (breaks, broken) = watch::channel(());
        let way = Way {
            server,
            open: opened,
            broken,
            word,
        };
        Self {
            url: url.into(),
            open,
            breaks,
            accepting: tokio::spawn(accept(listener, way)),
        }
    }

    /// The server's URL by way of this relay.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// No byte passes any more in either direction, and nobody is told: connections stay open, new ones are taken and
    /// never answered.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Everything passes again, what was under way first.
    pub fn heal(&self) {
        self.open.send_replace(true);
    }

    /// Ends every connection that there is. Those that follow are as good as any.
    pub fn break_connections(&self) {
        self.breaks.send_replace(());
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What an answer is lost to.
struct Word {
    word: Vec<u8>,
    was_said: AtomicBool,
}

#[derive(Clone)]
struct Way {
    server: SocketAddr,
    open: watch::Receiver<bool>,
    broken: watch::Receiver<()>,
    word: Option<Arc<Word>>,
}

async fn accept(listener: TcpListener, way: Way) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(way.clone().connect(client));
    }
}

impl Way {
    async fn connect(mut self, client: TcpStream) -> io::Result<()> {
        self.broken.mark_unchanged();
        let _ = self.open.wait_for(|open| *open).await;
        let server = TcpStream::connect(self.server).await?;
        for end in [&client, &server] {
            end.set_nodelay(true)?;
        }
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let (open, answers_are_lost) = (self.open, AtomicBool::new(false));
        let mut listener = self.word.map(Listener::new);
        let asked = pump(from_client, to_server, open.clone(), |said| {
            if listener.as_mut().is_some_and(|word| word.hears(said)) {
                answers_are_lost.store(true, Ordering::Relaxed);
            }
            true
        });
        let answered = pump(from_server, to_client, open, |_| {
            !answers_are_lost.load(Ordering::Relaxed)
        });
        tokio::select! {
            _ = self.broken.changed() => Ok(()),
            ended = async { tokio::try_join!(asked, answered) } => ended.map(|_| ()),
        }
    }
}

/// Passes on what is read, where `passes` lets it.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut open: watch::Receiver<bool>,
    mut passes: impl FnMut(&[u8]) -> bool,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer).await?;
        let _ = open.wait_for(|open| *open).await;
        if read == 0 {
            return to.shutdown().await;
        }
        if passes(&buffer[..read]) {
            to.write_all(&buffer[..read]).await?;
        }
    }
}

/// Listens for a word on one connection, however it is cut into pieces.
struct Listener {
    word: Arc<Word>,
    heard: Vec<u8>,
}

impl Listener {
    fn new(word: Arc<Word>) -> Self {
        let heard = Vec::new();
        Self { word, heard }
    }

    /// Whether the word was said here, and nowhere before.
    fn hears(&mut self, said: &[u8]) -> bool {
        let word = &self.word.word;
        self.heard.extend_from_slice(said);
        let hears = self.heard.windows(word.len()).any(|heard| heard == word);
        let old = self.heard.len().saturating_sub(word.len());
        self.heard.drain(..old);
        hears && !self.word.was_said.swap(true, Ordering::Relaxed)
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
        let relay = Relay::to(&url_of(&server)).await;
        let mut here = connect(&relay).await;
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

    #[tokio::test]
    async fn the_answer_to_a_word_is_lost_until_the_connection_breaks() {
        let server = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let relay = Relay::that_loses_the_answer_to("please", &url_of(&server)).await;
        let mut here = connect(&relay).await;
        let (mut there, _) = server.accept().await.unwrap();
        there.write_all(b"before").await.unwrap();
        assert_eq!(&read(&mut here).await.unwrap(), b"before");
        here.write_all(b"please").await.unwrap();
        assert_eq!(&read(&mut there).await.unwrap(), b"please");
        there.write_all(b"answer").await.unwrap();
        assert_eq!(read(&mut here).await, None);

        relay.break_connections();
        assert_eq!(here.read(&mut [0]).await.unwrap_or(0), 0);
        let mut here = connect(&relay).await;
        let (mut there, _) = server.accept().await.unwrap();
        here.write_all(b"please").await.unwrap();
        assert_eq!(&read(&mut there).await.unwrap(), b"please");
        there.write_all(b"answer").await.unwrap();
        assert_eq!(&read(&mut here).await.unwrap(), b"answer");
    }

    fn url_of(server: &TcpListener) -> String {
        format!("amqp://{}/%2f", server.local_addr().unwrap())
    }

    async fn connect(relay: &Relay) -> TcpStream {
        let way = Url::parse(relay.url()).unwrap();
        let port = way.port().unwrap();
        TcpStream::connect(("127.0.0.1", port)).await.unwrap()
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
