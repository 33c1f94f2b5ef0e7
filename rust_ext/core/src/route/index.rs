//! A hash table from (parent, bytes) to a number, written once and then only read: open addressing, one allocation
//! for the slots and one for long keys. A short key stands in its slot, two slots fill a cache line: in a large table
//! a look-up costs one miss.
//!
//! The hash has no secret: the table's keys come from the operator's config, so a client can choose what is looked up
//! but not how the table is filled, and a look-up never walks further than the longest run of filled slots.

/// No value.
pub(super) const NONE: u32 = u32::MAX;

/// Written by [`Index::build`].
#[derive(Debug)]
pub(super) struct Index {
    slots: Vec<Slot>,
    keys: Vec<u8>,
}

/// Bytes of a key that stand in its slot.
const INLINE: usize = 20;

#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
struct Slot {
    parent: u32,
    value: u32,
    len: u32,
    /// The key; of a longer one its hash and where it starts in `keys`.
    bytes: [u8; INLINE],
}

const EMPTY: Slot = Slot { parent: 0, value: NONE, len: 0, bytes: [0; INLINE] };

impl Slot {
    fn new(parent: u32, value: u32, key: &[u8], hash: u64, keys: &mut Vec<u8>) -> Self {
        let mut bytes = [0; INLINE];
        if let Some(place) = bytes.get_mut(..key.len()) {
            place.copy_from_slice(key);
        } else {
            bytes[..8].copy_from_slice(&hash.to_le_bytes());
            bytes[8..12].copy_from_slice(&(keys.len() as u32).to_le_bytes());
            keys.extend_from_slice(key);
        }
        Self { parent, value, len: key.len() as u32, bytes }
    }

    #[inline]
    fn is(&self, parent: u32, key: &[u8], hash: u64, keys: &[u8]) -> bool {
        if self.parent != parent || self.len as usize != key.len() {
            return false;
        }
        match self.bytes.get(..key.len()) {
            Some(own) => own == key,
            None => self.bytes[..8] == hash.to_le_bytes() && self.long(keys) == Some(key),
        }
    }

    fn long<'k>(&self, keys: &'k [u8]) -> Option<&'k [u8]> {
        let start = u32::from_le_bytes(*self.bytes[8..].first_chunk()?) as usize;
        keys.get(start..start + self.len as usize)
    }
}

impl Index {
    /// A table of these (parent, key, value); keys of one parent differ, values are not [`NONE`].
    pub(super) fn build<'k>(items: impl ExactSizeIterator<Item = (u32, &'k [u8], u32)>) -> Self {
        // Half as many slots again as keys, so that a run of filled ones stays short and an empty one always ends it.
        let size = (items.len() * 3 / 2 + 1).next_power_of_two();
        let mut index = Self { slots: vec![EMPTY; size], keys: Vec::new() };
        for (parent, key, value) in items {
            let hash = hash(parent, key);
            let mut at = hash as usize & (size - 1);
            while index.slots[at].value != NONE {
                at = (at + 1) & (size - 1);
            }
            index.slots[at] = Slot::new(parent, value, key, hash, &mut index.keys);
        }
        index
    }

    /// The value of that key.
    #[inline]
    pub(super) fn get(&self, parent: u32, key: &[u8]) -> Option<u32> {
        let hash = hash(parent, key);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = &self.slots[at];
            if slot.value == NONE {
                return None;
            }
            if slot.is(parent, key, hash, &self.keys) {
                return Some(slot.value);
            }
            at = (at + 1) & mask;
        }
    }
}

const K0: u64 = 0x9e37_79b9_7f4a_7c15;
const K1: u64 = 0xd6e8_feb8_6659_fd93;

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide as u64) ^ ((wide >> 64) as u64)
}

/// Eight bytes a step by multiply and fold; the last step takes what is left, overlapping where it can.
#[inline]
fn hash(parent: u32, key: &[u8]) -> u64 {
    let mut state = fold(u64::from(parent) ^ K0, (key.len() as u64) ^ K1);
    let mut rest = key;
    while let Some((head, tail)) = rest.split_first_chunk::<8>() {
        if tail.is_empty() {
            break;
        }
        state = fold(state ^ u64::from_le_bytes(*head), K0);
        rest = tail;
    }
    let last = if let Some(bytes) = rest.first_chunk::<8>() {
        u64::from_le_bytes(*bytes)
    } else if let (Some(a), Some(b)) = (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        u64::from(u32::from_le_bytes(*a)) << 32 | u64::from(u32::from_le_bytes(*b))
    } else if let (Some(first), Some(last)) = (rest.first(), rest.last()) {
        u64::from(*first) << 16 | u64::from(rest[rest.len() / 2]) << 8 | u64::from(*last)
    } else {
        0
    };
    fold(state ^ last, K1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_put_in_and_nothing_else() {
        let keys: Vec<Vec<u8>> = (0..2000u32).map(|i| "x".repeat(i as usize % 40).into_bytes()).collect();
        let items: Vec<(u32, &[u8], u32)> =
            keys.iter().enumerate().map(|(i, k)| (i as u32 / 40, &k[..], i as u32)).collect();
        let index = Index::build(items.iter().copied());
        for (parent, key, value) in items {
            assert_eq!(index.get(parent, key), Some(value));
            assert_eq!(index.get(parent + 1_000_000, key), None);
        }
        assert_eq!(index.get(0, b"y"), None);
        assert_eq!(Index::build(std::iter::empty()).get(0, b""), None);
    }

    #[test]
    fn the_hash_sees_every_byte_and_the_parent() {
        for len in 1..40 {
            let key = vec![b'a'; len];
            let plain = hash(1, &key);
            assert_ne!(plain, hash(2, &key));
            for i in 0..len {
                let mut other = key.clone();
                other[i] = b'b';
                assert_ne!(plain, hash(1, &other), "byte {i} of {len}");
            }
        }
    }
}
