//! A way to a broker on which its answers can be lost.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use url::Url;

/// Passes on what a client says to its broker, and what that answers; until the client has said a word. What the broker
/// answers from then on is lost, until [`Relay::cut`] breaks the connection; those that follow are as good as any.
pub struct Relay {
    url: Url,
    cut: watch::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// Begins to listen.
    ///
    /// # Panics
    /// Where that is no broker's URL, or no port is free.
    pub async fn that_loses_the_answer_to(word: &str, broker: &str) -> Self {
        let mut url = Url::parse(broker).expect("a broker's URL");
        let address = format!(
            "{}:{}",
            url.host_str().expect("a host"),
            url.port().unwrap_or(5672)
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(port)).expect("a port");
        let (cut, breaks) = watch::channel(());
        let way = Way {
            address,
            word: word.to_owned(),
            said: Arc::default(),
            breaks,
        };
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(way.clone().pass(client));
            }
        });
        Self {
            url,
            cut,
            accepting,
        }
    }

    /// The broker's URL by this way.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Breaks every connection that there is.
    pub fn cut(&self) {
        self.cut.send_replace(());
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

#[derive(Clone)]
struct Way {
    address: String,
    word: String,
    said: Arc<AtomicBool>,
    breaks: watch::Receiver<()>,
}

impl Way {
    async fn pass(self, client: TcpStream) {
        let Ok(broker) = TcpStream::connect(&self.address).await else {
            return;
        };
        let lost = AtomicBool::new(false);
        let (from_client, to_client) = client.into_split();
        let (from_broker, to_broker) = broker.into_split();
        let mut breaks = self.breaks.clone();
        breaks.mark_unchanged();
        tokio::select! {
            _ = breaks.changed() => {}
            () = self.listen(from_client, to_broker, &lost) => {}
            () = answer(from_broker, to_client, &lost) => {}
        }
    }

    /// Passes on what the client says, and listens for the word.
    async fn listen(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        lost: &AtomicBool,
    ) {
        let word = self.word.as_bytes();
        let (mut buffer, mut heard) = (vec![0; 64 << 10], Vec::new());
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            heard.extend_from_slice(&buffer[..count]);
            if heard.windows(word.len()).any(|heard| heard == word)
                && !self.said.swap(true, Ordering::Relaxed)
            {
                lost.store(true, Ordering::Relaxed);
            }
            heard.drain(..heard.len().saturating_sub(word.len()));
            if to.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    }
}

async fn answer(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    lost: &AtomicBool,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if !lost.load(Ordering::Relaxed) && to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
