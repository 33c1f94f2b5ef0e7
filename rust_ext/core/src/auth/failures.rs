//! Failed credentials, counted by where they come from: guessing is slow, and buys no costly check.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Addresses that are kept apart; beyond them, new ones are counted by /16 (IPv6: /48).
pub const MAX_ADDRESSES: usize = 65_536;

/// The least time between two looks for addresses that may be forgotten, in nanoseconds.
const SWEEP_NS: u64 = 1_000_000_000;

/// So many failures in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    count: u64,
    step_ns: u64,
}

impl Budget {
    /// At most `count` in `window_ms`, all at once if need be; both at least 1.
    #[must_use]
    pub fn new(count: u32, window_ms: u64) -> Self {
        let count = u64::from(count.max(1));
        Self { count, step_ns: (window_ms.clamp(1, 1 << 40).saturating_mul(1_000_000) / count).max(1) }
    }

    /// How long nothing more is allowed after failures up to that time; `None`: something is.
    fn wait(self, until_ns: u64, now_ns: u64) -> Option<u64> {
        let ahead = until_ns.saturating_sub(now_ns);
        let allowed = self.step_ns.saturating_mul(self.count - 1);
        (ahead > allowed).then(|| ahead - allowed)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum From {
    Unknown,
    V4(u32),
    /// The first 64 bits.
    V6(u64),
    Net4(u16),
    Net6(u64),
    Anywhere,
}

impl From {
    fn of(ip: Option<IpAddr>) -> Self {
        match ip.map(|ip| ip.to_canonical()) {
            None => Self::Unknown,
            Some(IpAddr::V4(ip)) => Self::V4(ip.to_bits()),
            Some(IpAddr::V6(ip)) => Self::V6((ip.to_bits() >> 64) as u64),
        }
    }

    fn wider(self) -> Self {
        match self {
            Self::V4(bits) => Self::Net4((bits >> 16) as u16),
            Self::V6(bits) => Self::Net6(bits >> 16),
            _ => Self::Anywhere,
        }
    }
}

#[derive(Debug, Default)]
struct Table {
    /// By address and budget: the time up to which its failures reach (GCRA's theoretical arrival time).
    until_ns: HashMap<(From, u64), u64>,
    swept_ns: u64,
}

impl Table {
    /// Where failures from there are counted.
    fn place(&mut self, from: From, step_ns: u64, now_ns: u64) -> (From, u64) {
        if self.until_ns.contains_key(&(from, step_ns)) || self.until_ns.len() < MAX_ADDRESSES {
            return (from, step_ns);
        }
        if now_ns.saturating_sub(self.swept_ns) >= SWEEP_NS {
            self.swept_ns = now_ns;
            self.until_ns.retain(|_, until| *until > now_ns);
            if self.until_ns.len() < MAX_ADDRESSES {
                return (from, step_ns);
            }
        }
        let wide = (from.wider(), step_ns);
        let room = self.until_ns.contains_key(&wide) || self.until_ns.len() < 2 * MAX_ADDRESSES;
        if room { wide } else { (From::Anywhere, step_ns) }
    }
}

/// Failures of the whole process.
#[derive(Debug, Default)]
pub struct Failures(Mutex<Table>);

impl Failures {
    /// Counts a failure; if the budget was spent before, nanoseconds until it is not.
    pub fn add(&self, ip: Option<IpAddr>, budget: Budget, now_ns: u64) -> Option<u64> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = table.place(From::of(ip), budget.step_ns, now_ns);
        let until = table.until_ns.entry(place).or_insert(0);
        if let Some(wait) = budget.wait(*until, now_ns) {
            return Some(wait);
        }
        *until = (*until).max(now_ns).saturating_add(budget.step_ns);
        None
    }

    /// Whether the budget is spent: nanoseconds until it is not.
    pub fn spent(&self, ip: Option<IpAddr>, budget: Budget, now_ns: u64) -> Option<u64> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = table.place(From::of(ip), budget.step_ns, now_ns);
        table.until_ns.get(&place).and_then(|&until| budget.wait(until, now_ns))
    }

    /// Addresses and networks that have failed lately.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).until_ns.len()
    }

    /// Whether nobody has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_budget_is_spent_and_comes_back() {
        let (failures, budget, now) = (Failures::default(), Budget::new(30, 60_000), 100 * SECOND);
        for count in 0..30 {
            assert_eq!(failures.spent(ip("192.0.2.1"), budget, now), None, "{count}");
            assert_eq!(failures.add(ip("192.0.2.1"), budget, now), None, "{count}");
        }
        assert_eq!(failures.spent(ip("192.0.2.1"), budget, now), Some(2 * SECOND));
        assert_eq!(failures.add(ip("192.0.2.1"), budget, now), Some(2 * SECOND), "and it is not made longer");
        assert_eq!(failures.spent(ip("::ffff:192.0.2.1"), budget, now), Some(2 * SECOND));
        assert_eq!(failures.spent(ip("192.0.2.2"), budget, now), None);
        assert_eq!(failures.spent(None, budget, now), None);
        assert_eq!(failures.add(ip("192.0.2.1"), budget, now + 2 * SECOND), None);
        assert_eq!(failures.spent(ip("192.0.2.1"), budget, now + 2 * SECOND), Some(2 * SECOND));
        assert_eq!(failures.spent(ip("192.0.2.1"), Budget::new(5, 1_000), now), None, "another budget, another count");
    }

    #[test]
    fn one_network_of_ipv6_is_one_client() {
        let (failures, budget) = (Failures::default(), Budget::new(1, 1_000));
        assert_eq!(failures.add(ip("2001:db8:0:1::1"), budget, SECOND), None);
        assert!(failures.spent(ip("2001:db8:0:1:ffff::2"), budget, SECOND).is_some());
        assert_eq!(failures.spent(ip("2001:db8:0:2::1"), budget, SECOND), None);
    }

    #[test]
    fn the_table_has_a_bound_and_forgets() {
        let (failures, budget) = (Failures::default(), Budget::new(2, 1_000));
        let many = |first: u32, count: u32, now: u64| {
            for n in first..first + count {
                failures.add(Some(IpAddr::V4(n.into())), budget, now);
            }
        };
        many(0, 65_536, 10 * SECOND);
        assert_eq!(failures.len(), MAX_ADDRESSES);
        many(1 << 24, 3, 10 * SECOND);
        assert_eq!(failures.len(), MAX_ADDRESSES + 1, "new ones share the count of their /16");
        assert!(failures.spent(ip("1.0.200.200"), budget, 10 * SECOND).is_some());
        for n in 0..70_000_u64 {
            let ip = IpAddr::V6(u128::from(n << 16 | 0x2001 << 48).wrapping_shl(64).into());
            failures.add(Some(ip), budget, 10 * SECOND);
        }
        assert_eq!(failures.len(), 2 * MAX_ADDRESSES + 1);
        many(1 << 25, 1, 20 * SECOND);
        assert_eq!(failures.len(), 1, "what has passed is forgotten");
    }
}
