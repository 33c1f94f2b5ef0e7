//! The only reader of the machine's clocks; everything else is handed ticks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::deadlines::{TICK_MS, Tick};

/// A worker's clock, counting from its start.
#[derive(Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// Starts now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// Ticks since the start, from 1.
    pub(crate) fn tick(&self) -> Tick {
        let ms = self.0.elapsed().as_millis();
        Tick::try_from(ms / u128::from(TICK_MS)).unwrap_or(Tick::MAX - 2) + 1
    }
}

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A seed that differs from worker to worker and run to run.
pub(crate) fn seed(index: usize) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(index)
}
