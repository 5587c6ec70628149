//! How late this machine wakes who sleeps, and how long its disk takes: what a time that is measured from outside has to
//! forgive, and no more.

use std::{
    fs::File,
    io::{Seek as _, Write as _},
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
    overslept: Stalls,
    /// What a write took that a broker would have had to wait for too.
    disk: Stalls,
    stop: Arc<AtomicBool>,
    /// What may hold up a call and is not seen.
    unseen: Duration,
}

/// When each was over, in milliseconds since 1970, and how long it was.
type Stalls = Arc<Mutex<Vec<(i64, Duration)>>>;

impl Lag {
    /// Starts a thread that sleeps a millisecond at a time and notes what it oversleeps, and one that writes to the disk
    /// twice a second and notes what takes long.
    ///
    /// # Panics
    /// Where no temporary file can be made.
    pub fn measure() -> Self {
        const NAP: Duration = Duration::from_millis(1);
        const BETWEEN_WRITES: Duration = Duration::from_millis(500);
        let lag = Self {
            overslept: Arc::default(),
            disk: Arc::default(),
            stop: Arc::default(),
            // Both ends of a call's way are written down in milliseconds, so is its arrival, and less is not noticed.
            unseen: Duration::from_millis(3),
        };
        lag.repeat(&lag.overslept, NAP, || {
            let began = Instant::now();
            thread::sleep(NAP);
            began.elapsed().saturating_sub(NAP)
        });
        // Temporary files may be in memory; this one is where the machine keeps its longer-lived ones.
        let file = tempfile::tempfile_in("/var/tmp").or_else(|_| tempfile::tempfile());
        let mut file = file.expect("a temporary file");
        lag.repeat(&lag.disk, STANDSTILL, move || {
            thread::sleep(BETWEEN_WRITES);
            let began = Instant::now();
            write(&mut file).expect("the disk takes a few bytes");
            began.elapsed()
        });
        lag
    }

    /// The same for a test that does not have the machine for itself: a worker that another process holds up before it has
    /// written down that a call begins leaves no trace.
    pub fn measure_in_company() -> Self {
        let mut lag = Self::measure();
        lag.unseen = Duration::from_millis(100);
        lag
    }

    /// What may hold up a call and is not seen.
    pub fn unseen(&self) -> Duration {
        self.unseen
    }

    /// Notes what takes longer than so long.
    fn repeat(
        &self,
        stalls: &Stalls,
        longer_than: Duration,
        mut took: impl FnMut() -> Duration + Send + 'static,
    ) {
        let (stalls, stop) = (stalls.clone(), self.stop.clone());
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let took = took();
                if took > longer_than {
                    lock(&stalls).push((Timestamp::now().as_millisecond(), took));
                }
            }
        });
    }

    /// The worst that was overslept between two moments, in milliseconds since 1970.
    pub fn worst_within(&self, (from, to): (i64, i64)) -> Duration {
        let stalls = lock(&self.overslept);
        let first = stalls.partition_point(|(at, _)| *at < from);
        let under_way = stalls[first..]
            .iter()
            .take_while(|stall| began(stall) <= to);
        let worst = under_way.map(|(_, late)| *late).max();
        worst.unwrap_or_default()
    }

    /// What was overslept between two moments, in milliseconds since 1970.
    pub fn lost(&self, (from, to): (i64, i64)) -> Duration {
        let stalls = lock(&self.overslept);
        let within = stalls.iter().filter(|(at, _)| (from..=to).contains(at));
        within.map(|(_, late)| *late).sum()
    }

    /// How much of the time between two moments, in milliseconds since 1970, the machine or its disk stood still.
    pub fn stood_still(&self, (from, to): (i64, i64)) -> Duration {
        let mut spans = Vec::new();
        for stalls in [&self.overslept, &self.disk] {
            let stalls = lock(stalls);
            let long = stalls.iter().filter(|(_, took)| *took > STANDSTILL);
            spans.extend(long.map(|stall| (began(stall).max(from), stall.0.min(to))));
        }
        Duration::from_millis(covered(spans))
    }
}

/// What is shorter is everyday life.
const STANDSTILL: Duration = Duration::from_millis(50);

fn began((over, took): &(i64, Duration)) -> i64 {
    over.saturating_sub(i64::try_from(took.as_millis()).unwrap_or(i64::MAX))
}

/// How much the spans cover together.
fn covered(mut spans: Vec<(i64, i64)>) -> u64 {
    spans.sort_unstable();
    let mut until = i64::MIN;
    let mut covered = 0;
    for (from, to) in spans {
        covered += u64::try_from(to.saturating_sub(from.max(until))).unwrap_or_default();
        until = until.max(to);
    }
    covered
}

fn write(file: &mut File) -> std::io::Result<()> {
    file.rewind()?;
    file.write_all(&[1; 512])?;
    file.sync_data()
}

impl Drop for Lag {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stood_still_twice_at_once_counts_once() {
        let spans = vec![(50, 80), (0, 30), (10, 20), (25, 40), (90, 85)];
        assert_eq!(covered(spans), 40 + 30);
    }
}
