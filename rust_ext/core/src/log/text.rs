//! Values as text: escaped, cut where they are too long, numbers without the formatting machinery.
//!
//! Bytes that need care are the same for every format: controls, `"`, `\` and everything beyond ASCII.

use std::net::IpAddr;

use crate::http1::write::decimal;
use crate::json;

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

/// Appends a value as a JSON string ([`json::string`]); beyond [`LONGEST`] bytes it is cut.
pub fn json_string(out: &mut Vec<u8>, value: &[u8]) {
    let (value, cut) = shorten(value);
    out.push(b'"');
    json::content(out, value);
    out.extend_from_slice(cut);
    out.push(b'"');
}

/// Appends a value as bare ASCII: `\"`, `\\`, and `\xNN` for controls and everything beyond ASCII.
pub(super) fn plain(out: &mut Vec<u8>, value: &[u8]) {
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
