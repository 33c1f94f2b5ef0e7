//! Byte classes and scanning.

use super::simd;

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

#[cfg(test)]
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

/// The offset of the first byte from `at` on that may not stand in a field value, else the length.
#[inline(always)]
pub(super) fn value_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        at = simd::find(bytes, at, simd::control);
        if bytes.get(at) != Some(&b'\t') {
            return at;
        }
        at = at.wrapping_add(1);
    }
}
