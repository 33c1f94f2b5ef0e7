//! How long to wait before trying again: exponential with full jitter, so that many who failed together do not return
//! together.

use std::time::Duration;

/// Counts attempts that failed.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits up to `first` after one failure, up to twice as long after each further one, and never above `most`.
    #[must_use]
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, failures: 0 }
    }

    /// One failure more: how long to wait, anything between a tenth of the bound and the bound itself, by `random`.
    /// The tenth keeps a bad draw from trying at once again and again.
    pub fn failed(&mut self, random: u64) -> Duration {
        let bound = self.first.saturating_mul(1 << self.failures.min(20)).min(self.most);
        self.failures = self.failures.saturating_add(1);
        let bound = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
        let least = bound / 10;
        Duration::from_micros(least + random % (bound - least + 1))
    }

    /// It works again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures since it worked.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(50);
    const MOST: Duration = Duration::from_secs(5);

    #[test]
    fn waits_grow_to_the_bound_and_are_spread() {
        let bounds: Vec<Duration> = {
            let mut backoff = Backoff::new(FIRST, MOST);
            (0..40).map(|_| backoff.failed(0)).collect()
        };
        assert_eq!(bounds[..3], [5, 10, 20].map(Duration::from_millis));
        assert_eq!(bounds[39], MOST / 10);
        let mut backoff = Backoff::new(FIRST, MOST);
        for random in (0..10_000_u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
            assert!(backoff.failed(random) <= MOST);
        }
        backoff.reset();
        assert!(backoff.failed(u64::MAX) <= FIRST);
        assert_eq!(backoff.failures(), 1);
    }
}
