//! Tokens that verified, remembered by their text: a keyed hash finds one, a comparison of the whole text proves it.
//!
//! Bounded in entries and bytes. At a bound the clock's hand looks for one that was not asked for since it last passed.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::jwt::Token;

/// The bounds of a cache.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most tokens.
    pub entries: usize,
    /// Most bytes held for them, as reckoned.
    pub bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { entries: 16_384, bytes: 64 * 1024 * 1024 }
    }
}

struct Entry<D> {
    hash: u64,
    generation: u64,
    text: Box<[u8]>,
    token: Token,
    /// What a policy made of its claims.
    derived: Option<D>,
    asked_for: bool,
}

/// Tokens that verified.
pub struct TokenCache<D> {
    seeds: [u64; 4],
    bounds: Bounds,
    index: HashMap<u64, u32, BuildHasherDefault<AsItIs>>,
    entries: Vec<Option<Entry<D>>>,
    free: Vec<u32>,
    hand: usize,
    bytes: usize,
}

/// A place in a cache, until something is put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(u32);

impl<D> TokenCache<D> {
    /// An empty one; `seeds` are random, so that nobody can find texts that collide.
    #[must_use]
    pub fn new(seeds: [u64; 4], bounds: Bounds) -> Self {
        // A factor of zero would swallow what it is multiplied with.
        let seeds = seeds.map(|seed| seed | 1);
        Self { seeds, bounds, index: HashMap::default(), entries: Vec::new(), free: Vec::new(), hand: 0, bytes: 0 }
    }

    /// The token of a text that verified with the key set of that generation.
    #[inline]
    pub fn find(&mut self, generation: u64, text: &[u8]) -> Option<Place> {
        if self.index.is_empty() {
            return None;
        }
        let place = *self.index.get(&hash(&self.seeds, generation, text))?;
        let entry = self.entries.get_mut(place as usize)?.as_mut()?;
        if entry.generation != generation || *entry.text != *text {
            return None;
        }
        entry.asked_for = true;
        Some(Place(place))
    }

    /// The token at a place.
    #[must_use]
    pub fn token(&self, place: Place) -> Option<&Token> {
        Some(&self.entry(place)?.token)
    }

    /// What was made of its claims.
    #[must_use]
    pub fn derived(&self, place: Place) -> Option<&D> {
        self.entry(place)?.derived.as_ref()
    }

    /// Keeps what was made of its claims, in the place of what was kept before.
    pub fn derive(&mut self, place: Place, derived: D) {
        if let Some(Some(entry)) = self.entries.get_mut(place.0 as usize) {
            entry.derived = Some(derived);
        }
    }

    fn entry(&self, place: Place) -> Option<&Entry<D>> {
        self.entries.get(place.0 as usize)?.as_ref()
    }

    /// Puts a token in; `None` where one alone is over the bound.
    pub fn put(&mut self, generation: u64, text: &[u8], token: Token) -> Option<Place> {
        let size = reckoned(text);
        if size > self.bounds.bytes || self.bounds.entries == 0 {
            return None;
        }
        let hash = hash(&self.seeds, generation, text);
        if let Some(same) = self.index.get(&hash) {
            self.remove(Place(*same));
        }
        while self.index.len() >= self.bounds.entries || self.bytes + size > self.bounds.bytes {
            self.evict();
        }
        let entry = Entry { hash, generation, text: text.into(), token, derived: None, asked_for: false };
        let place = match self.free.pop() {
            Some(place) => {
                self.entries[place as usize] = Some(entry);
                place
            }
            None => {
                self.entries.push(Some(entry));
                u32::try_from(self.entries.len() - 1).ok()?
            }
        };
        self.index.insert(hash, place);
        self.bytes += size;
        Some(Place(place))
    }

    /// Forgets the token at a place.
    pub fn remove(&mut self, place: Place) {
        if let Some(entry) = self.entries.get_mut(place.0 as usize).and_then(Option::take) {
            self.index.remove(&entry.hash);
            self.bytes -= reckoned(&entry.text);
            self.free.push(place.0);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Bytes held, as reckoned.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn evict(&mut self) {
        // Twice round at most: the first time every mark is taken away.
        for _ in 0..self.entries.len() * 2 {
            let at = self.hand;
            self.hand = (at + 1) % self.entries.len();
            match &mut self.entries[at] {
                Some(entry) if entry.asked_for => entry.asked_for = false,
                Some(_) => return self.remove(Place(at as u32)),
                None => {}
            }
        }
    }
}

/// Bytes that an entry holds, about: its text, the claims of it as a tree, itself.
fn reckoned(text: &[u8]) -> usize {
    text.len() * 4 + 1024
}

/// The keys of the index are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Folded 128-bit products over four lanes of sixteen bytes; every step keyed.
fn hash(seeds: &[u64; 4], generation: u64, text: &[u8]) -> u64 {
    let word =
        |bytes: &[u8; 16], half: usize| u64::from_le_bytes(*bytes[half * 8..].first_chunk::<8>().unwrap_or(&[0; 8]));
    let mut lanes = seeds.map(|seed| seed ^ generation);
    let (blocks, rest) = text.as_chunks::<64>();
    for block in blocks {
        for ((lane, chunk), seed) in lanes.iter_mut().zip(block.as_chunks::<16>().0).zip(seeds) {
            *lane = fold(word(chunk, 0) ^ seed, word(chunk, 1) ^ *lane);
        }
    }
    for (at, piece) in rest.chunks(16).enumerate() {
        let mut chunk = [0; 16];
        chunk[..piece.len()].copy_from_slice(piece);
        lanes[at] = fold(word(&chunk, 0) ^ seeds[at], word(&chunk, 1) ^ lanes[at]);
    }
    let [a, b, c, d] = lanes;
    let joined = fold(a ^ seeds[1], b ^ text.len() as u64) ^ fold(c ^ seeds[3], d ^ seeds[0]);
    fold(joined ^ seeds[2], seeds[1])
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}
