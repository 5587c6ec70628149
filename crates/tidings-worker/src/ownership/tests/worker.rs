//! A modelled worker: the real decisions, and of everything else only what can go wrong.

use tidings_model::WorkerId;

use super::super::Ownership;

/// Milliseconds since the model began.
pub(super) type Millis = u64;

pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) ownership: Ownership,
    /// Numbers of the lanes that it can serve.
    pub(super) serves: Vec<usize>,
    pub(super) state: State,
    pub(super) lanes: Vec<Place>,
    pub(super) link: Link,
    pub(super) trouble: Trouble,
    /// When the newest thing that the broker confirmed was published.
    pub(super) confirmed: Option<Millis>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Running,
    Draining,
    Gone,
}

/// A worker's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    Up,
    /// The broker dropped it, and the worker has not noticed.
    Dropped,
    Down {
        until: Millis,
    },
}

/// Until when something is wrong with a worker.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// Its process does not run.
    pub(super) frozen: Millis,
    /// Nothing passes between it and the broker.
    pub(super) cut: Millis,
    /// Its node of the broker is apart from the others: it hears itself alone, and nothing is confirmed.
    pub(super) island: Millis,
    /// What is announced does not reach it.
    pub(super) deaf: Millis,
}

/// A worker's place at a lane, as the worker sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    None {
        retry_at: Millis,
        failures: u32,
    },
    Asked {
        until: Millis,
        failures: u32,
    },
    /// It starts attempts once a message came, of which it has enough for ever then.
    Held {
        delivered: bool,
    },
    /// Calls in flight finish; nothing new starts.
    LettingGo {
        until: Millis,
    },
}

impl Place {
    pub(super) const NONE: Self = Self::None {
        retry_at: 0,
        failures: 0,
    };
}

impl Worker {
    pub(super) fn is_awake(&self, now: Millis) -> bool {
        self.state != State::Gone && self.trouble.frozen <= now
    }

    /// Whether what it sends reaches its node of the broker, and the other way round.
    pub(super) fn is_connected(&self, now: Millis) -> bool {
        self.is_awake(now) && self.link == Link::Up && self.trouble.cut <= now
    }

    /// Whether the broker, as a whole, and the worker reach each other.
    pub(super) fn is_in_touch(&self, now: Millis) -> bool {
        self.is_connected(now) && self.trouble.island <= now
    }

    pub(super) fn may_start(&self, lane: usize, now: Millis) -> bool {
        let fence = u64::try_from(tidings_broker::FENCE.as_millis()).unwrap();
        self.is_awake(now)
            && self.lanes[lane] == Place::Held { delivered: true }
            && self.confirmed.is_some_and(|at| now - at <= fence)
    }
}
