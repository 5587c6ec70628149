use std::time::Duration;

use tidings_model::config::Prefix;

/// How a producer connects and how long it waits. The defaults suit a service that talks to a fleet.
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) prefix: Prefix,
    pub(crate) name: String,
    pub(crate) patience: Duration,
    pub(crate) in_flight: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            prefix: Prefix::default(),
            name: "producer".into(),
            patience: Duration::from_secs(30),
            in_flight: 1000,
        }
    }
}

impl Options {
    /// First word of every name on the broker, where the fleet has one of its own. Default: `tidings`.
    #[must_use]
    pub fn prefix(mut self, prefix: Prefix) -> Self {
        self.prefix = prefix;
        self
    }

    /// What operators see at the broker: the service's name. Default: `producer`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How long a message waits for a broker that is away, takes nothing or confirms nothing, before `send` gives up.
    /// Default: 30 seconds.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How many messages may be unconfirmed at a time; the next one waits. At least 1; default: 1000.
    #[must_use]
    pub fn in_flight(mut self, messages: usize) -> Self {
        self.in_flight = messages.max(1);
        self
    }
}
