//! A real browser: Chromium, driven over WebDriver.

use std::time::Duration;

use fantoccini::{
    Client, ClientBuilder, Locator,
    actions::{InputSource, KeyAction, KeyActions},
    elements::Element,
    key::Key,
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Process, Program, eventually, fleet::http, rabbitmq::ports::free_ports};

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

/// As many elements as a page may have to be reached one after the other.
const REACHABLE: usize = 100;

/// A browser with a profile of its own.
pub struct Browser {
    /// The WebDriver session.
    pub page: Client,
    /// Where the driver takes the commands of this session.
    session: String,
    _driver: Process,
    _profile: TempDir,
}

impl Browser {
    /// Starts one, with a light page.
    ///
    /// # Panics
    /// Where there is none: install `chromium` and `chromium-driver` (`tests/install-tools` does on Debian).
    pub async fn start() -> Self {
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
        let capabilities = json!({
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let capabilities = serde_json::from_value(capabilities).expect("capabilities");
        let url = format!("http://127.0.0.1:{port}");
        let page = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&url)
            .await
            .expect("a browser");
        let session = page.session_id().await.expect("a session");
        Self {
            page,
            session: format!("{url}/session/{}", session.expect("a session")),
            _driver: driver,
            _profile: profile,
        }
    }

    /// Opens a page.
    pub async fn open(&self, url: &str) {
        self.page.goto(url).await.expect("the page opens");
    }

    /// How much of a page is seen, in CSS pixels. A window is at least 500 wide: see [`Self::in_a_pocket`].
    pub async fn resize(&self, width: u32, height: u32) {
        self.page
            .set_window_size(width, height)
            .await
            .expect("a window");
    }

    /// From now on it is a phone, so many CSS pixels wide and high.
    pub async fn in_a_pocket(&self, width: u32, height: u32) {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": true});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
            .await;
    }

    /// From now on its user prefers a dark page, or a light one.
    pub async fn prefers(&self, scheme: &str) {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        let media = json!({"features": [feature]});
        self.devtools("Emulation.setEmulatedMedia", media).await;
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

    /// Writes wherever the focus is.
    pub async fn write(&self, text: &str) {
        let field = self.page.active_element().await.expect("a focus");
        field.send_keys(text).await.expect("a field");
    }

    /// Presses a key, by name or by what it writes, wherever the focus is.
    pub async fn press(&self, key: impl Into<char>) {
        let value = key.into();
        let keys = KeyActions::new("keyboard".into())
            .then(KeyAction::Down { value })
            .then(KeyAction::Up { value });
        self.page.perform_actions(keys).await.expect("a keyboard");
    }

    /// Goes with Tab from one element to the next, each of which must be seen to have the focus, until it is at the one
    /// with these words, or the field with that name.
    ///
    /// # Panics
    /// Where it never gets there, or somebody could not see where they are.
    pub async fn tab_to(&self, words: &str) {
        let focused = "const at = document.activeElement, style = getComputedStyle(at);
            return [(at.innerText || '').trim(), at.name || '',
                style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2, at === document.body]";
        let mut passed = Vec::new();
        for _ in 0..REACHABLE {
            self.press(Key::Tab).await;
            let [text, name, seen, nowhere] = self.run(focused).await;
            let (text, name) = (text.as_str().unwrap_or_default(), name.as_str());
            assert!(
                seen == true || nowhere == true,
                "the focus is not seen at {text:?} {name:?}"
            );
            if text.starts_with(words) || name == Some(words) {
                return;
            }
            passed.push(text.to_owned());
        }
        panic!("{words:?} is not reached: {passed:?}");
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

    /// Checks that everything on the page can be read and used: contrast, labels, nothing beside the screen.
    ///
    /// # Panics
    /// Where something cannot, with what that is.
    pub async fn is_readable(&self) {
        let found = self
            .page
            .execute(include_str!("browser/unreadable.js"), Vec::new())
            .await;
        assert_eq!(found.expect("the page is looked through"), json!([]));
    }

    /// A picture of the page as it is seen, as PNG.
    pub async fn picture(&self) -> Vec<u8> {
        // Fonts and colours settle within a frame.
        tokio::time::sleep(Duration::from_millis(200)).await;
        self.page.screenshot().await.expect("a picture")
    }

    /// Ends it in order, so that no process of it is left.
    ///
    /// # Panics
    /// Where the browser complained of a page: an error in a script, what the page's policy forbids, what did not load.
    pub async fn close(self) {
        let complaints = self.command("se/log", json!({"type": "browser"})).await;
        self.page.clone().close().await.expect("the browser ends");
        assert_eq!(complaints, json!([]), "what the browser complained of");
    }

    /// Runs a script that returns a list of so many values.
    ///
    /// # Panics
    /// Where it fails, or returns something else.
    pub async fn run<const N: usize>(&self, script: &str) -> [Value; N] {
        let answer = self.page.execute(script, Vec::new()).await;
        serde_json::from_value::<Vec<Value>>(answer.expect("the script runs"))
            .ok()
            .and_then(|values| values.try_into().ok())
            .expect("so many values")
    }

    /// A command of Chromium's developer tools.
    async fn devtools(&self, command: &str, parameters: Value) {
        let body = json!({"cmd": command, "params": parameters});
        self.command("goog/cdp/execute", body).await;
    }

    /// A command that only Chromium's driver has.
    async fn command(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/{path}", self.session);
        let answer = http().post(url).body(body.to_string()).send().await;
        let answer = answer.expect("the driver answers");
        assert!(
            answer.status().is_success(),
            "{path}: {:?}",
            answer.text().await
        );
        let bytes = answer.bytes().await.expect("a whole answer");
        let mut answer: Value = serde_json::from_slice(&bytes).expect("JSON");
        answer["value"].take()
    }
}
