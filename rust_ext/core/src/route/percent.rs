//! Percent-encoding (RFC 3986 §2.1): decoding of path segments and query parts, encoding of rendered values.

/// The value of a hex digit.
pub(super) fn hex(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|d| d as u8)
}

/// The byte that `%XX` at the start of `bytes` stands for.
pub(super) fn triplet(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [b'%', a, b, ..] => Some(hex(*a)? << 4 | hex(*b)?),
        _ => None,
    }
}

/// Whether what follows decodes to two hex digits, so that a `%` before it would decode twice.
pub(super) fn before_hex(raw: &[u8]) -> bool {
    let mut following = segment(raw);
    [following.next(), following.next()].into_iter().all(|b| b.is_some_and(|b| b.is_ascii_hexdigit()))
}

/// Decodes a received path segment up to its `;` (encoded or not) as the canonical path does; `%2F` stays encoded, in
/// upper case.
pub(super) fn segment(raw: &[u8]) -> impl Iterator<Item = u8> {
    Decode { raw, at: 0, keep_slash: true, plus: false }.take_while(|b| *b != b';')
}

/// Decodes a name or value of a query: `+` is a space; a `%` without two hex digits stands for itself.
pub(crate) fn form(raw: &[u8]) -> impl Iterator<Item = u8> {
    Decode { raw, at: 0, keep_slash: false, plus: true }
}

struct Decode<'a> {
    raw: &'a [u8],
    at: usize,
    keep_slash: bool,
    plus: bool,
}

impl Iterator for Decode<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let byte = *self.raw.get(self.at)?;
        // The `f` of a kept `%2f`: two bytes after a `%` that was handed out as it is.
        if byte == b'f' && self.keep_slash && self.at >= 2 && &self.raw[self.at - 2..self.at] == b"%2" {
            self.at += 1;
            return Some(b'F');
        }
        match triplet(&self.raw[self.at..]) {
            Some(decoded) if !(self.keep_slash && decoded == b'/') => {
                self.at += 3;
                Some(decoded)
            }
            _ => {
                self.at += 1;
                Some(if self.plus && byte == b'+' { b' ' } else { byte })
            }
        }
    }
}

/// Which bytes stay as they are in a rendered value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// A decoded path: what a segment may hold (RFC 3986 §3.3) but `;`, and `/`; a kept `%2F` stays.
    Path,
    /// A received path: the same, `;` and percent-encodings too.
    RawPath,
    /// A received query: what a query may hold (RFC 3986 §3.4), percent-encodings too.
    RawQuery,
    /// One value inside a query or a fragment: unreserved characters and `/`.
    Component,
}

/// Writes `value` with everything percent-encoded that may not stand there; what comes out is printable ASCII.
pub(super) fn encode(out: &mut Vec<u8>, value: &[u8], keep: Keep) {
    for (i, &byte) in value.iter().enumerate() {
        let as_is = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => true,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@' => {
                keep != Keep::Component
            }
            b';' => matches!(keep, Keep::RawPath | Keep::RawQuery),
            b'?' => keep == Keep::RawQuery,
            b'%' => match keep {
                Keep::RawPath | Keep::RawQuery => triplet(&value[i..]).is_some(),
                Keep::Path => triplet(&value[i..]) == Some(b'/'),
                Keep::Component => false,
            },
            _ => false,
        };
        if as_is {
            out.push(byte);
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            out.extend_from_slice(&[b'%', HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment_of(raw: &str) -> Vec<u8> {
        segment(raw.as_bytes()).collect()
    }

    #[test]
    fn segments_decode_once_and_keep_an_encoded_slash() {
        assert_eq!(segment_of("%61pi"), b"api");
        assert_eq!(segment_of("a%2fb%2Fc"), b"a%2Fb%2Fc");
        assert_eq!(segment_of("a;b%2f"), b"a");
        assert_eq!(segment_of("a%3bb"), b"a");
        assert_eq!(segment_of("100%25"), b"100%");
        assert_eq!(segment_of("+"), b"+");
    }

    #[test]
    fn forms_decode_plus_and_leave_bad_encodings() {
        assert_eq!(form(b"a+b%20c%2f").collect::<Vec<_>>(), b"a b c/");
        assert_eq!(form(b"%zz%4").collect::<Vec<_>>(), b"%zz%4");
    }

    #[test]
    fn encoding_leaves_printable_ascii_only() {
        let every: Vec<u8> = (0..=255).collect();
        for keep in [Keep::Path, Keep::RawPath, Keep::RawQuery, Keep::Component] {
            let mut out = Vec::new();
            encode(&mut out, &every, keep);
            assert!(out.iter().all(u8::is_ascii_graphic));
            assert!(!out.contains(&b'\\') && !out.contains(&b'"') && !out.contains(&b'#'));
        }
        let mut out = Vec::new();
        encode(&mut out, b"a%2Fb 100%;?%41", Keep::Path);
        assert_eq!(out, b"a%2Fb%20100%25%3B%3F%2541");
    }
}
