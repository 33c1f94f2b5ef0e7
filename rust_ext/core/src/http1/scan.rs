//! Byte classes and word-at-a-time scanning, in safe code.

const ONES: u64 = u64::MAX / 255;
const HIGH: u64 = ONES << 7;
const LOW7: u64 = !HIGH;

/// `tchar` of RFC 9110 §5.6.2.
const TOKEN: u8 = 1;
/// Allowed in a path as it stands: `pchar` and `/` of RFC 3986 §3.3, and `[ ] |`, which browsers send.
const PATH: u8 = 2;
/// Allowed in a query: the path's, `?`, and `{ } ^ \` and the backtick, which browsers send.
const QUERY: u8 = 4;
/// Letters, digits, `-`, `.`, `_`: what a host name is made of here.
const HOST: u8 = 8;
/// Allowed in a field value (RFC 9110 §5.5): HTAB, SP, VCHAR, obs-text.
const VALUE: u8 = 16;
/// `A-Z 0-9 - _`: what a method is made of here.
const METHOD: u8 = 32;
/// In a path: `%` and `;`, after which its canonical form differs from the received one.
const COMPLEX: u8 = 64;
/// Letters, digits and `-`: the usual field name.
const NAME: u8 = 128;

const CLASS: [u8; 256] = {
    let mut table = [0_u8; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        let mut class = 0;
        let alnum = b.is_ascii_alphanumeric();
        if alnum || contains(b"!#$%&'*+-.^_`|~", b) {
            class |= TOKEN;
        }
        if alnum || contains(b"-._~!$&'()*+,;=:@/%[]|", b) {
            class |= PATH | QUERY;
        }
        if contains(b"?{}^\\`", b) {
            class |= QUERY;
        }
        if alnum || contains(b"-._", b) {
            class |= HOST;
        }
        if b == b'\t' || (b >= 0x20 && b != 0x7f) {
            class |= VALUE;
        }
        if b.is_ascii_uppercase() || b.is_ascii_digit() || contains(b"-_", b) {
            class |= METHOD;
        }
        if contains(b"%;", b) {
            class |= COMPLEX;
        }
        if alnum || b == b'-' {
            class |= NAME;
        }
        table[i] = class;
        i += 1;
    }
    table
};

const fn contains(set: &[u8], b: u8) -> bool {
    let mut i = 0;
    while i < set.len() {
        if set[i] == b {
            return true;
        }
        i += 1;
    }
    false
}

#[inline]
fn has(b: u8, class: u8) -> bool {
    CLASS[b as usize] & class != 0
}

#[inline]
pub(super) fn is_token_byte(b: u8) -> bool {
    has(b, TOKEN)
}

#[inline]
pub(super) fn is_path_byte(b: u8) -> bool {
    has(b, PATH)
}

/// A path byte, or `%` or `;` besides.
#[inline]
pub(super) fn is_complex_byte(b: u8) -> bool {
    has(b, COMPLEX)
}

#[inline]
pub(super) fn is_query_byte(b: u8) -> bool {
    has(b, QUERY)
}

#[inline]
pub(super) fn is_host_byte(b: u8) -> bool {
    has(b, HOST)
}

#[inline]
pub(super) fn is_value_byte(b: u8) -> bool {
    has(b, VALUE)
}

#[inline]
pub(super) fn is_method_byte(b: u8) -> bool {
    has(b, METHOD)
}

#[inline]
pub(super) fn is_name_byte(b: u8) -> bool {
    has(b, NAME)
}

/// Whether all of it is one token (RFC 9110 §5.6.2).
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&b| is_token_byte(b))
}

/// The value of a hex digit.
pub(super) fn hex(b: u8) -> Option<u8> {
    match b {
        b'0'..=b'9' => Some(b.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(b.wrapping_sub(b'a' - 10)),
        b'A'..=b'F' => Some(b.wrapping_sub(b'A' - 10)),
        _ => None,
    }
}

/// Without the white space (SP, HTAB) around it.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Eight bytes from `at` on, the first one lowest.
#[inline]
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk::<8>()?))
}

/// The high bit of each byte that is a control character or DEL; exact up to the first such byte.
#[inline]
fn controls(w: u64) -> u64 {
    let low = w.wrapping_sub(ONES * 0x20);
    let del = (w ^ (ONES * 0x7f)).wrapping_sub(ONES);
    (low | del) & !w & HIGH
}

/// The offset of the first byte from `at` on that may not stand in a field value, else the length.
#[inline]
pub(super) fn value_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        while let Some(w) = word(bytes, at) {
            let found = controls(w);
            if found != 0 {
                at = at.wrapping_add(found.trailing_zeros() as usize / 8);
                break;
            }
            at = at.wrapping_add(8);
        }
        match bytes.get(at) {
            Some(&b) if is_value_byte(b) => at = at.wrapping_add(1),
            _ => return at,
        }
    }
}

/// Lower case for letters; leaves `-` as it is.
#[inline]
pub(super) fn lower(w: u64) -> u64 {
    w | (ONES * 0x20)
}

/// The high bit of each byte that is neither a letter nor `-`; exact for every byte.
#[inline]
pub(super) fn not_letters(w: u64) -> u64 {
    let low = lower(w) & LOW7;
    let letter = low.wrapping_add(ONES * 0x1f) & !low.wrapping_add(ONES * 0x05);
    let other = w ^ (ONES * 0x2d);
    let dash = !((other & LOW7).wrapping_add(LOW7) | other);
    !((letter & !w) | dash) & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_agree_with_the_tables_for_every_byte_at_every_place() {
        for b in 0..=255_u8 {
            for place in 0..8 {
                let mut chunk = *b"abcdefgh";
                chunk[place] = b;
                let expected = if b.is_ascii_alphabetic() || b == b'-' { 0 } else { 0x80_u64 << (8 * place) };
                assert_eq!(not_letters(u64::from_le_bytes(chunk)), expected, "{b:#x} at {place}");
                let mut text = *b"abcdefghabcdefghabcdefgh";
                text[place + 5] = b;
                let end = if is_value_byte(b) { text.len() } else { place + 5 };
                assert_eq!(value_end(&text, 0), end, "{b:#x} at {place}");
            }
        }
    }
}
