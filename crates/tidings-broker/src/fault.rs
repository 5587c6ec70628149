//! Points between the steps of settling at which a test can end the process, as a crash would, or let it hang.
//!
//! Without the feature `fault-points` they are nothing at all.

/// A point that the code passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The provider answered; nothing is recorded yet.
    Attempted,
    /// The ledger confirmed the decision; its effect is not made yet.
    Recorded,
    /// The effect is confirmed; the message is not acknowledged yet.
    Effected,
    /// The message is acknowledged.
    Acknowledged,
}

impl std::str::FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "attempted" => Ok(Self::Attempted),
            "recorded" => Ok(Self::Recorded),
            "effected" => Ok(Self::Effected),
            "acknowledged" => Ok(Self::Acknowledged),
            other => Err(format!(
                "{other:?} is none of attempted, recorded, effected, acknowledged"
            )),
        }
    }
}

/// Passes a point. An armed one ends the process here, without unwinding, or never returns.
#[cfg(not(feature = "fault-points"))]
#[inline(always)]
pub fn reached(_: Point) {}

#[cfg(feature = "fault-points")]
pub use armed::{Then, arm, reached};

#[cfg(feature = "fault-points")]
mod armed {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    };

    use super::Point;

    static ARMED: OnceLock<(Point, AtomicU32, Then)> = OnceLock::new();

    /// What happens at an armed point.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Then {
        /// The process ends, without unwinding.
        Crash,
        /// Whoever came here stands still for ever, and nobody else does.
        Hang,
    }

    /// Arms a point for when it is passed for the `nth` time (1 is the first). Only the first call counts.
    pub fn arm(point: Point, nth: u32, then: Then) {
        let _ = ARMED.set((point, AtomicU32::new(nth), then));
    }

    /// Passes a point. An armed one ends the process here, without unwinding, or never returns.
    pub fn reached(point: Point) {
        if let Some((armed, left, then)) = ARMED.get()
            && *armed == point
            && left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            match then {
                Then::Crash => std::process::abort(),
                Then::Hang => tokio::task::block_in_place(|| {
                    loop {
                        std::thread::park();
                    }
                }),
            }
        }
    }
}
