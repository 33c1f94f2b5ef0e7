//! How often: rates (GCRA) and quotas (windows), their tables of counts, and keys that nobody can aim.
//!
//! A [`Rule`] is what a user wrote, compiled; [`Counts`] is what has been used, and outlives the rule: it is found again
//! by name when a config is applied, and holds no number of the rule. Time is passed in as [`Now`].

mod gcra;
mod key;
mod quota;
mod rule;
mod shard;
mod table;
mod window;
mod word;

#[cfg(test)]
mod tests;

pub use gcra::Gcra;
pub use key::{Hasher, Key, Parts};
pub use quota::QuotaTable;
pub use rule::{Counts, Now, Rule, RuleError};
pub use table::{MAX_KEYS, RateTable};
pub use window::{Calendar, Quota, Span};

/// What a limit says to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Within the limit.
    Pass,
    /// Over it, and to be delayed by so many milliseconds.
    Delay(u64),
    /// Over it: not now.
    Deny,
}

/// The decision on one request, and what a client may be told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What happens.
    pub outcome: Outcome,
    /// What could still be had now, in units of cost.
    pub remaining: u64,
    /// Until everything can be had again, nanoseconds.
    pub reset_ns: u64,
    /// Until a denied request of that cost may pass, nanoseconds; 0 if it was not denied.
    pub retry_ns: u64,
}

impl Verdict {
    /// Whether the request goes on, at once or later.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.outcome != Outcome::Deny
    }
}

/// What happens over a limit, step by step: each `Delay` holds for one more burst, a `Deny` ends the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The request waits so many milliseconds and passes.
    Delay(u64),
    /// The key is refused for so many milliseconds.
    Deny(u64),
}
