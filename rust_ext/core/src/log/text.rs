//! Values as text: escaped, cut where they are too long, numbers without the formatting machinery.
//!
//! Bytes that need care are the same for every format: controls, `"`, `\` and everything beyond ASCII.

use std::net::IpAddr;

use crate::http1::write::decimal;

/// Bytes of a value that a line shows; what is longer is cut and ends in `[cut]`.
pub const LONGEST: usize = 8 * 1024;

/// What stands behind a value that was cut.
const CUT: &[u8] = b"[cut]";

const HEX: &[u8; 16] = b"0123456789abcdef";

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// JSON values; what is not there is `null`.
    Json,
    /// Bare text, `\"`, `\\` and `\xNN`; what is not there is `-`.
    Plain,
}

const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Whether one of eight bytes needs care. The borrow and carry between bytes can only add to a finding that is there.
fn needs_care(word: u64) -> bool {
    let zero = |word: u64| word.wrapping_sub(each(1)) & !word;
    let control = word.wrapping_sub(each(0x20)) & !word;
    let high = word | word.wrapping_add(each(1));
    (control | high | zero(word ^ each(b'"')) | zero(word ^ each(b'\\'))) & each(0x80) != 0
}

fn byte_needs_care(byte: u8) -> bool {
    !(0x20..0x7f).contains(&byte) || byte == b'"' || byte == b'\\'
}

/// How many bytes at the beginning need no care.
fn plain_len(value: &[u8]) -> usize {
    let (words, _) = value.as_chunks::<8>();
    let clean = words.iter().take_while(|word| !needs_care(u64::from_ne_bytes(**word))).count();
    // What is left of the last word is looked at together with bytes that were looked at already.
    if clean == words.len()
        && let Some(last) = value.last_chunk::<8>()
        && !needs_care(u64::from_ne_bytes(*last))
    {
        return value.len();
    }
    let at = clean * 8;
    at + value[at..].iter().position(|byte| byte_needs_care(*byte)).unwrap_or(value.len() - at)
}

/// Appends a value as a JSON string, quotes included: always one line of valid UTF-8, whatever the bytes are.
///
/// What is not UTF-8 becomes U+FFFD; controls, line separators and marks that change the direction of text are
/// escaped. Beyond [`LONGEST`] bytes the value is cut.
pub fn json_string(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    json_content(out, value);
    out.push(b'"');
}

fn json_content(out: &mut Vec<u8>, value: &[u8]) {
    let (mut value, cut) = shorten(value);
    loop {
        let plain = plain_len(value);
        out.extend_from_slice(&value[..plain]);
        let Some(&byte) = value.get(plain) else { break };
        if byte >= 0x80 {
            unicode(out, &value[plain..]);
            break;
        }
        json_ascii(out, byte);
        value = &value[plain + 1..];
    }
    out.extend_from_slice(cut);
}

fn json_ascii(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0..0x20 | 0x7f => json_unit(out, u16::from(byte)),
        _ => out.push(byte),
    }
}

fn json_unit(out: &mut Vec<u8>, unit: u16) {
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
                '\0'..='\x7f' => json_ascii(out, c as u8),
                '\u{80}'..='\u{9f}'
                | '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}' => json_unit(out, u16::try_from(u32::from(c)).unwrap_or(0xfffd)),
                _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// Appends a value as bare ASCII: `\"`, `\\`, and `\xNN` for controls and everything beyond ASCII.
pub(super) fn plain(out: &mut Vec<u8>, value: &[u8]) {
    let (mut value, cut) = shorten(value);
    loop {
        let len = plain_len(value);
        out.extend_from_slice(&value[..len]);
        let Some(&byte) = value.get(len) else { break };
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            _ => out.extend_from_slice(&[b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]]),
        }
        value = &value[len + 1..];
    }
    out.extend_from_slice(cut);
}

fn shorten(value: &[u8]) -> (&[u8], &'static [u8]) {
    match value.get(..LONGEST) {
        Some(start) if value.len() > LONGEST => (start, CUT),
        _ => (value, b""),
    }
}

/// Appends a text in its style, or what stands for none.
pub(super) fn text(out: &mut Vec<u8>, style: Style, value: Option<&[u8]>) {
    match (style, value) {
        (Style::Json, Some(value)) => json_string(out, value),
        (Style::Json, None) => out.extend_from_slice(b"null"),
        (Style::Plain, Some(value)) if !value.is_empty() => plain(out, value),
        (Style::Plain, _) => out.push(b'-'),
    }
}

/// Appends microseconds as seconds with six decimals.
pub(super) fn seconds(out: &mut Vec<u8>, us: u64) {
    decimal(out, us / 1_000_000);
    let mut rest = *b".000000";
    let mut left = us % 1_000_000;
    for place in rest[1..].iter_mut().rev() {
        *place += u8::try_from(left % 10).unwrap_or(0);
        left /= 10;
    }
    out.extend_from_slice(&rest);
}

/// Appends an address.
pub(super) fn address(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(v4) => {
            for (i, octet) in v4.octets().into_iter().enumerate() {
                if i > 0 {
                    out.push(b'.');
                }
                decimal(out, u64::from(octet));
            }
        }
        // Its text has nothing that needs escaping.
        IpAddr::V6(v6) => out.extend_from_slice(v6.to_string().as_bytes()),
    }
}
