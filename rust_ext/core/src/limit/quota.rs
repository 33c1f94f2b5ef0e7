//! The counts of a quota, by key: sharded maps under locks, for a count of a window does not fit one atomic word.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Verdict;
use super::key::Key;
use super::table::MAX_KEYS;
use super::window::{Quota, Used};

const SHARDS: usize = 64;
/// A full shard is not searched for dead keys more often than this, milliseconds.
const SWEEP_EVERY: u64 = 1_000;

/// Counts of a quota.
#[derive(Debug)]
pub struct QuotaTable {
    shards: Box<[Mutex<Shard>]>,
    keys_a_shard: usize,
    overflowed: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    keys: HashMap<(u64, u64), Used, BuildHasherDefault<Taken>>,
    /// Counts of networks, for new keys that found no room: at most 1,024 a shard.
    networks: HashMap<(u64, u64), Used, BuildHasherDefault<Taken>>,
    swept: u64,
}

/// The key is a hash already.
#[derive(Debug, Default)]
struct Taken(u64);

impl Hasher for Taken {
    fn write(&mut self, bytes: &[u8]) {
        // Not used for keys of two words; kept right for any.
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = self.0.rotate_left(32) ^ value;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Default for QuotaTable {
    fn default() -> Self {
        Self::new(MAX_KEYS)
    }
}

impl QuotaTable {
    /// A table for so many keys.
    #[must_use]
    pub fn new(keys: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            keys_a_shard: keys.div_ceil(SHARDS).max(1),
            overflowed: AtomicU64::new(0),
        }
    }

    /// Decides on a request and counts it. `now`: Unix milliseconds.
    pub fn take(&self, quota: &Quota, key: &Key, now: u64, cost: u64) -> Verdict {
        self.with(quota, key, now, |used| quota.decide(used, now, cost, true))
    }

    /// Decides on a request without counting it; only a block that it brings on is kept.
    pub fn judge(&self, quota: &Quota, key: &Key, now: u64, cost: u64) -> Verdict {
        self.with(quota, key, now, |used| quota.decide(used, now, cost, false))
    }

    /// Gives back what a request took.
    pub fn give_back(&self, quota: &Quota, key: &Key, now: u64, cost: u64) {
        self.with(quota, key, now, |used| quota.give_back(used, now, cost));
    }

    /// Keys that are counted.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).keys.len()).sum()
    }

    /// Decisions made on the count of a network, for want of room.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.overflowed.load(Relaxed)
    }

    /// Forgets keys of which nothing counts any more.
    pub fn sweep(&self, quota: &Quota, now: u64) {
        for shard in &self.shards {
            lock(shard).sweep(quota, now);
        }
    }

    fn with<T>(&self, quota: &Quota, key: &Key, now: u64, change: impl FnOnce(&mut Used) -> T) -> T {
        let mut shard = lock(&self.shards[usize::try_from(key.high >> 58).unwrap_or(0)]);
        let id = (key.high, key.low);
        if let Some(used) = shard.keys.get_mut(&id) {
            return change(used);
        }
        if shard.keys.len() == shard.keys.capacity() || shard.keys.len() >= self.keys_a_shard {
            shard.sweep_seldom(quota, now);
        }
        if shard.keys.len() < self.keys_a_shard {
            return change(shard.keys.entry(id).or_default());
        }
        self.overflowed.fetch_add(1, Relaxed);
        change(shard.networks.entry((key.network >> 54, 0)).or_default())
    }
}

impl Shard {
    fn sweep_seldom(&mut self, quota: &Quota, now: u64) {
        if now.abs_diff(self.swept) >= SWEEP_EVERY {
            self.sweep(quota, now);
        }
    }

    fn sweep(&mut self, quota: &Quota, now: u64) {
        self.swept = now;
        self.keys.retain(|_, used| !quota.over(used, now));
        self.networks.retain(|_, used| !quota.over(used, now));
        if self.keys.capacity() > 4 * self.keys.len().max(16) {
            self.keys.shrink_to(self.keys.len() * 2);
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
