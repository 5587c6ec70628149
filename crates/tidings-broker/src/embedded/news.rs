use tokio::sync::watch;

/// What there can be news about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    /// Messages, and who owns what.
    Lanes,
    Ledger,
    Dead,
    Fleet,
}

impl Topic {
    pub(super) const ALL: [Self; 4] = [Self::Lanes, Self::Ledger, Self::Dead, Self::Fleet];
}

/// Wakes those who wait for something to be written, by this process or another. What it was they read themselves.
#[derive(Debug, Default)]
pub(super) struct News([watch::Sender<()>; 4]);

impl News {
    pub(super) fn tell(&self, topic: Topic) {
        self.0[topic as usize].send_replace(());
    }

    pub(super) fn hear(&self, topic: Topic) -> watch::Receiver<()> {
        self.0[topic as usize].subscribe()
    }

    /// Whether anybody waits for any.
    pub(super) fn is_heard(&self) -> bool {
        self.0.iter().any(|topic| topic.receiver_count() > 0)
    }
}
