//! Points between the steps of settling at which a test can end the process, as a crash would.
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

/// Passes a point. An armed one ends the process here, without unwinding.
#[cfg(not(feature = "fault-points"))]
#[inline(always)]
pub fn reached(_: Point) {}

#[cfg(feature = "fault-points")]
pub use armed::{arm, reached};

#[cfg(feature = "fault-points")]
mod armed {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    };

    use super::Point;

    static ARMED: OnceLock<(Point, AtomicU32)> = OnceLock::new();

    /// Ends the process when a point is passed for the `nth` time (1 is the first). Only the first call counts.
    pub fn arm(point: Point, nth: u32) {
        let _ = ARMED.set((point, AtomicU32::new(nth)));
    }

    /// Passes a point. An armed one ends the process here, without unwinding.
    pub fn reached(point: Point) {
        if let Some((armed, left)) = ARMED.get()
            && *armed == point
            && left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            std::process::abort();
        }
    }
}
