//! When the store is not asked any more: it failed too often, and until it has answered probes in time.

use std::time::Duration;

use crate::backoff::Backoff;

/// Failures in a row that open it.
const IN_A_ROW: u32 = 5;

/// Failures among the last 64 calls that open it.
const OF_THE_LAST: u32 = 16;

/// Probes in a row that close it: so many the first time, twice as many each time it opened again soon, up to the last.
const FIRST_PROBES: u32 = 2;
const MOST_PROBES: u32 = 32;

/// Closed for so long, it was good again.
const STEADY: Duration = Duration::from_secs(10);

const FIRST_WAIT: Duration = Duration::from_millis(50);
const MOST_WAIT: Duration = Duration::from_secs(2);

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing.
    Same,
    /// It has opened: nobody asks any more.
    Opened,
    /// It has closed: the store is asked again.
    Closed,
}

/// One server's breaker; times count from any moment on.
#[derive(Debug)]
pub struct Breaker {
    open: bool,
    row: u32,
    /// The last calls, the newest lowest; a set bit is a failure.
    last: u64,
    /// Probes that succeeded in a row, and how many it takes.
    good: u32,
    needed: u32,
    closed_at: Duration,
    backoff: Backoff,
}

impl Default for Breaker {
    /// Open, until the first probes say otherwise: nobody waits for a server that has never answered.
    fn default() -> Self {
        Self {
            open: true,
            row: 0,
            last: 0,
            good: 0,
            needed: 1,
            closed_at: Duration::ZERO,
            backoff: Backoff::new(FIRST_WAIT, MOST_WAIT),
        }
    }
}

impl Breaker {
    /// Whether nobody is to ask.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// A call was answered in time.
    pub fn answered(&mut self) {
        self.row = 0;
        self.last <<= 1;
    }

    /// A call was not.
    pub fn failed(&mut self, now: Duration) -> Turn {
        self.row += 1;
        self.last = self.last << 1 | 1;
        if self.row >= IN_A_ROW || self.last.count_ones() >= OF_THE_LAST { self.break_off(now) } else { Turn::Same }
    }

    /// The connection is gone, or what came over it is no answer.
    pub fn break_off(&mut self, now: Duration) -> Turn {
        self.good = 0;
        if self.open {
            return Turn::Same;
        }
        if now.saturating_sub(self.closed_at) >= STEADY {
            self.backoff.reset();
            self.needed = FIRST_PROBES;
        } else {
            self.needed = (self.needed * 2).clamp(FIRST_PROBES, MOST_PROBES);
        }
        (self.open, self.row, self.last) = (true, 0, 0);
        Turn::Opened
    }

    /// A probe was answered in time.
    pub fn probed(&mut self, now: Duration) -> Turn {
        self.good += 1;
        if !self.open || self.good < self.needed {
            return Turn::Same;
        }
        (self.open, self.good, self.row, self.last, self.closed_at) = (false, 0, 0, 0, now);
        Turn::Closed
    }

    /// A probe was not answered in time; how long until the next one, by `random`.
    pub fn probe_failed(&mut self, random: u64) -> Duration {
        self.good = 0;
        self.backoff.failed(random)
    }
}
