//! A limit that is kept in the store: each request asks it, or a lease answers for it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use fastgate_core::limit::{Outcome, RuleError, Verdict};
use fastgate_core::snapshot::policies::{Limit, Window};
use fastgate_core::store::{Answer, Lease, Rule, Taken, name};

use super::report::Failed;
use super::{Asked, Store};
use crate::rt;

/// Keys that a worker holds leases of; those beyond ask each time.
const MAX_LEASES: usize = 65_536;

/// What a rate has to bring in a sync interval to be leased.
const LEAST: u64 = 10;

/// What a key is in the store: a digest, so that no value of a request stands there.
pub(crate) type Digest = [u8; 16];

/// A limit of the config, kept in the store.
#[derive(Debug)]
pub(crate) struct Limiter {
    rule: Arc<Rule>,
    /// Of this value, so that leases of one that is gone are nobody's.
    number: u64,
    /// Stands before the digest of a key.
    name: String,
    lease: Option<Terms>,
}

/// What is leased.
#[derive(Debug, Clone, Copy)]
struct Terms {
    sync_ns: u64,
    /// What the rate brings in one interval.
    most: u64,
}

static NUMBER: AtomicU64 = AtomicU64::new(1);

/// What is known of a request.
pub(crate) enum Decision {
    /// The decision.
    Now(Verdict),
    /// It will be known within the time of a call.
    Wait(Waiting),
    /// It will not be known.
    Unknown(Failed),
}

/// A decision that is on its way.
pub(crate) type Waiting = Pin<Box<dyn Future<Output = Result<Answer, Failed>>>>;

/// The leases of a worker.
#[derive(Debug, Default, Clone)]
pub(super) struct Leases(Rc<RefCell<HashMap<(u64, Digest), Lease>>>);

impl Limiter {
    /// Compiles a limit that `sync` puts into the store. Leased is what may be: quotas, what has steps and what brings
    /// fewer than [`LEAST`] in an interval are asked for one by one.
    ///
    /// # Errors
    /// What the store cannot count.
    pub(crate) fn compile(limit: &Limit, prefix: &str, by_address: bool) -> Result<Self, RuleError> {
        let rule = Arc::new(Rule::compile(limit)?);
        let sync_ms = limit.sync_ms.unwrap_or(0);
        let most = (u128::from(limit.count) * u128::from(sync_ms) / u128::from(limit.window_ms)).min(1 << 40);
        let most = u64::try_from(most).unwrap_or(0);
        let leased = limit.window == Window::Flowing && limit.then.is_empty() && most >= LEAST;
        let lease = leased.then(|| Terms { sync_ns: sync_ms.saturating_mul(1_000_000), most });
        let number = NUMBER.fetch_add(1, Relaxed);
        Ok(Self { name: format!("{prefix}fastgate:limit:{}:", name(limit, by_address, &rule)), rule, number, lease })
    }

    /// Whether leases may decide.
    pub(crate) fn is_leased(&self) -> bool {
        self.lease.is_some()
    }

    /// Decides on a request of that cost for a key.
    pub(crate) fn take(&self, store: &Store, digest: &Digest, cost: u64) -> Decision {
        let Some(terms) = self.lease else { return self.exactly(store, digest, cost) };
        let key = (self.number, *digest);
        let now = store.now_ns();
        let mut leases = store.leases.0.borrow_mut();
        if leases.len() >= MAX_LEASES && !leases.contains_key(&key) {
            leases.retain(|_, lease| !lease.over(now, terms.sync_ns));
            if leases.len() >= MAX_LEASES {
                drop(leases);
                return self.exactly(store, digest, cost);
            }
        }
        let taken = leases.entry(key).or_default().take(now, cost, terms.sync_ns, terms.most);
        drop(leases);
        match taken {
            Taken::Pass(left, renew) => {
                store.inner.figures.leased.fetch_add(1, Relaxed);
                if let Some(wanted) = renew {
                    let renewal = Renewal { leases: store.leases.clone(), key, asked: now, own: 0, terms };
                    match self.ask(store, digest, wanted, 1) {
                        Ok(asked) => rt::spawn(async move {
                            // Nobody waits for it.
                            let _ = renewal.settle(asked).await;
                        }),
                        Err(_) => drop(renewal),
                    }
                }
                Decision::Now(Verdict { outcome: Outcome::Pass, remaining: left, reset_ns: terms.sync_ns, retry_ns: 0 })
            }
            Taken::Deny(ns) => {
                store.inner.figures.leased.fetch_add(1, Relaxed);
                Decision::Now(Verdict { outcome: Outcome::Deny, remaining: 0, reset_ns: ns, retry_ns: ns })
            }
            Taken::Ask(_, false) => self.exactly(store, digest, cost),
            Taken::Ask(wanted, true) => {
                let renewal = Renewal { leases: store.leases.clone(), key, asked: now, own: cost, terms };
                match self.ask(store, digest, wanted, cost) {
                    Ok(asked) => Decision::Wait(Box::pin(renewal.settle(asked))),
                    Err(failed) => {
                        drop(renewal);
                        Decision::Unknown(failed)
                    }
                }
            }
        }
    }

    fn exactly(&self, store: &Store, digest: &Digest, cost: u64) -> Decision {
        match self.ask(store, digest, cost, cost) {
            Ok(asked) => Decision::Wait(Box::pin(asked.answer())),
            Err(failed) => Decision::Unknown(failed),
        }
    }

    /// Gives back what an answer counted for a request that is refused all the same. Nobody waits for it; where it is
    /// lost, fewer pass.
    pub(crate) fn give_back(&self, store: &Store, digest: &Digest, units: u64, answer: &Answer) {
        if units > 0 {
            store.give_back(&self.rule, &self.key(digest), units, answer.at_us);
        }
    }

    fn ask(&self, store: &Store, digest: &Digest, wanted: u64, least: u64) -> Result<Asked, Failed> {
        store.ask(&self.rule, &self.key(digest), wanted, least)
    }

    fn key(&self, digest: &Digest) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.name.len() + 32);
        key.extend_from_slice(self.name.as_bytes());
        for byte in digest {
            key.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        key
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A lease that is being asked for. Dropped before its answer is there, it has failed.
struct Renewal {
    leases: Leases,
    key: (u64, Digest),
    asked: u64,
    /// What the request itself costs.
    own: u64,
    terms: Terms,
}

impl Renewal {
    async fn settle(mut self, asked: Asked) -> Result<Answer, Failed> {
        let result = asked.answer().await;
        let (at, own, sync) = (self.asked, self.own, self.terms.sync_ns);
        self.done(|lease| match &result {
            Ok(Answer { verdict, .. }) if verdict.outcome == Outcome::Deny => lease.refused(at, verdict.retry_ns, sync),
            Ok(answer) => lease.granted(at, answer.granted.saturating_sub(own), sync),
            Err(_) => lease.failed(),
        });
        result
    }

    fn done(&mut self, how: impl FnOnce(&mut Lease)) {
        if let Some(lease) = self.leases.0.borrow_mut().get_mut(&self.key) {
            how(lease);
        }
        self.key.0 = 0;
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        if self.key.0 != 0 {
            self.done(Lease::failed);
        }
    }
}
