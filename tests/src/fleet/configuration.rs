use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// What the fleet's configuration file says.
#[derive(Debug, Default, Clone)]
pub struct Configuration {
    /// Lines of TOML in front of the accounts.
    pub settings: String,
    /// The accounts, each with lines of TOML.
    pub accounts: BTreeMap<String, String>,
    folder: PathBuf,
    broker: String,
    sandbox: String,
}

impl Configuration {
    /// Adds an account, or changes one.
    pub fn account(&mut self, name: &str, settings: &str) {
        self.accounts.insert(name.to_owned(), settings.to_owned());
    }

    /// The file's path.
    pub fn file(&self) -> PathBuf {
        self.folder.join("tidings.toml")
    }

    /// The file that holds an account's secret.
    pub fn secret_file(&self, account: &str) -> PathBuf {
        self.folder.join(account)
    }

    /// The secret that an account starts with: no other account has it, and nothing else looks like it.
    pub fn secret(account: &str) -> String {
        format!("hush-{}-hush", account.replace('.', "-"))
    }

    /// Puts another secret in the place of an account's.
    ///
    /// # Panics
    /// Where the file cannot be written.
    pub fn replace_secret(&self, account: &str, secret: &str) {
        fs::write(self.secret_file(account), secret).expect("the secret is written");
    }

    pub(super) fn place(&mut self, folder: &Path, broker: &str, sandbox: &str) {
        (self.folder, self.broker, self.sandbox) =
            (folder.to_owned(), broker.to_owned(), sandbox.to_owned());
    }

    pub(super) fn write(&self) {
        for account in self.accounts.keys() {
            let file = self.secret_file(account);
            if !file.exists() {
                fs::write(file, format!("{}\n", Self::secret(account))).expect("a secret");
            }
        }
        fs::write(self.file(), self.text()).expect("the configuration is written");
    }

    fn text(&self) -> String {
        let mut text = format!(
            "broker = {:?}\nadmin = \"127.0.0.1:0\"\n{}\n",
            self.broker, self.settings
        );
        for (account, settings) in &self.accounts {
            let provider = account.split('.').next().unwrap_or_default();
            let business = if provider == "pingup" {
                "business = \"acme\"\n"
            } else {
                ""
            };
            let _ = writeln!(
                text,
                "[accounts.{account:?}]\nbase_url = \"{}/{provider}\"\nsecret = {{ file = {:?} }}\n{business}{settings}",
                self.sandbox,
                self.secret_file(account),
            );
        }
        text
    }
}
