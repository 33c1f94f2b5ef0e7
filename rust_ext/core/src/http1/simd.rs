//! Sixteen bytes at a time: each class gives a bit a byte, the first byte lowest.

use wide::{i8x16, u8x16};

/// Sixteen bytes of a message.
pub(crate) type Chunk = [u8; 16];

/// The marks of up to sixteen bytes from `at` on, and how many bytes there are. Behind the end nothing is marked.
#[inline(always)]
pub(super) fn marks<const N: usize>(bytes: &[u8], at: usize, class: impl Fn(&Chunk) -> [u32; N]) -> ([u32; N], usize) {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.first_chunk::<16>() {
        Some(chunk) => (class(chunk), 16),
        None => (last_marks(bytes, rest.len(), class), rest.len()),
    }
}

/// Bits of the first `n` bytes, at most 31.
#[inline(always)]
pub(super) fn below(n: usize) -> u32 {
    (1_u32 << (n & 31)).wrapping_sub(1)
}

/// The marks of the last `there` bytes, fewer than sixteen: those of the last sixteen, shifted.
#[inline(always)]
fn last_marks<const N: usize>(bytes: &[u8], there: usize, class: impl Fn(&Chunk) -> [u32; N]) -> [u32; N] {
    match bytes.last_chunk::<16>() {
        Some(chunk) => class(chunk).map(|marks| marks >> (16_usize.wrapping_sub(there) & 31)),
        None => class(&padded(bytes, there)).map(|marks| marks & below(there)),
    }
}

/// The last `there` bytes of fewer than sixteen, filled up with zeros.
#[cold]
fn padded(bytes: &[u8], there: usize) -> Chunk {
    let mut chunk = [0; 16];
    for (slot, &b) in chunk.iter_mut().zip(bytes.iter().skip(bytes.len().saturating_sub(there))) {
        *slot = b;
    }
    chunk
}

/// The offset of the first byte from `from` on that is of that class, else the length.
#[inline(always)]
pub(crate) fn find(bytes: &[u8], from: usize, class: impl Fn(&Chunk) -> u32) -> usize {
    let mut rest = bytes.get(from..).unwrap_or_default();
    while let Some((chunk, after)) = rest.split_first_chunk::<16>() {
        let found = class(chunk);
        if found != 0 {
            return bytes.len().wrapping_sub(rest.len()).wrapping_add(found.trailing_zeros() as usize);
        }
        rest = after;
    }
    let [found] = last_marks(bytes, rest.len(), |chunk| [class(chunk)]);
    match found {
        0 => bytes.len(),
        _ => bytes.len().wrapping_sub(rest.len()).wrapping_add(found.trailing_zeros() as usize),
    }
}

/// The offset in `text` of the first byte that is of that class, else one behind its end. `last` are the sixteen bytes
/// that end where `text` ends, and may begin before it.
#[inline(always)]
pub(super) fn seek(text: &[u8], last: &Chunk, class: impl Fn(&Chunk) -> u32) -> usize {
    let mut rest = text;
    let found = loop {
        let Some((chunk, after)) = rest.split_first_chunk::<16>() else {
            break class(last) >> (16_usize.wrapping_sub(rest.len()) & 31);
        };
        let found = class(chunk);
        if found != 0 {
            break found;
        }
        rest = after;
    };
    text.len().wrapping_sub(rest.len()).wrapping_add(found.trailing_zeros() as usize)
}

#[inline(always)]
fn all(b: u8) -> u8x16 {
    u8x16::new([b; 16])
}

#[inline(always)]
fn is(v: u8x16, b: u8) -> u8x16 {
    v.simd_eq(all(b))
}

/// One signed comparison: the range is moved to the lowest values.
#[inline(always)]
fn range(v: u8x16, from: u8, to: u8) -> u8x16 {
    let moved = v + all(0x80_u8.wrapping_sub(from));
    let above = i8x16::new([(to - from).wrapping_add(0x81).cast_signed(); 16]);
    moved.cast_signed().simd_lt(above).cast_unsigned()
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
    (v.min(all(0x1f)).simd_eq(v) | is(v, 0x7f)).to_bitmask()
}

/// What text in a log must not show as it is: controls, `"`, `\`, and everything beyond ASCII.
#[inline(always)]
pub(crate) fn not_shown(chunk: &Chunk) -> u32 {
    let v = u8x16::new(*chunk);
    others(range(v, 0x20, 0x7e)) | (is(v, b'"') | is(v, b'\\')).to_bitmask()
}

/// Anything but letters, digits and `-`.
#[inline(always)]
pub(super) fn not_name(chunk: &Chunk) -> u32 {
    let v = u8x16::new(*chunk);
    others(letters(v) | range(v, b'0', b'9') | is(v, b'-'))
}

/// Anything but letters, digits and `- . / _`; `/`; `.`
#[inline(always)]
pub(super) fn path(chunk: &Chunk) -> [u32; 3] {
    let v = u8x16::new(*chunk);
    let stops = others(letters(v) | range(v, b'-', b'9') | is(v, b'_'));
    [stops, is(v, b'/').to_bitmask(), is(v, b'.').to_bitmask()]
}

/// What ends a query, or may not stand in one.
#[inline(always)]
pub(super) fn not_query(chunk: &Chunk) -> u32 {
    let v = u8x16::new(*chunk);
    let refused = is(v & all(0xfe), b'"') | is(v | all(2), b'>');
    others(range(v, 0x21, 0x7e)) | refused.to_bitmask()
}

/// Anything but lower-case letters, digits, `-` and `.`; `.`
#[inline(always)]
pub(super) fn plain_host(chunk: &Chunk) -> [u32; 2] {
    let v = u8x16::new(*chunk);
    let stops = others(range(v, b'a', b'z') | range(v, b'0', b'9') | range(v, b'-', b'.'));
    [stops, is(v, b'.').to_bitmask()]
}

/// The low halves of the bytes of `first` and `second` as hex digits, by turns.
#[inline(always)]
pub(super) fn hex(first: Chunk, second: Chunk) -> (Chunk, Chunk) {
    let digits = |nibbles: Chunk| {
        let n = u8x16::new(nibbles) & all(0x0f);
        // 10-15 need another 39 to become a-f.
        let letters = n.cast_signed().simd_gt(i8x16::new([9; 16])).cast_unsigned() & all(39);
        n + all(b'0') + letters
    };
    let (first, second) = (digits(first), digits(second));
    (u8x16::unpack_low(first, second).to_array(), u8x16::unpack_high(first, second).to_array())
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
            assert_eq!(is(not_shown), !(b' '..=b'~').contains(&b) || b == b'"' || b == b'\\', "{b:#x}");
            assert_eq!(is(not_name), !(b.is_ascii_alphanumeric() || b == b'-'), "{b:#x}");
            assert_eq!(is(|c| path(c)[0]), !(b.is_ascii_alphanumeric() || b"-./_".contains(&b)), "{b:#x}");
            assert_eq!(is(not_query), !is_query_byte(b), "{b:#x}");
            let host = b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
            assert_eq!(is(|c| plain_host(c)[0]), !host, "{b:#x}");
            assert_eq!((is(|c| path(c)[1]), is(|c| path(c)[2])), (b == b'/', b == b'.'), "{b:#x}");
            assert_eq!(is(|c| plain_host(c)[1]), b == b'.', "{b:#x}");
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
                    assert_eq!(find(&text[at..], 0, control), place - at, "{len} {place} {at}");
                }
            }
        }
    }
}
