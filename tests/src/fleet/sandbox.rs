use std::sync::Once;

use serde::de::DeserializeOwned;
use tidings_sandbox::{Faults, Summary};

use super::Book;
use crate::{Process, Program};

/// The pretended providers, in a process of their own.
pub struct Sandbox {
    url: String,
    http: reqwest::Client,
    process: Process,
}

impl Sandbox {
    /// Starts them on a port of their own.
    pub async fn start() -> Self {
        Self::listening("127.0.0.1:0").await
    }

    /// Nobody listens any more: who calls is refused by the system.
    pub async fn vanish(&self) {
        self.process.kill9().await;
    }

    /// Starts them anew where they were. Their book is empty, and nothing goes wrong.
    pub async fn come_back(&mut self) {
        let (_, address) = self.url.split_once("://").expect("a URL");
        *self = Self::listening(address).await;
    }

    async fn listening(address: &str) -> Self {
        let process = Program::new("tidings-sandbox")
            .args(["--listen", address])
            .start();
        let line = process.line("listening on ").await;
        // Its log says it too, with more behind it.
        let (_, rest) = line.split_once("listening on ").expect("an address");
        let url = rest.split_whitespace().next().unwrap_or_default();
        Self {
            url: url.trim_end_matches(':').to_owned(),
            http: http(),
            process,
        }
    }

    /// Where it listens, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Other faults from now on; all rules count from zero.
    ///
    /// # Panics
    /// Where the sandbox does not take them.
    pub async fn set_faults(&self, faults: &Faults) {
        let answer = self
            .http
            .put(format!("{}/faults", self.url))
            .body(serde_json::to_string(faults).expect("faults are JSON"))
            .send()
            .await
            .expect("the sandbox answers");
        assert!(answer.status().is_success(), "{:?}", answer.text().await);
    }

    /// Nothing goes wrong any more.
    pub async fn heal(&self) {
        self.set_faults(&Faults::none()).await;
    }

    /// All that was received and refused.
    pub async fn book(&self) -> Book {
        self.read("received").await
    }

    /// The book in figures: cheap.
    pub async fn summary(&self) -> Summary {
        self.read("received/summary").await
    }

    async fn read<T: DeserializeOwned>(&self, page: &str) -> T {
        let answer = self.http.get(format!("{}/{page}", self.url)).send();
        let bytes = answer.await.expect("the sandbox answers").bytes();
        serde_json::from_slice(&bytes.await.expect("a whole answer")).expect("the book is JSON")
    }
}

/// A client for pages on this host.
pub fn http() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Another library of this process may have been first, with the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client")
}
