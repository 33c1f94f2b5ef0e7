//! The authority of a request and its canonical host (RFC 3986 §3.2, RFC 9110 §7.2).

use std::io::Write as _;
use std::net::Ipv6Addr;

use super::scan::is_host_byte;
use super::{Reason, Span, simd};

/// Where canonical bytes are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Piece {
    pub span: Span,
    /// In the message's own scratch and not in the received bytes.
    pub own: bool,
}

impl Piece {
    #[inline]
    pub fn of<'a>(self, bytes: &'a [u8], scratch: &'a [u8]) -> &'a [u8] {
        self.span.of(if self.own { scratch } else { bytes })
    }
}

/// The longest host name (RFC 1035 §2.3.4, with the dots).
const MAX_NAME: usize = 253;

/// Judges `host [":" port]` and gives the canonical host: lower case, no port, no trailing dot, IPv6 in brackets.
pub(super) fn canonical(bytes: &[u8], authority: Span, scratch: &mut Vec<u8>) -> Result<Piece, Reason> {
    let text = authority.of(bytes);
    // The usual host: up to sixteen plain bytes with single dots inside, no port.
    let start = authority.start as usize;
    let (stops, _) = simd::marks(bytes, start, simd::not_plain_host);
    let len = text.len();
    if (1..=16).contains(&len) && stops & simd::below(len) == 0 {
        let (dots, _) = simd::marks(bytes, start, simd::dot);
        let ends = 1 | 1_u32 << (len.wrapping_sub(1) & 31);
        let dots = dots & simd::below(len);
        if dots & (dots << 1 | ends) == 0 {
            return Ok(Piece { span: authority, own: false });
        }
    }
    unusual(bytes, authority, text, scratch)
}

fn unusual(bytes: &[u8], authority: Span, text: &[u8], scratch: &mut Vec<u8>) -> Result<Piece, Reason> {
    if text.first() == Some(&b'[') {
        return bracketed(text, scratch);
    }
    let mut plain = true;
    let mut after_dot = true;
    let mut end = text.len();
    for (i, &b) in text.iter().enumerate() {
        if !is_host_byte(b) {
            if b != b':' {
                return Err(Reason::HostSyntax);
            }
            port(text.get(i.wrapping_add(1)..).unwrap_or_default())?;
            end = i;
            break;
        }
        if b == b'.' && after_dot {
            return Err(Reason::HostSyntax);
        }
        after_dot = b == b'.';
        plain &= !b.is_ascii_uppercase();
    }
    if after_dot && end > 0 {
        end = end.wrapping_sub(1);
    }
    if end == 0 || end > MAX_NAME {
        return Err(if text.is_empty() { Reason::HostMissing } else { Reason::HostSyntax });
    }
    let start = authority.start as usize;
    debug_assert!(authority.end() <= bytes.len());
    if plain {
        return Ok(Piece { span: Span::new(start, start.wrapping_add(end)), own: false });
    }
    let from = scratch.len();
    scratch.extend(text.iter().take(end).map(u8::to_ascii_lowercase));
    Ok(Piece { span: Span::new(from, scratch.len()), own: true })
}

/// `[IPv6]` with an optional port; zones and future forms are refused.
#[cold]
fn bracketed(text: &[u8], scratch: &mut Vec<u8>) -> Result<Piece, Reason> {
    let close = text.iter().position(|&b| b == b']').ok_or(Reason::HostSyntax)?;
    let inner = std::str::from_utf8(text.get(1..close).unwrap_or_default()).map_err(|_| Reason::HostSyntax)?;
    let ip: Ipv6Addr = inner.parse().map_err(|_| Reason::HostSyntax)?;
    match text.get(close.wrapping_add(1)..).unwrap_or_default() {
        [] => {}
        [b':', digits @ ..] => port(digits)?,
        _ => return Err(Reason::HostSyntax),
    }
    let from = scratch.len();
    // Writing to a Vec does not fail.
    let _ = write!(scratch, "[{ip}]");
    Ok(Piece { span: Span::new(from, scratch.len()), own: true })
}

/// 1-65535, without leading zeros.
fn port(digits: &[u8]) -> Result<(), Reason> {
    let fits = !digits.is_empty() && digits.len() <= 5 && digits[0] != b'0' && digits.iter().all(u8::is_ascii_digit);
    let value = digits.iter().fold(0_u32, |v, b| v.wrapping_mul(10).wrapping_add(u32::from(b & 15)));
    if fits && value <= 65535 { Ok(()) } else { Err(Reason::HostPort) }
}
