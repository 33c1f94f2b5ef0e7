//! One of a table's shards: open addressing in 24-byte slots, decided on without a lock where the key is known.
//!
//! A key's state is one word, changed by compare-and-swap; the word's owner bits make one prepared for another key fail.
//! Only what is rare takes the lock: a new key, and rebuilding the slots, which is at once growth, sweeping and
//! shrinking. A key whose time has passed equals one that has not been seen, so its slot is given away without loss.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::{Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::key::Key;
use super::word::{EMPTY, MOVED, State, TAKEN, in_flux};

/// Slots looked at before a key counts as unknown.
const PROBES: usize = 96;
const LEAST_SLOTS: usize = 8;
/// A shard without room is not searched for dead keys more often than this, nanoseconds.
const SWEEP_EVERY: u64 = 1_000_000_000;

#[derive(Debug)]
struct Slot {
    word: AtomicU64,
    high: AtomicU64,
    low: AtomicU64,
}

impl Slot {
    fn empty() -> Self {
        Self { word: AtomicU64::new(EMPTY), high: AtomicU64::new(0), low: AtomicU64::new(0) }
    }

    /// Acquire, as the keys' stores release: whoever sees a new key sees that the word was taken before it.
    fn has(&self, key: &Key) -> bool {
        self.high.load(Acquire) == key.high && self.low.load(Acquire) == key.low
    }
}

type Slots = Box<[Slot]>;

/// A shard.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Shard {
    slots: ArcSwap<Slots>,
    rare: Mutex<Rare>,
}

/// What new keys need.
#[derive(Debug, Default)]
struct Rare {
    /// Slots that are not empty.
    used: usize,
    swept: u64,
}

/// What becomes of a new key.
pub(super) enum Placed<T> {
    /// Decided.
    Done(T),
    /// The table is full.
    Full,
}

/// What a decision does to the key's state; `None`: nothing.
pub(super) type Decide<'a, T> = &'a dyn Fn(State) -> (T, Option<State>);

impl Shard {
    pub(super) fn new() -> Self {
        Self { slots: ArcSwap::from_pointee(Box::from([])), rare: Mutex::default() }
    }

    /// Decides on a key that has a slot; `None`: it seems to have none, or not for sure.
    #[inline]
    pub(super) fn known<T>(&self, key: &Key, mut decide: impl FnMut(State) -> (T, Option<State>)) -> Option<T> {
        let slots = self.slots.load();
        let (slot, mut word) = find(&slots, key)?;
        loop {
            if in_flux(word) {
                return None;
            }
            let (told, next) = decide(State::of(word));
            let now = match next {
                Some(next) => match slot.word.compare_exchange(word, next.word(word), AcqRel, Acquire) {
                    Ok(_) => return Some(told),
                    Err(now) => now,
                },
                // Nothing is written, so nothing has proved that word and key belonged together.
                None => match slot.word.load(Acquire) {
                    now if now == word => return Some(told),
                    now => now,
                },
            };
            word = now;
            if !slot.has(key) {
                return None;
            }
        }
    }

    /// Decides on any key, giving it a slot if something is to be remembered of it.
    #[cold]
    pub(super) fn any<T>(&self, key: &Key, now: u64, room: &Room, decide: Decide<'_, T>) -> Placed<T> {
        let mut rare = self.lock();
        // Under the lock nothing is taken and nothing moves: what is found stays, and what is not found is not there.
        if let Some(told) = self.known(key, decide) {
            return Placed::Done(told);
        }
        let (told, next) = decide(State::FRESH);
        let Some(next) = next else { return Placed::Done(told) };
        if self.reuse(key, now, next) {
            return Placed::Done(told);
        }
        if !room.take() {
            if now.saturating_sub(rare.swept) < SWEEP_EVERY && rare.swept != 0 {
                return Placed::Full;
            }
            self.rebuild(&mut rare, now, room);
            if !room.take() {
                return Placed::Full;
            }
        }
        if (rare.used + 1) * 4 > self.slots.load().len() * 3 {
            self.rebuild(&mut rare, now, room);
        }
        while !self.claim(key, next) {
            // A cluster longer than a search: more slots.
            self.grow(&mut rare, now, room);
        }
        rare.used += 1;
        Placed::Done(told)
    }

    /// Forgets keys whose time has passed, and gives back memory.
    pub(super) fn sweep(&self, now: u64, room: &Room) {
        let mut rare = self.lock();
        let live = self.slots.load().iter().filter(|slot| alive(slot.word.load(Relaxed), now)).count();
        // Worth the copy only if much is dead.
        if rare.used > live + live / 2 {
            self.rebuild(&mut rare, now, room);
        }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of::<Slots>() + 2 * size_of::<usize>() + size_of_val::<[Slot]>(&self.slots.load())
    }

    fn lock(&self) -> MutexGuard<'_, Rare> {
        self.rare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the first slot in the key's way whose owner's time has passed to it.
    fn reuse(&self, key: &Key, now: u64, next: State) -> bool {
        let slots = self.slots.load();
        for slot in way(&slots, key) {
            let word = slot.word.load(Acquire);
            if word == EMPTY {
                return false;
            }
            if State::of(word).over(now) && take(slot, word, key, next) {
                return true;
            }
        }
        false
    }

    /// Gives an empty slot to the key.
    fn claim(&self, key: &Key, next: State) -> bool {
        let slots = self.slots.load();
        way(&slots, key).any(|slot| slot.word.load(Acquire) == EMPTY && take(slot, EMPTY, key, next))
    }

    fn rebuild(&self, rare: &mut Rare, now: u64, room: &Room) {
        let live = self.slots.load().iter().filter(|slot| alive(slot.word.load(Relaxed), now)).count();
        self.rebuild_for(rare, now, room, (live + 1) * 2);
    }

    fn grow(&self, rare: &mut Rare, now: u64, room: &Room) {
        let slots = self.slots.load().len();
        self.rebuild_for(rare, now, room, slots * 2);
    }

    /// Moves what lives into so many slots, or into more if it does not fit.
    fn rebuild_for(&self, rare: &mut Rare, now: u64, room: &Room, wanted: usize) {
        rare.swept = now;
        let old = self.slots.load_full();
        let mut kept: Vec<(Key, State)> = Vec::with_capacity(wanted / 2 + 1);
        for slot in old.iter() {
            // From here on whoever has found this slot must ask again, and waits for the lock.
            let word = slot.word.swap(MOVED, AcqRel);
            if alive(word, now) {
                let key = Key { high: slot.high.load(Acquire), low: slot.low.load(Acquire), network: 0 };
                kept.push((key, State::of(word)));
            }
        }
        let mut wanted = wanted.max(LEAST_SLOTS);
        let fresh = loop {
            let fresh: Slots = (0..wanted).map(|_| Slot::empty()).collect();
            let fits = kept.iter().all(|(key, state)| {
                way(&fresh, key).any(|slot| slot.word.load(Relaxed) == EMPTY && take(slot, EMPTY, key, *state))
            });
            if fits {
                break fresh;
            }
            wanted *= 2;
        };
        room.give_back(rare.used - kept.len());
        rare.used = kept.len();
        self.slots.store(std::sync::Arc::new(fresh));
    }
}

/// How many keys a table has and may have.
#[derive(Debug)]
pub(super) struct Room {
    used: std::sync::atomic::AtomicUsize,
    most: usize,
}

impl Room {
    pub(super) fn new(most: usize) -> Self {
        Self { used: 0.into(), most }
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    fn take(&self) -> bool {
        self.used.fetch_update(Relaxed, Relaxed, |used| (used < self.most).then_some(used + 1)).is_ok()
    }

    fn give_back(&self, count: usize) {
        self.used.fetch_sub(count, Relaxed);
    }
}

fn alive(word: u64, now: u64) -> bool {
    word != EMPTY && !in_flux(word) && !State::of(word).over(now)
}

fn take(slot: &Slot, word: u64, key: &Key, next: State) -> bool {
    if slot.word.compare_exchange(word, TAKEN, AcqRel, Acquire).is_err() {
        return false;
    }
    slot.high.store(key.high, Release);
    slot.low.store(key.low, Release);
    slot.word.store(next.next_owner(word), Release);
    true
}

/// The slots where a key may be, in order.
fn way<'a>(slots: &'a [Slot], key: &Key) -> impl Iterator<Item = &'a Slot> {
    let first = start(slots, key);
    slots[first..].iter().chain(&slots[..first]).take(PROBES)
}

#[inline]
fn find<'a>(slots: &'a [Slot], key: &Key) -> Option<(&'a Slot, u64)> {
    if slots.is_empty() {
        return None;
    }
    let mut at = start(slots, key);
    for _ in 0..PROBES.min(slots.len()) {
        let slot = &slots[at];
        let word = slot.word.load(Acquire);
        if word == EMPTY {
            return None;
        }
        if slot.has(key) {
            return Some((slot, word));
        }
        at += 1;
        if at == slots.len() {
            at = 0;
        }
    }
    None
}

/// Its low 32 bits spread evenly over the slots; the shard was chosen by the upper ones.
#[inline]
fn start(slots: &[Slot], key: &Key) -> usize {
    usize::try_from(((key.high & 0xFFFF_FFFF) * slots.len() as u64) >> 32).unwrap_or(0)
}
