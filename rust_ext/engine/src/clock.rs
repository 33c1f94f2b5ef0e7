//! The only reader of the machine's clocks; everything else is handed ticks or nanoseconds.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
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

/// Nanoseconds of the monotonic clock, with the last reading remembered.
///
/// A worker reads it when it wakes up and wherever a request's times need it. What runs next begins where the last
/// one stopped to look, so the remembered reading is the begin of whatever runs now, and costs no call.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    last: AtomicU64,
    #[cfg(feature = "simulation")]
    simulated: bool,
}

impl Meter {
    /// One that has just been read.
    pub(crate) fn new() -> Self {
        let meter = Self::default();
        meter.read();
        meter
    }

    /// One that only [`Meter::set`] moves.
    #[cfg(feature = "simulation")]
    pub(crate) fn simulated() -> Self {
        Self { last: AtomicU64::new(1), simulated: true }
    }

    /// Moves the simulation's clock.
    #[cfg(feature = "simulation")]
    pub(crate) fn set(&self, ns: u64) {
        self.last.store(ns.max(1), Relaxed);
    }

    /// The time now.
    pub(crate) fn read(&self) -> u64 {
        #[cfg(feature = "simulation")]
        if self.simulated {
            return self.last();
        }
        let now = monotonic_ns();
        self.last.store(now, Relaxed);
        now
    }

    /// The time of the last reading.
    pub(crate) fn last(&self) -> u64 {
        self.last.load(Relaxed)
    }
}

/// Nanoseconds of the monotonic clock, the same for all threads.
pub(crate) use crate::sys::monotonic_ns;

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}

/// What the monotonic clock lacks to the time since 1970, in nanoseconds.
pub(crate) fn ahead_ns() -> u64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    u64::try_from(unix).unwrap_or(0).wrapping_sub(monotonic_ns())
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
