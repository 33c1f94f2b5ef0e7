//! JSON strings (RFC 8259 §7) from any bytes; a run that needs no escape is one copy.

use crate::http1::simd::{Chunk, find, not_shown};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends the first `len` bytes of an array.
#[inline(always)]
pub(crate) fn put<const N: usize>(out: &mut Vec<u8>, bytes: &[u8; N], len: usize) {
    let end = out.len().wrapping_add(len);
    out.extend_from_slice(bytes);
    out.truncate(end);
}

/// At most sixteen bytes, filled up with zeros.
#[inline(always)]
pub(crate) fn gathered(value: &[u8]) -> Chunk {
    let len = value.len();
    let (low, high) = if let (Some(first), Some(last)) = (value.first_chunk::<8>(), value.last_chunk::<8>()) {
        // What both have is the same: the second is moved to where it belongs.
        let missing = u32::try_from(16_usize.wrapping_sub(len)).unwrap_or(0);
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last).checked_shr(missing.wrapping_mul(8)).unwrap_or(0))
    } else if let (Some(first), Some(last)) = (value.first_chunk::<4>(), value.last_chunk::<4>()) {
        let last = u64::from(u32::from_le_bytes(*last)) << (len.wrapping_sub(4).wrapping_mul(8) & 63);
        (u64::from(u32::from_le_bytes(*first)) | last, 0)
    } else {
        let byte = |at: usize| u64::from(value.get(at).copied().unwrap_or(0));
        (byte(0) | byte(1) << 8 | byte(2) << 16, 0)
    };
    (u128::from(low) | u128::from(high) << 64).to_le_bytes()
}

/// Appends a value that needs no care; one that does is left alone and `false` returned. Long ones may be left too.
#[inline(always)]
pub(crate) fn put_plain(out: &mut Vec<u8>, value: &[u8]) -> bool {
    let len = value.len();
    if len <= 16 {
        let chunk = gathered(value);
        if not_shown(&chunk) & (1_u32 << (len & 31)).wrapping_sub(1) != 0 {
            return false;
        }
        put(out, &chunk, len);
        return true;
    }
    match (value.first_chunk::<16>(), value.last_chunk::<16>()) {
        (Some(first), Some(last)) if len <= 32 && not_shown(first) | not_shown(last) == 0 => {
            put(out, first, len.wrapping_sub(16));
            out.extend_from_slice(last);
            true
        }
        _ => false,
    }
}

/// How many bytes at the beginning need no care: neither controls nor `"`, `\` or anything beyond ASCII.
pub(crate) fn plain_len(value: &[u8]) -> usize {
    find(value, 0, not_shown)
}

/// Appends a value as a JSON string, quotes included: always one line of valid UTF-8, whatever the bytes are.
///
/// What is not UTF-8 becomes U+FFFD; controls, line separators and marks that change the direction of text are escaped.
pub fn string(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    content(out, value);
    out.push(b'"');
}

/// Appends what stands between the quotes of [`string`].
pub(crate) fn content(out: &mut Vec<u8>, mut value: &[u8]) {
    loop {
        let plain = plain_len(value);
        out.extend_from_slice(&value[..plain]);
        let Some(&byte) = value.get(plain) else { break };
        if byte >= 0x80 {
            unicode(out, &value[plain..]);
            break;
        }
        ascii(out, byte);
        value = &value[plain + 1..];
    }
}

fn ascii(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0..0x20 | 0x7f => unit(out, u16::from(byte)),
        _ => out.push(byte),
    }
}

fn unit(out: &mut Vec<u8>, unit: u16) {
    out.extend_from_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        out.push(HEX[usize::from(unit >> shift & 0xf)]);
    }
}

#[cold]
fn unicode(out: &mut Vec<u8>, value: &[u8]) {
    for chunk in value.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\0'..='\x7f' => ascii(out, c as u8),
                '\u{80}'..='\u{9f}'
                | '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}' => unit(out, u16::try_from(u32::from(c)).unwrap_or(0xfffd)),
                _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::string;

    fn written(value: &[u8]) -> String {
        let mut out = Vec::new();
        string(&mut out, value);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn what_is_escaped() {
        for (value, expected) in [
            (&b""[..], r#""""#),
            (b"plain text of more than eight bytes", r#""plain text of more than eight bytes""#),
            (b"a\"b\\c\nd\re\tf\0\x7f", r#""a\"b\\c\nd\re\tf\u0000\u007f""#),
            ("é \u{2028}\u{202e}\u{85}".as_bytes(), r#""é \u2028\u202e\u0085""#),
            (b"a\xffb", "\"a\u{fffd}b\""),
        ] {
            assert_eq!(written(value), expected);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_back_as_the_text_they_are(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = written(&value);
            prop_assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte) || byte >= 0x80));
            let read: String = serde_json::from_str(&text).expect("JSON");
            prop_assert_eq!(read, String::from_utf8_lossy(&value));
        }
    }
}
