//! Sixteen bytes at a time, in safe code: plain loops over an array, of a shape that compilers turn into vector
//! instructions.

/// Sixteen bytes of a message.
type Chunk = [u8; 16];

/// A byte a byte: 0xff where a class holds, the first byte lowest.
pub(super) type Marks = u128;

/// How many bytes stand before the first mark; 16 without one.
#[inline(always)]
pub(super) fn before(marks: Marks) -> usize {
    let (low, high) = (marks as u64, (marks >> 64) as u64);
    let (word, skipped) = if low == 0 { (high, 8) } else { (low, 0) };
    (word.trailing_zeros() as usize / 8).wrapping_add(skipped)
}

/// Marks on the first `n` bytes, at most 15.
#[inline(always)]
pub(super) fn below(n: usize) -> Marks {
    (1_u128 << (8 * (n & 15))).wrapping_sub(1)
}

/// The marks of up to sixteen bytes from `at` on, and how many bytes there are. Behind the end nothing is marked.
#[inline(always)]
pub(super) fn marks(bytes: &[u8], at: usize, class: fn(&Chunk) -> Marks) -> (Marks, usize) {
    match bytes.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        Some(chunk) => (class(chunk), 16),
        None => marks_at_end(bytes, at, class),
    }
}

#[inline(never)]
fn marks_at_end(bytes: &[u8], at: usize, class: fn(&Chunk) -> Marks) -> (Marks, usize) {
    let there = bytes.len().saturating_sub(at) & 15;
    let mut chunk = [0; 16];
    if let Some(last) = bytes.last_chunk::<16>() {
        chunk = (u128::from_le_bytes(*last) >> (8 * (16_usize.wrapping_sub(there) & 15))).to_le_bytes();
    } else {
        for (slot, &b) in chunk.iter_mut().zip(bytes.get(at..).unwrap_or_default()) {
            *slot = b;
        }
    }
    (class(&chunk) & below(there), there)
}

#[inline(always)]
fn each(chunk: &Chunk, class: impl Fn(u8) -> bool) -> Marks {
    let mut out = [0_u8; 16];
    for (slot, &b) in out.iter_mut().zip(chunk) {
        *slot = if class(b) { 0xff } else { 0 };
    }
    Marks::from_le_bytes(out)
}

/// The offset of the first byte from `at` on that is of that class, else the length.
#[inline(always)]
pub(super) fn find(bytes: &[u8], mut at: usize, class: fn(&Chunk) -> Marks) -> usize {
    loop {
        let (found, there) = marks(bytes, at, class);
        if found != 0 {
            return at.wrapping_add(before(found));
        }
        at = at.wrapping_add(there);
        if there < 16 {
            return at;
        }
    }
}

#[inline(always)]
fn range(b: u8, from: u8, to: u8) -> bool {
    b.wrapping_sub(from) <= to - from
}

// Each is a function of its own, not inlined: only so does the compiler keep the vector form.

/// Control characters, HTAB and DEL among them.
#[inline(never)]
pub(super) fn control(chunk: &Chunk) -> Marks {
    each(chunk, |b| (b < 0x20) | (b == 0x7f))
}

/// Anything but letters and `-`.
#[inline(never)]
pub(super) fn not_letter(chunk: &Chunk) -> Marks {
    each(chunk, |b| !(range(b | 0x20, b'a', b'z') | (b == b'-')))
}

/// Anything but letters, digits and `- . / _`.
#[inline(never)]
pub(super) fn not_simple_path(chunk: &Chunk) -> Marks {
    each(chunk, |b| !(range(b | 0x20, b'a', b'z') | range(b, b'-', b'9') | (b == b'_')))
}

/// What ends a query, or may not stand in one.
#[inline(never)]
pub(super) fn not_query(chunk: &Chunk) -> Marks {
    each(chunk, |b| !range(b, 0x21, 0x7e) | (b & 0xfe == b'"') | (b | 2 == b'>'))
}

/// Anything but lower-case letters, digits, `-` and `.`.
#[inline(never)]
pub(super) fn not_plain_host(chunk: &Chunk) -> Marks {
    each(chunk, |b| !(range(b, b'a', b'z') | range(b, b'0', b'9') | range(b, b'-', b'.')))
}

/// `.`
#[inline(never)]
pub(super) fn dot(chunk: &Chunk) -> Marks {
    each(chunk, |b| b == b'.')
}

/// `/`
#[inline(never)]
pub(super) fn slash(chunk: &Chunk) -> Marks {
    each(chunk, |b| b == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_of_the_table() {
        use crate::http1::scan::{is_query_byte, is_value_byte};
        for b in 0..=255_u8 {
            let is = |class: fn(&Chunk) -> Marks| {
                let marks = class(&[b; 16]);
                assert!(marks == 0 || marks == Marks::MAX);
                marks != 0
            };
            assert_eq!(is(control), !is_value_byte(b) || b == b'\t', "{b:#x}");
            assert_eq!(is(not_letter), !(b.is_ascii_alphabetic() || b == b'-'), "{b:#x}");
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
                    assert_eq!(find(&text, at, control), place, "{len} {place} {at}");
                }
            }
        }
    }
}
