//! The counts of a rate: one word a key, for all workers, at most a million keys.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::Verdict;
use super::gcra::{Decision, Gcra};
use super::key::Key;
use super::shard::{Placed, Room, Shard};
use super::word::State;

/// Keys a table holds; beyond it new ones share a count with those of their network.
pub const MAX_KEYS: usize = 1_000_000;
/// Counts for networks, made when the first is needed. Two networks may meet in one: then the limit is stricter.
const NETWORKS: usize = 1 << 16;
const SHARDS: usize = 64;

/// Counts of a rate.
#[derive(Debug)]
pub struct RateTable {
    shards: Box<[Shard]>,
    room: Room,
    networks: OnceLock<Box<[AtomicU64]>>,
    overflowed: AtomicU64,
}

impl Default for RateTable {
    fn default() -> Self {
        Self::new(MAX_KEYS)
    }
}

impl RateTable {
    /// A table for so many keys; it holds no memory for those that are not there.
    #[must_use]
    pub fn new(keys: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::new()).collect(),
            room: Room::new(keys),
            networks: OnceLock::new(),
            overflowed: AtomicU64::new(0),
        }
    }

    /// Decides on a request and counts it. `now`: nanoseconds of the monotonic clock.
    #[inline]
    pub fn take(&self, rate: &Gcra, key: &Key, now: u64, cost: u64) -> Verdict {
        self.decide(key, now, |state| {
            let Decision { verdict, next } = rate.decide(state, now, cost);
            (verdict, next)
        })
    }

    /// Decides on a request without counting it; only a block that it brings on is kept.
    #[inline]
    pub fn judge(&self, rate: &Gcra, key: &Key, now: u64, cost: u64) -> Verdict {
        self.decide(key, now, |state| {
            let Decision { verdict, next } = rate.decide(state, now, cost);
            (verdict, if verdict.passes() { None } else { next })
        })
    }

    /// Gives back what a request took.
    pub fn give_back(&self, rate: &Gcra, key: &Key, now: u64, cost: u64) {
        self.decide(key, now, |state| ((), (state != State::FRESH).then(|| rate.given_back(state, cost))));
    }

    /// Keys that have a slot.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.room.used()
    }

    /// Decisions made on the count of a network, for want of room.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.overflowed.load(Relaxed)
    }

    /// Forgets keys whose time has passed, and gives back their memory. Takes milliseconds for a full table, a shard at
    /// a time: for a background thread.
    pub fn sweep(&self, now: u64) {
        for shard in &self.shards {
            shard.sweep(now, &self.room);
        }
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let networks = self.networks.get().map_or(0, |all| size_of_val::<[AtomicU64]>(all));
        size_of::<Self>() + networks + self.shards.iter().map(Shard::bytes).sum::<usize>()
    }

    #[inline]
    fn decide<T>(&self, key: &Key, now: u64, decide: impl Fn(State) -> (T, Option<State>)) -> T {
        let shard = &self.shards[usize::try_from(key.high >> 58).unwrap_or(0)];
        if let Some(told) = shard.known(key, &decide) {
            return told;
        }
        match shard.any(key, now, &self.room, &decide) {
            Placed::Done(told) => told,
            Placed::Full => self.overflow(key, &decide),
        }
    }

    #[cold]
    fn overflow<T>(&self, key: &Key, decide: &dyn Fn(State) -> (T, Option<State>)) -> T {
        self.overflowed.fetch_add(1, Relaxed);
        let all = self.networks.get_or_init(|| (0..NETWORKS).map(|_| AtomicU64::new(0)).collect());
        let count = &all[usize::try_from(key.network >> 48).unwrap_or(0)];
        let mut word = count.load(Acquire);
        loop {
            let (told, next) = decide(State::of(word));
            let Some(next) = next else { return told };
            match count.compare_exchange_weak(word, next.word(word), AcqRel, Acquire) {
                Ok(_) => return told,
                Err(now) => word = now,
            }
        }
    }
}
