//! What the methods of a policy share: their challenges, and the budget of credentials that fail.

use std::net::IpAddr;
use std::sync::Arc;

use fastgate_core::auth::failures::Budget;

use super::State;
use crate::fault::FaultKind;
use crate::guard::Denial;

/// What a 401 says of a method (RFC 9110 §11.6.1).
#[derive(Debug)]
pub(crate) struct Challenge {
    /// Where no credential of it was shown.
    pub(crate) plain: Box<str>,
    /// Where a bad one was.
    pub(crate) failed: Box<str>,
}

impl Challenge {
    /// One that is the same in both cases.
    pub(crate) fn of(text: &str) -> Self {
        Self { plain: text.into(), failed: text.into() }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Common {
    /// One a method, in their order.
    pub(crate) challenges: Box<[Challenge]>,
    pub(crate) budget: Budget,
    pub(crate) state: Arc<State>,
}

impl Common {
    /// A bad credential of the method of that number: counted, and refused; 429 once there were too many.
    pub(crate) fn failed(&self, ip: Option<IpAddr>, now_ns: u64, number: usize, reason: String) -> Denial {
        match self.state.failures.add(ip, self.budget, now_ns) {
            Some(wait_ns) => too_many(wait_ns),
            None => self.refuse(Some(number), reason),
        }
    }

    /// Whether this address has failed too often for anything costly.
    pub(crate) fn is_spent(&self, ip: Option<IpAddr>, now_ns: u64) -> bool {
        self.state.failures.spent(ip, self.budget, now_ns).is_some()
    }

    /// 429 to it.
    pub(crate) fn spent(&self, ip: Option<IpAddr>, now_ns: u64) -> Denial {
        too_many(self.state.failures.spent(ip, self.budget, now_ns).unwrap_or(0))
    }

    /// 401 with every method's challenge.
    pub(crate) fn refuse(&self, failed: Option<usize>, reason: impl Into<String>) -> Denial {
        let mut denial = Denial::new(FaultKind::Unauthenticated, "auth", reason);
        for (number, challenge) in self.challenges.iter().enumerate() {
            let text = if failed == Some(number) { &challenge.failed } else { &challenge.plain };
            if !text.is_empty() {
                denial = denial.with("WWW-Authenticate", text.as_bytes());
            }
        }
        denial
    }
}

fn too_many(wait_ns: u64) -> Denial {
    let seconds = wait_ns.div_ceil(1_000_000_000).max(1);
    let reason = "too many failed credentials from this address";
    Denial::new(FaultKind::RateLimited, "auth", reason).with("Retry-After", seconds.to_string())
}
