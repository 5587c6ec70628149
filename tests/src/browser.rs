//! A real browser: Chromium, driven over WebDriver.

use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator, elements::Element};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use tempfile::TempDir;

use crate::{Process, Program, eventually, rabbitmq::ports::free_ports};

/// What a headless Chromium needs to run as anybody, anywhere, and to talk to nobody.
const ARGUMENTS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-first-run",
];

/// A browser with a profile of its own.
pub struct Browser {
    /// The WebDriver session.
    pub page: Client,
    _driver: Process,
    _profile: TempDir,
}

impl Browser {
    /// Starts one with a light page, or a dark one.
    ///
    /// # Panics
    /// Where there is none: install `chromium` and `chromium-driver` (`tests/install-tools` does on Debian).
    pub async fn start(dark: bool) -> Self {
        let profile = tempfile::tempdir().expect("a temporary folder");
        // Chromium keeps what it caches beside its profile, and nothing in the user's home.
        // Left to choose, it wants the same port of IPv4 that it was given of IPv6, and ends where another has that one.
        let [port] = free_ports();
        let driver = Program::installed("chromedriver")
            .arg(format!("--port={port}"))
            .env("HOME", profile.path())
            .start();
        driver.line("started successfully on port").await;
        let mut arguments = ARGUMENTS.map(str::to_owned).to_vec();
        arguments.push(format!(
            "--user-data-dir={}",
            profile.path().join("profile").display()
        ));
        if dark {
            arguments.push("--force-dark-mode".into());
            arguments.push("--blink-settings=preferredColorScheme=0".into());
        }
        let capabilities = json!({"goog:chromeOptions": {"args": arguments}});
        let capabilities = serde_json::from_value(capabilities).expect("capabilities");
        let page = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("a browser");
        Self {
            page,
            _driver: driver,
            _profile: profile,
        }
    }

    /// Opens a page.
    pub async fn open(&self, url: &str) {
        self.page.goto(url).await.expect("the page opens");
    }

    /// How much of a page is seen, in CSS pixels.
    pub async fn resize(&self, width: u32, height: u32) {
        self.page
            .set_window_size(width, height)
            .await
            .expect("a window");
    }

    /// Waits for the first element that a CSS selector finds.
    pub async fn find(&self, css: &str) -> Element {
        eventually(&format!("{css} is on the page"), async || {
            match self.page.find(Locator::Css(css)).await {
                Ok(element) => Ok(element),
                Err(_) => Err(self.text().await),
            }
        })
        .await
    }

    /// Waits for the link or button with these words, and clicks it.
    pub async fn click(&self, words: &str) {
        let path =
            format!("//*[self::a or self::button][starts-with(normalize-space(.), '{words}')]");
        eventually(&format!("{words:?} can be clicked"), async || {
            let found = self.page.find(Locator::XPath(&path)).await;
            let clicked = match found {
                Ok(element) => element.click().await,
                Err(error) => Err(error),
            };
            match clicked {
                Ok(()) => Ok(()),
                Err(_) => Err(self.text().await),
            }
        })
        .await;
    }

    /// Writes into the field with this name.
    pub async fn fill(&self, name: &str, text: &str) {
        let field = self.find(&format!("[name='{name}']")).await;
        field.clear().await.expect("a field");
        field.send_keys(text).await.expect("a field");
    }

    /// Waits until the page says this, and returns all that it says.
    pub async fn says(&self, words: &str) -> String {
        eventually(&format!("the page says {words:?}"), async || {
            let text = self.text().await;
            match text.contains(words) {
                true => Ok(text),
                false => Err(text),
            }
        })
        .await
    }

    /// What a person reads on the page.
    pub async fn text(&self) -> String {
        let script = "return document.body ? document.body.innerText : ''";
        let text = self.page.execute(script, Vec::new()).await;
        text.ok()
            .and_then(|text| text.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// A picture of the page as it is seen, as PNG.
    pub async fn picture(&self) -> Vec<u8> {
        // Fonts and colours settle within a frame.
        tokio::time::sleep(Duration::from_millis(200)).await;
        self.page.screenshot().await.expect("a picture")
    }

    /// Ends it in order, so that no process of it is left.
    pub async fn close(self) {
        self.page.clone().close().await.expect("the browser ends");
    }
}
