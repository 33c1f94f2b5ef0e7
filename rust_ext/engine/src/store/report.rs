//! Why a call failed, and what is counted of the store.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    /// Nobody asked: the breaker is open.
    Open,
    /// Nobody asked: too many calls are on their way.
    Full,
    /// No answer came in time.
    Late,
    /// The server answered with an error.
    Refused,
    /// The connection ended.
    Lost,
}

pub(super) const FAILURES: [(Failed, &str); 5] = [
    (Failed::Open, "open"),
    (Failed::Full, "full"),
    (Failed::Late, "late"),
    (Failed::Refused, "refused"),
    (Failed::Lost, "lost"),
];

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "the store is down",
            Self::Full => "too many calls to the store are on their way",
            Self::Late => "the store did not answer in time",
            Self::Refused => "the store refused the call",
            Self::Lost => "the connection to the store ended",
        })
    }
}

/// What is counted, for as long as the process lives, all workers together.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Calls answered in time, and the microseconds that they took.
    pub(crate) answered: AtomicU64,
    pub(crate) microseconds: AtomicU64,
    failures: [AtomicU64; FAILURES.len()],
    /// How often a breaker opened, and how many are open now.
    pub(crate) opened: AtomicU64,
    pub(crate) open: AtomicU64,
    /// Probes that were answered in time, and that were not.
    pub(crate) probes: [AtomicU64; 2],
    /// Requests that a lease decided without a call.
    pub(crate) leased: AtomicU64,
    /// Connections that are down, each worker's for itself.
    pub(crate) down: AtomicU64,
    /// Servers that workers keep connections to; 0: nothing asks a store.
    pub(crate) lanes: AtomicU64,
}

impl Figures {
    /// Counts a call without an answer.
    pub(crate) fn failed(&self, why: Failed) {
        self.failures[why as usize].fetch_add(1, Relaxed);
    }

    /// Calls without an answer, by reason.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        FAILURES.iter().map(|(why, name)| (*name, self.failures[*why as usize].load(Relaxed)))
    }
}
