//! How late this machine wakes who sleeps: what a limit that is measured from outside has to forgive, and no more.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;

/// Measures from its start until it is dropped.
pub struct Lag {
    /// When each was over, in milliseconds since 1970, and how long it was.
    stalls: Arc<Mutex<Vec<(i64, Duration)>>>,
    stop: Arc<AtomicBool>,
}

impl Lag {
    /// Starts a thread that sleeps a millisecond at a time, and notes what it oversleeps.
    pub fn measure() -> Self {
        const NAP: Duration = Duration::from_millis(1);
        let lag = Self {
            stalls: Arc::default(),
            stop: Arc::default(),
        };
        let (stalls, stop) = (lag.stalls.clone(), lag.stop.clone());
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                thread::sleep(NAP);
                let late = began.elapsed().saturating_sub(NAP);
                if late > NAP {
                    let at = Timestamp::now().as_millisecond();
                    lock(&stalls).push((at, late));
                }
            }
        });
        lag
    }

    /// The worst that was under way between two moments, in milliseconds since 1970.
    pub fn worst_within(&self, (from, to): (i64, i64)) -> Duration {
        let stalls = lock(&self.stalls);
        let first = stalls.partition_point(|(at, _)| *at < from);
        let began =
            |(at, late): &(i64, Duration)| at - i64::try_from(late.as_millis()).unwrap_or(i64::MAX);
        let under_way = stalls[first..]
            .iter()
            .take_while(|stall| began(stall) <= to);
        let worst = under_way.map(|(_, late)| *late).max();
        worst.unwrap_or_default()
    }

    /// What was lost to stalls between two moments, in milliseconds since 1970.
    pub fn lost(&self, (from, to): (i64, i64)) -> Duration {
        let stalls = lock(&self.stalls);
        let within = stalls.iter().filter(|(at, _)| (from..=to).contains(at));
        within.map(|(_, late)| *late).sum()
    }
}

impl Drop for Lag {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
