//! Sixteen bytes at a time: each class gives a bit a byte, the first byte lowest.

use wide::u8x16;

/// Sixteen bytes of a message.
pub(super) type Chunk = [u8; 16];

/// The marks of up to sixteen bytes from `at` on, and how many bytes there are. Behind the end nothing is marked.
#[inline(always)]
pub(super) fn marks(bytes: &[u8], at: usize, class: impl Fn(&Chunk) -> u32) -> (u32, usize) {
    match bytes.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        Some(chunk) => (class(chunk), 16),
        None => {
            let (chunk, there) = last_chunk(bytes, at);
            (class(&chunk) & below(there), there)
        }
    }
}

/// Bits of the first `n` bytes, at most 31.
#[inline(always)]
pub(super) fn below(n: usize) -> u32 {
    (1_u32 << (n & 31)).wrapping_sub(1)
}

/// Fewer than sixteen bytes from `at` on, filled up with zeros.
#[inline(never)]
fn last_chunk(bytes: &[u8], at: usize) -> (Chunk, usize) {
    let there = bytes.len().saturating_sub(at) & 15;
    if let Some(last) = bytes.last_chunk::<16>() {
        let shift = 8 * (16_usize.wrapping_sub(there) & 15);
        let kept = if there == 0 { 0 } else { u128::from_le_bytes(*last) >> shift };
        return (kept.to_le_bytes(), there);
    }
    let mut chunk = [0; 16];
    for (slot, &b) in chunk.iter_mut().zip(bytes.get(at..).unwrap_or_default()) {
        *slot = b;
    }
    (chunk, there)
}

/// The offset of the first byte that is of that class, else the length.
#[inline(always)]
pub(super) fn find(bytes: &[u8], class: impl Fn(&Chunk) -> u32) -> usize {
    let (chunks, rest) = bytes.as_chunks::<16>();
    let mut at = 0_usize;
    for chunk in chunks {
        let found = class(chunk);
        if found != 0 {
            return at.wrapping_add(found.trailing_zeros() as usize);
        }
        at = at.wrapping_add(16);
    }
    if rest.is_empty() {
        return at;
    }
    let (chunk, there) = last_chunk(bytes, at);
    // A mark behind the end stops the count there.
    at.wrapping_add((class(&chunk) | !below(there)).trailing_zeros() as usize)
}

#[inline(always)]
fn all(b: u8) -> u8x16 {
    u8x16::new([b; 16])
}

#[inline(always)]
fn is(v: u8x16, b: u8) -> u8x16 {
    v.simd_eq(all(b))
}

#[inline(always)]
fn range(v: u8x16, from: u8, to: u8) -> u8x16 {
    let shifted = v - all(from);
    shifted.min(all(to - from)).simd_eq(shifted)
}

#[inline(always)]
fn letters(v: u8x16) -> u8x16 {
    range(v | all(0x20), b'a', b'z')
}

#[inline(always)]
fn others(v: u8x16) -> u32 {
    v.to_bitmask() ^ 0xffff
}

/// Control characters, HTAB and DEL among them.
#[inline(always)]
pub(super) fn control(chunk: &Chunk) -> u32 {
    let v = u8x16::new(*chunk);
    (range(v, 0, 0x1f) | is(v, 0x7f)).to_bitmask()
}

/// Anything but letters, digits and `-`.
#[inline(always)]
pub(super) fn not_name(chunk: &Chunk) -> u32 {
    let v = u8x16::new(*chunk);
    others(letters(v) | range(v, b'0', b'9') | is(v, b'-'))
}

/// Anything but letters, digits and `- . / _`.
#[inline(always)]
pub(super) fn not_simple_path(chunk: &Chunk) -> u32 {
    let v = u8x16::new(*chunk);
    others(letters(v) | range(v, b'-', b'9') | is(v, b'_'))
}

/// What ends a query, or may not stand in one.
#[inline(always)]
pub(super) fn not_query(chunk: &Chunk) -> u32 {
    let v = u8x16::new(*chunk);
    let refused = is(v & all(0xfe), b'"') | is(v | all(2), b'>');
    others(range(v, 0x21, 0x7e)) | refused.to_bitmask()
}

/// Anything but lower-case letters, digits, `-` and `.`.
#[inline(always)]
pub(super) fn not_plain_host(chunk: &Chunk) -> u32 {
    let v = u8x16::new(*chunk);
    others(range(v, b'a', b'z') | range(v, b'0', b'9') | range(v, b'-', b'.'))
}

/// `.`
#[inline(always)]
pub(super) fn dot(chunk: &Chunk) -> u32 {
    is(u8x16::new(*chunk), b'.').to_bitmask()
}

/// `/`
#[inline(always)]
pub(super) fn slash(chunk: &Chunk) -> u32 {
    is(u8x16::new(*chunk), b'/').to_bitmask()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_of_the_table() {
        use crate::http1::scan::{is_query_byte, is_value_byte};
        for b in 0..=255_u8 {
            let is = |class: fn(&Chunk) -> u32| {
                let marks = class(&[b; 16]);
                assert!(marks == 0 || marks == 0xffff, "{b:#x}");
                marks != 0
            };
            assert_eq!(is(control), !is_value_byte(b) || b == b'\t', "{b:#x}");
            assert_eq!(is(not_name), !(b.is_ascii_alphanumeric() || b == b'-'), "{b:#x}");
            assert_eq!(is(not_simple_path), !(b.is_ascii_alphanumeric() || b"-./_".contains(&b)), "{b:#x}");
            assert_eq!(is(not_query), !is_query_byte(b), "{b:#x}");
            let host = b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
            assert_eq!(is(not_plain_host), !host, "{b:#x}");
        }
    }

    #[test]
    fn find_sees_every_place_of_every_length() {
        for len in 0..50 {
            for place in 0..=len {
                let mut text = vec![b'a'; len];
                if place < len {
                    text[place] = b'\r';
                }
                for at in 0..=place {
                    assert_eq!(find(&text[at..], control), place - at, "{len} {place} {at}");
                }
            }
        }
    }
}
