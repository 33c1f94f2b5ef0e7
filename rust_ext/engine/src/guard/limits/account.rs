//! What has been used of each limit: found again by where it stands, its name and what it counts, so that a reload keeps
//! it; gone with the last snapshot that has it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use fastgate_core::limit::{Counts, Hasher, Key, Now, Rule, Verdict};
use fastgate_core::snapshot::policies::{Limit, Window};

use crate::clock;
use crate::rt;
use crate::worker::Shared;

/// Requests that may be delayed at once in the process; beyond it they are refused.
const MAX_DELAYED: usize = 10_000;
/// How often keys are forgotten whose time has passed.
const SWEEP_EVERY: std::time::Duration = std::time::Duration::from_secs(10);
/// Places of a counter, so that workers do not write to one cache line.
const PLACES: usize = 16;

/// Who counts a limit.
#[derive(Debug)]
pub(super) enum Limiter {
    /// This process alone.
    Local(Arc<Account>),
}

impl Limiter {
    #[inline]
    pub(super) fn take(&self, rule: &Rule, key: &Key, now: Now, cost: u64) -> Verdict {
        match self {
            Self::Local(account) => rule.take(&account.counts, key, now, cost),
        }
    }

    pub(super) fn give_back(&self, rule: &Rule, key: &Key, now: Now, cost: u64) {
        match self {
            Self::Local(account) => rule.give_back(&account.counts, key, now, cost),
        }
    }

    pub(super) fn line(&self) -> &Line {
        match self {
            Self::Local(account) => &account.line,
        }
    }
}

/// What has been used of one limit, and how it decided.
#[derive(Debug)]
pub(super) struct Account {
    id: Id,
    /// For sweeping: what its numbers were when it was first met does not matter there.
    rule: Rule,
    counts: Counts,
    line: Line,
}

/// What makes two limits the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Id {
    scope: Box<str>,
    name: Box<str>,
    /// What it counts, and in which windows: of other keys or windows nothing can be taken over.
    what: Box<str>,
    by_address: bool,
}

/// A decision, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    Allowed,
    Denied,
    Delayed,
    /// It would have been denied or delayed.
    DryRun,
}

const SHOWN: [(Shown, &str); 4] =
    [(Shown::Allowed, "allowed"), (Shown::Denied, "denied"), (Shown::Delayed, "delayed"), (Shown::DryRun, "dry_run")];

/// How a limit decided; workers count in places of their own.
#[derive(Debug, Default)]
pub(super) struct Line([Place; PLACES]);

#[derive(Debug, Default)]
#[repr(align(64))]
struct Place([AtomicU64; SHOWN.len()]);

impl Line {
    #[inline]
    pub(super) fn count(&self, worker: usize, shown: Shown) {
        self.0[worker % PLACES].0[shown as usize].fetch_add(1, Relaxed);
    }

    fn sum(&self, shown: Shown) -> u64 {
        self.0.iter().map(|place| place.0[shown as usize].load(Relaxed)).sum()
    }
}

/// What limits keep beside snapshots.
#[derive(Debug)]
pub(crate) struct State {
    hasher: Hasher,
    accounts: Mutex<HashMap<Id, Weak<Account>>>,
    delayed: Arc<AtomicUsize>,
}

impl Default for State {
    fn default() -> Self {
        let hasher = Hasher::new((clock::seed(0), clock::seed(1)));
        Self { hasher, accounts: Mutex::default(), delayed: Arc::default() }
    }
}

/// A place among those that are delayed.
pub(super) struct Delayed(Arc<AtomicUsize>);

impl Drop for Delayed {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl State {
    /// What makes keys.
    pub(crate) fn hasher(&self) -> Hasher {
        self.hasher
    }

    /// The counts of a limit, those that are there already where a snapshot has them.
    pub(super) fn limiter(&self, limit: &Limit, rule: &Rule, by_address: bool) -> Limiter {
        let window = match limit.window {
            Window::Flowing => "flowing".to_owned(),
            Window::Rolling => format!("rolling {}", limit.window_ms),
            calendar => format!("{calendar:?}"),
        };
        let id = Id {
            scope: limit.scope.as_str().into(),
            name: limit.name.as_str().into(),
            what: format!("{window} {:?}", limit.per).into(),
            by_address,
        };
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(&id).and_then(Weak::upgrade) {
            return Limiter::Local(account);
        }
        accounts.retain(|_, account| account.strong_count() > 0);
        let account =
            Arc::new(Account { id: id.clone(), rule: rule.clone(), counts: rule.counts(), line: Line::default() });
        accounts.insert(id, Arc::downgrade(&account));
        Limiter::Local(account)
    }

    /// A place among those that are delayed.
    pub(super) fn wait(&self) -> Option<Delayed> {
        let more = |delayed: usize| (delayed < MAX_DELAYED).then_some(delayed + 1);
        self.delayed.fetch_update(Relaxed, Relaxed, more).ok().map(|_| Delayed(self.delayed.clone()))
    }

    fn all(&self) -> Vec<Arc<Account>> {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.values().filter_map(Weak::upgrade).collect()
    }

    /// How limits decided, by scope and name: `sample(family, labels, value)`.
    pub(crate) fn show(&self, mut sample: impl FnMut(Family, &[(&str, &str)], u64)) {
        let mut all = self.all();
        all.sort_by(|a, b| (&a.id.scope, &a.id.name, &a.id.what).cmp(&(&b.id.scope, &b.id.name, &b.id.what)));
        for family in [Family::Decisions, Family::Keys, Family::Overflow] {
            for account in &all {
                let by = if account.id.by_address { "address" } else { "key" };
                let labels = [("limit", &*account.id.name), ("scope", &*account.id.scope), ("by", by)];
                match family {
                    Family::Decisions if account.id.by_address => {}
                    Family::Decisions => {
                        for (shown, name) in SHOWN {
                            sample(family, &[labels[0], labels[1], ("outcome", name)], account.line.sum(shown));
                        }
                    }
                    Family::Keys => sample(family, &labels, account.counts.keys() as u64),
                    Family::Overflow => sample(family, &labels, account.counts.overflowed()),
                }
            }
        }
    }
}

/// What is shown of limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Decisions,
    Keys,
    Overflow,
}

/// Forgets keys whose time has passed, a limit at a time, for as long as the process lives.
pub(crate) async fn sweep(shared: Arc<Shared>) {
    loop {
        rt::sleep(SWEEP_EVERY).await;
        for account in shared.registry.guards.limits.all() {
            let now = Now { monotonic_ns: clock::monotonic_ns(), unix_ms: clock::unix_ms() };
            account.rule.sweep(&account.counts, now);
            rt::yield_now().await;
        }
    }
}
