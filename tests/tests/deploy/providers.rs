//! The providers, pretended, and a configuration with one account there.

use std::fs;

use serde_json::Value;
use tempfile::{TempDir, tempdir};
use tidings_sandbox::{Fault, Faults, On as Calls, Provider};
use tidings_tests::fleet::{Sandbox, to};

/// They run until this is dropped. Raven refuses whatever is for `nobody`.
pub(crate) struct Providers {
    folder: TempDir,
    _sandbox: Sandbox,
}

impl Providers {
    pub(crate) async fn start() -> Self {
        let sandbox = Sandbox::start().await;
        let nobody = Calls::from(Provider::Raven).destination("nobody");
        let faults = Faults::none().fault(Fault::status(400).on(nobody));
        sandbox.set_faults(&faults).await;
        let config = format!(
            "admin = \"127.0.0.1:0\"\n[accounts.\"raven.crm\"]\nbase_url = \"{}/raven\"\n\
             secret = {{ env = \"TOKEN\" }}\nrate = \"100/s\"\nevents = true\n",
            sandbox.url()
        );
        let this = Self {
            folder: tempdir().expect("a temporary folder"),
            _sandbox: sandbox,
        };
        fs::write(this.config(), config).expect("the configuration is written");
        this
    }

    /// The file of a configuration that names no broker.
    pub(crate) fn config(&self) -> String {
        format!("{}/tidings.toml", self.folder.path().display())
    }

    /// An embedded broker, gone with this.
    pub(crate) fn broker(&self) -> String {
        format!("sqlite:{}/tidings.db", self.folder.path().display())
    }
}

/// A line for `tidings send`.
pub(crate) fn message(id: &str, destination: &str) -> Value {
    to("raven.crm", destination, id)
}
