use super::Broker;
use anyhow::Result;
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering};
use url::Url;

/// A vhost for one test: nothing else is in it, and all of it goes when this is dropped.
#[derive(Debug)]
pub struct Vhost {
    broker: Broker,
    name: String,
    url: String,
    users: AtomicU32,
}

impl Vhost {
    pub(super) fn create(broker: &Broker) -> Result<Self> {
        let name = format!("tidings-test-{:016x}", rand::random::<u64>());
        broker
            .management
            .put(&format!("vhosts/{name}"), &json!({}))?;
        let url = url_of(&broker.amqp, &name);
        let vhost = Self {
            broker: broker.clone(),
            name,
            url,
            users: AtomicU32::new(0),
        };
        vhost.permit(vhost.broker.amqp.username(), ".*", ".*", ".*")?;
        Ok(vhost)
    }

    /// Where to connect, as a user who may do everything.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The vhost's name, for `rabbitmqctl`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where to connect as a new user who may do no more than this. Each right is a regular expression over names, as in
    /// `rabbitmqctl set_permissions`.
    ///
    /// # Panics
    /// Where the management API refuses.
    pub fn user(&self, configure: &str, write: &str, read: &str) -> String {
        let user = self.user_name(self.users.fetch_add(1, Ordering::Relaxed));
        self.broker
            .management
            .put(
                &format!("users/{user}"),
                &json!({"password": user, "tags": ""}),
            )
            .and_then(|()| self.permit(&user, configure, write, read))
            .unwrap_or_else(|error| panic!("{error:#}"));
        self.url.replacen(
            &credentials(&self.broker.amqp),
            &format!("{user}:{user}"),
            1,
        )
    }

    fn user_name(&self, number: u32) -> String {
        format!("{}-{number}", self.name)
    }

    fn permit(&self, user: &str, configure: &str, write: &str, read: &str) -> Result<()> {
        let rights = json!({"configure": configure, "write": write, "read": read});
        self.broker
            .management
            .put(&format!("permissions/{}/{user}", self.name), &rights)
    }
}

impl Drop for Vhost {
    /// Best effort: the broker may be gone on purpose.
    fn drop(&mut self) {
        let management = &self.broker.management;
        for number in 0..*self.users.get_mut() {
            let _ = management.delete(&format!("users/{}", self.user_name(number)));
        }
        let _ = management.delete(&format!("vhosts/{}", self.name));
    }
}

fn url_of(broker: &Url, vhost: &str) -> String {
    let mut url = broker.clone();
    url.set_path(vhost);
    url.into()
}

fn credentials(url: &Url) -> String {
    format!("{}:{}", url.username(), url.password().unwrap_or_default())
}
