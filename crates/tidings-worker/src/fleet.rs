//! Who else is there: announcements out, and what others announce.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use tidings_broker::Broker;
use tidings_model::{Announcement, WorkerId};
use tokio::time::Instant;

/// How often a worker announces itself, at the least.
pub(crate) const ANNOUNCE: Duration = Duration::from_secs(1);

/// A worker that was not heard for so long is not counted on any more.
const SILENT: Duration = Duration::from_millis(3500);

/// A name for this process that no other has: host, process and a random end.
#[must_use]
pub fn worker_id() -> WorkerId {
    let host = hostname::get()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "host".into());
    let host: String = host
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(40)
        .collect();
    format!(
        "{host}-{}-{:08x}",
        std::process::id(),
        rand::random::<u32>()
    )
    .into()
}

/// The workers that were heard lately.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    heard: Mutex<HashMap<WorkerId, (Instant, Announcement)>>,
}

impl Fleet {
    /// Listens for ever.
    pub(crate) async fn listen(&self, broker: &dyn Broker) {
        loop {
            match broker.observe().await {
                Ok(mut announcements) => {
                    while let Some(announcement) = announcements.next().await {
                        self.hear(announcement, Instant::now());
                    }
                }
                Err(error) => tracing::debug!(%error, "the fleet cannot be heard at the moment"),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    fn hear(&self, announcement: Announcement, now: Instant) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.retain(|_, (at, _)| now.duration_since(*at) <= SILENT);
        match heard.get(&announcement.worker) {
            Some((_, newer)) if newer.sequence > announcement.sequence => {}
            _ => {
                heard.insert(announcement.worker.clone(), (now, announcement));
            }
        }
    }

    /// Waits until a worker is not heard any more.
    pub(crate) async fn falls_silent(&self, worker: &WorkerId) {
        while self.hears(worker, Instant::now()) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Whether a worker was heard lately.
    pub(crate) fn hears(&self, worker: &WorkerId, now: Instant) -> bool {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard
            .get(worker)
            .is_some_and(|(at, _)| now.duration_since(*at) <= SILENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(worker: &str, sequence: u64) -> Announcement {
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        Announcement {
            worker: worker.into(),
            sequence,
            at,
            accounts: vec![],
            subscribed: Vec::new(),
            lanes: vec![],
            draining: false,
        }
    }

    #[test]
    fn a_worker_is_heard_until_it_was_silent_for_a_while() {
        let fleet = Fleet::default();
        let now = Instant::now();
        fleet.hear(announcement("a", 1), now);
        assert!(fleet.hears(&"a".into(), now + SILENT));
        assert!(!fleet.hears(&"a".into(), now + SILENT + Duration::from_millis(1)));
        assert!(!fleet.hears(&"b".into(), now));
    }

    #[test]
    fn two_workers_never_have_one_name() {
        assert_ne!(worker_id(), worker_id());
    }
}
