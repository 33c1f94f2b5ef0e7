//! Values as text: escaped, cut where they are too long, numbers without the formatting machinery.
//!
//! Bytes that need care are the same for every format: controls, `"`, `\` and everything beyond ASCII.

use std::net::IpAddr;

use crate::http1::write::ipv4;
use crate::json::{self, gathered, put, put_plain};

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

/// At most 32 bytes of constant text: written with no call, all at once, then what is too much goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Literal {
    bytes: [u8; 32],
    len: usize,
}

impl Literal {
    /// A text in as many literals as it takes: at least one.
    pub(super) fn of(text: &[u8]) -> Vec<Self> {
        let literal = |text: &[u8]| {
            let mut bytes = [0; 32];
            bytes[..text.len()].copy_from_slice(text);
            Self { bytes, len: text.len() }
        };
        if text.is_empty() { vec![literal(text)] } else { text.chunks(32).map(literal).collect() }
    }

    #[inline(always)]
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put(out, &self.bytes, self.len);
    }
}

/// Appends a value as a JSON string ([`json::string`]); beyond [`LONGEST`] bytes it is cut.
pub fn json_string(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    json_content(out, value);
    out.push(b'"');
}

#[inline]
fn json_content(out: &mut Vec<u8>, value: &[u8]) {
    if !put_plain(out, value) {
        json_careful(out, value);
    }
}

#[inline(never)]
fn json_careful(out: &mut Vec<u8>, value: &[u8]) {
    let (value, cut) = shorten(value);
    json::content(out, value);
    out.extend_from_slice(cut);
}

/// Appends a value as bare ASCII: `\"`, `\\`, and `\xNN` for controls and everything beyond ASCII.
#[inline]
pub(super) fn plain(out: &mut Vec<u8>, value: &[u8]) {
    if !put_plain(out, value) {
        plain_careful(out, value);
    }
}

#[inline(never)]
fn plain_careful(out: &mut Vec<u8>, value: &[u8]) {
    let (mut value, cut) = shorten(value);
    loop {
        let len = json::plain_len(value);
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

/// Appends a text in its style, or what stands for none. In JSON the quote before it stands there already.
#[inline]
pub(super) fn text(out: &mut Vec<u8>, style: Style, value: Option<&[u8]>) {
    match (style, value) {
        (Style::Json, Some(value)) => {
            json_content(out, value);
            out.push(b'"');
        }
        (Style::Json, None) => null(out),
        (Style::Plain, Some(value)) if !value.is_empty() => plain(out, value),
        (Style::Plain, _) => out.push(b'-'),
    }
}

/// Puts `null` in the place of the quote before it.
#[inline(always)]
fn null(out: &mut Vec<u8>) {
    out.pop();
    out.extend_from_slice(b"null");
}

/// 00 to 99, each as its two characters.
const PAIRS: [u16; 100] = {
    let mut pairs = [0; 100];
    let mut i = 0;
    while i < 100 {
        pairs[i] = u16::from_le_bytes([b'0' + (i / 10) as u8, b'0' + (i % 10) as u8]);
        i += 1;
    }
    pairs
};

/// The last two decimal digits, the first in the lower byte.
#[inline(always)]
fn pair(number: u32) -> u64 {
    u64::from(PAIRS[(number % 100) as usize])
}

/// The last two decimal digits.
pub(super) fn two(number: u32) -> [u8; 2] {
    let [tens, ones, ..] = pair(number).to_le_bytes();
    [tens, ones]
}

/// Appends a number in decimal.
#[inline]
pub(super) fn number(out: &mut Vec<u8>, number: u64) {
    // In 32 bits the divisions take half.
    if let Ok(number) = u32::try_from(number)
        && number < 10_000
    {
        let zeros =
            usize::from(number < 1_000).wrapping_add(usize::from(number < 100)).wrapping_add(usize::from(number < 10));
        let digits = (pair(number / 100) | pair(number) << 16) >> (zeros.wrapping_mul(8) & 31);
        put(out, &digits.to_le_bytes(), 4_usize.wrapping_sub(zeros));
    } else {
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(number).as_bytes();
        if digits.len() <= 16 {
            put(out, &gathered(digits), digits.len());
        } else {
            out.extend_from_slice(digits);
        }
    }
}

/// Appends microseconds as seconds with six decimals.
#[inline]
pub(super) fn seconds(out: &mut Vec<u8>, us: u64) {
    let decimals = |us: u32| pair(us / 10_000) | pair(us / 100) << 16 | pair(us) << 32;
    if let Ok(us) = u32::try_from(us)
        && us < 1_000_000
    {
        let text = decimals(us) << 16 | u64::from(u16::from_le_bytes(*b"0."));
        out.extend_from_slice(&text.to_le_bytes());
    } else {
        number(out, us / 1_000_000);
        let text = decimals(u32::try_from(us % 1_000_000).unwrap_or(0)) << 8 | u64::from(b'.');
        put(out, &text.to_le_bytes(), 7);
    }
}

/// Appends an address.
#[inline]
pub(super) fn address(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(v4) => ipv4(out, v4.octets()),
        // Its text has nothing that needs escaping.
        IpAddr::V6(v6) => out.extend_from_slice(v6.to_string().as_bytes()),
    }
}
