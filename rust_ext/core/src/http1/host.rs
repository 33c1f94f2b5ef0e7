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
#[inline(always)]
pub(super) fn canonical(bytes: &[u8], authority: Span, scratch: &mut Vec<u8>) -> Result<Piece, Reason> {
    let start = authority.start as usize;
    match plain(bytes, start, authority.len as usize) {
        Some(len) => Ok(Piece { span: Span::new(start, start.wrapping_add(len)), own: false }),
        None => unusual(bytes, authority, authority.of(bytes), scratch),
    }
}

/// The length of a usual host: up to 31 plain bytes with single dots inside, and perhaps a port behind them.
#[inline(always)]
fn plain(bytes: &[u8], start: usize, len: usize) -> Option<usize> {
    let ([mut stops, mut dots], _) = simd::marks(bytes, start, simd::plain_host);
    if len > 16 {
        let ([more, more_dots], _) = simd::marks(bytes, start.wrapping_add(16), simd::plain_host);
        (stops, dots) = (stops | more << 16, dots | more_dots << 16);
    }
    if len > 31 {
        return None;
    }
    let mut end = len;
    stops &= simd::below(len);
    if stops != 0 {
        end = stops.trailing_zeros() as usize;
        let [b':', digits @ ..] = bytes.get(start.wrapping_add(end)..start.wrapping_add(len))? else { return None };
        port(digits).ok()?;
    }
    let ends = 1 | 1_u32 << (end.wrapping_sub(1) & 31);
    dots &= simd::below(end);
    (end > 0 && dots & (dots << 1 | ends) == 0).then_some(end)
}

#[inline(never)]
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
    let mut value = 0_u32;
    let mut fits = digits.len() <= 5 && digits.first() != Some(&b'0');
    for &b in digits {
        let digit = b.wrapping_sub(b'0');
        fits &= digit < 10;
        value = value.wrapping_mul(10).wrapping_add(u32::from(digit));
    }
    if fits && (1..=65535).contains(&value) { Ok(()) } else { Err(Reason::HostPort) }
}
