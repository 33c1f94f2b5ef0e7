//! A limit as it was written, compiled, and the counts that fit it.

use super::gcra::Gcra;
use super::key::Key;
use super::quota::QuotaTable;
use super::table::RateTable;
use super::window::{Calendar, Quota, Span};
use super::{Step, Verdict};
use crate::snapshot::policies::{Limit, Then, Window};

/// The time of a request, read once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds of the monotonic clock: what rates count by.
    pub monotonic_ns: u64,
    /// Milliseconds since 1970: what quotas count by.
    pub unix_ms: u64,
}

/// A rate or a quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// It flows.
    Rate(Gcra),
    /// It has windows.
    Quota(Quota),
}

/// What is wrong with a limit, and in which field of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// The field.
    pub field: &'static str,
    /// What is wrong.
    pub message: &'static str,
}

/// What has been used, by key.
#[derive(Debug)]
pub enum Counts {
    /// Of a rate.
    Rate(RateTable),
    /// Of a quota.
    Quota(QuotaTable),
}

impl Rule {
    /// Compiles a limit.
    ///
    /// # Errors
    ///
    /// Numbers that do not fit, or a step after the one that ends the list.
    pub fn compile(limit: &Limit) -> Result<Self, RuleError> {
        if let Some(at) = limit.then.iter().position(|step| matches!(step, Then::Deny(_)))
            && at + 1 < limit.then.len()
        {
            return Err(RuleError { field: "then", message: "nothing follows a deny" });
        }
        let steps: Vec<Step> = limit
            .then
            .iter()
            .map(|step| match *step {
                Then::Delay(ms) => Step::Delay(ms),
                Then::Deny(ms) => Step::Deny(ms),
            })
            .collect();
        let span = match limit.window {
            Window::Flowing => {
                let window_ns = limit.window_ms.saturating_mul(1_000_000);
                let rate = Gcra::new(limit.count, window_ns, limit.burst, &steps);
                return rate.map(Self::Rate).map_err(|message| RuleError { field: "burst", message });
            }
            Window::Rolling => Span::Rolling(limit.window_ms),
            Window::Minute => Span::Calendar(Calendar::Minute),
            Window::Hour => Span::Calendar(Calendar::Hour),
            Window::Day => Span::Calendar(Calendar::Day),
            Window::Month => Span::Calendar(Calendar::Month),
        };
        let quota = Quota::new(limit.count, span, &steps);
        quota.map(Self::Quota).map_err(|message| RuleError { field: "rate", message })
    }

    /// Counts for it, with nothing used.
    #[must_use]
    pub fn counts(&self) -> Counts {
        match self {
            Self::Rate(_) => Counts::Rate(RateTable::default()),
            Self::Quota(_) => Counts::Quota(QuotaTable::default()),
        }
    }

    /// Decides on a request and counts it.
    #[inline]
    pub fn take(&self, counts: &Counts, key: &Key, now: Now, cost: u64) -> Verdict {
        match (self, counts) {
            (Self::Rate(rate), Counts::Rate(table)) => table.take(rate, key, now.monotonic_ns, cost),
            (Self::Quota(quota), Counts::Quota(table)) => table.take(quota, key, now.unix_ms, cost),
            _ => Verdict::UNKNOWN,
        }
    }

    /// Decides on a request without counting it; only a block that it brings on is kept.
    #[inline]
    pub fn judge(&self, counts: &Counts, key: &Key, now: Now, cost: u64) -> Verdict {
        match (self, counts) {
            (Self::Rate(rate), Counts::Rate(table)) => table.judge(rate, key, now.monotonic_ns, cost),
            (Self::Quota(quota), Counts::Quota(table)) => table.judge(quota, key, now.unix_ms, cost),
            _ => Verdict::UNKNOWN,
        }
    }

    /// Gives back what a request took.
    pub fn give_back(&self, counts: &Counts, key: &Key, now: Now, cost: u64) {
        match (self, counts) {
            (Self::Rate(rate), Counts::Rate(table)) => table.give_back(rate, key, now.monotonic_ns, cost),
            (Self::Quota(quota), Counts::Quota(table)) => table.give_back(quota, key, now.unix_ms, cost),
            _ => {}
        }
    }

    /// Forgets keys of which nothing counts any more.
    pub fn sweep(&self, counts: &Counts, now: Now) {
        match (self, counts) {
            (Self::Rate(_), Counts::Rate(table)) => table.sweep(now.monotonic_ns),
            (Self::Quota(quota), Counts::Quota(table)) => table.sweep(quota, now.unix_ms),
            _ => {}
        }
    }

    /// Whether these counts are of its kind.
    #[must_use]
    pub fn fits(&self, counts: &Counts) -> bool {
        matches!((self, counts), (Self::Rate(_), Counts::Rate(_)) | (Self::Quota(_), Counts::Quota(_)))
    }
}

impl Verdict {
    /// Of counts of another kind, which [`Rule::fits`] keeps apart: closed.
    const UNKNOWN: Self = Self { outcome: super::Outcome::Deny, remaining: 0, reset_ns: 0, retry_ns: 1_000_000_000 };
}

impl Counts {
    /// Keys that are counted.
    #[must_use]
    pub fn keys(&self) -> usize {
        match self {
            Self::Rate(table) => table.keys(),
            Self::Quota(table) => table.keys(),
        }
    }

    /// Decisions made on the count of a network, for want of room.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        match self {
            Self::Rate(table) => table.overflowed(),
            Self::Quota(table) => table.overflowed(),
        }
    }
}
