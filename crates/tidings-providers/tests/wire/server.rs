use std::{
    future::Future,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A request, as it was written.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// The request line and the headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Which connection it came over, counted from 1.
    pub(crate) connection: usize,
}

impl Heard {
    /// Method and target.
    pub(crate) fn line(&self) -> &str {
        self.head
            .lines()
            .next()
            .unwrap()
            .trim_end_matches(" HTTP/1.1")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self
            .head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        headers
            .find(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What a server does once it has heard a request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Writes these bytes, and keeps the connection.
    Say(Vec<u8>),
    /// Writes these bytes, and closes the connection.
    SayAndClose(Vec<u8>),
    /// Nothing, for ever.
    Hang,
}

/// An HTTP server that answers any bytes.
pub(crate) struct Server {
    address: String,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Server {
    pub(crate) async fn start(act: impl Fn(&Heard) -> Act + Send + Sync + 'static) -> Self {
        let heard = Arc::<Mutex<Vec<Heard>>>::default();
        let (book, act) = (Arc::clone(&heard), Arc::new(act));
        let address = serve(move |stream, connection| {
            let (book, act) = (Arc::clone(&book), Arc::clone(&act));
            async move { converse(stream, connection, &book, &*act).await }
        })
        .await;
        Self { address, heard }
    }

    /// A server that answers every request alike.
    pub(crate) async fn answering(status: u16, body: impl AsRef<[u8]>) -> Self {
        let answer = answer(status, "", body);
        Self::start(move |_| Act::Say(answer.clone())).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All that it was asked so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// The one thing that it was asked.
    pub(crate) fn heard_once(&self) -> Heard {
        let mut heard = self.heard();
        assert_eq!(heard.len(), 1, "{heard:?}");
        heard.remove(0)
    }
}

async fn converse(
    mut stream: TcpStream,
    connection: usize,
    book: &Mutex<Vec<Heard>>,
    act: &impl Fn(&Heard) -> Act,
) {
    while let Some((head, body)) = hear(&mut stream).await {
        let heard = Heard {
            head,
            body,
            connection,
        };
        book.lock().unwrap().push(heard.clone());
        match act(&heard) {
            Act::Say(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Act::SayAndClose(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Act::Hang => std::future::pending().await,
        }
    }
}

/// A whole request, whose body has a length; nothing once the connection is closed.
pub(crate) async fn hear(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .to_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}

/// Listens on loopback and hands each connection, with its number from 1, to a task of its own. It ends with the test.
pub(crate) async fn serve<F, T>(each: F) -> String
where
    F: Fn(TcpStream, usize) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        for connection in 1.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(each(stream, connection));
        }
    });
    address
}

/// An answer with a length; `headers` are whole lines.
pub(crate) fn answer(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = if matches!(status, 204 | 304) {
        String::new()
    } else {
        format!("content-length: {}\r\n", body.len())
    };
    [
        format!("HTTP/1.1 {status} Whatever\r\n{length}{headers}\r\n").as_bytes(),
        body,
    ]
    .concat()
}
