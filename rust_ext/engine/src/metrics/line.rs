//! Counters by route, listener and pool, each with one writer.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::{Counter, Fold};

/// Status classes, as labels; the last one is a request that ended without an answer.
pub(crate) const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];

/// What one worker counts of one route: one cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct RouteLine {
    /// Requests by the class of their answer, as [`CLASSES`].
    pub(crate) answers: [Counter; 6],
    /// Bytes of requests.
    pub(crate) received: Counter,
    /// Bytes of answers.
    pub(crate) sent: Counter,
}

const _: () = assert!(size_of::<RouteLine>() == 64);

impl RouteLine {
    /// Counts one answer by its status class; 0 is none.
    pub(crate) fn answered(&self, status: u16) {
        // The status has three digits wherever it comes from.
        let class = (usize::from(status / 100)).wrapping_sub(1).min(5);
        self.answers[class].add(1);
    }
}

impl Fold for RouteLine {
    fn absorb(&self, other: &Self) {
        for (own, theirs) in self.answers.iter().zip(&other.answers) {
            own.add(theirs.get());
        }
        self.received.add(other.received.get());
        self.sent.add(other.sent.get());
    }
}

/// What one worker counts of one listener.
#[derive(Debug, Default)]
pub(crate) struct ListenerLine {
    /// Connections taken up.
    pub(crate) opened: Counter,
    /// Connections ended.
    pub(crate) closed: Counter,
}

impl Fold for ListenerLine {
    fn absorb(&self, other: &Self) {
        self.opened.add(other.opened.get());
        self.closed.add(other.closed.get());
    }
}

/// What one worker's pool of one target holds.
#[derive(Debug, Default)]
pub(crate) struct PoolLine {
    /// Idle connections.
    pub(crate) idle: AtomicU32,
    /// Requests that wait for one.
    pub(crate) waiting: AtomicU32,
}

impl PoolLine {
    /// Says how many idle connections there are.
    pub(crate) fn idle(&self, n: usize) {
        self.idle.store(u32::try_from(n).unwrap_or(u32::MAX), Relaxed);
    }

    /// Says how many requests wait.
    pub(crate) fn waiting(&self, n: usize) {
        self.waiting.store(u32::try_from(n).unwrap_or(u32::MAX), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_fall_into_their_class() {
        let line = RouteLine::default();
        for status in [101, 200, 204, 308, 404, 499, 500, 599, 0, 700] {
            line.answered(status);
        }
        assert_eq!(line.answers.each_ref().map(Counter::get), [1, 2, 1, 2, 2, 2]);
    }
}
