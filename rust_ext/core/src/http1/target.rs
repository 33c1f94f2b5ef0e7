//! The canonical path: what routing, policies and logs decide on.
//!
//! Decoded once, runs of `/` merged, `;…` cut from each segment, case kept. What could be read in two ways is refused.

use super::Reason;
use super::scan::hex;
use crate::snapshot::EncodedSlash;

/// Appends the canonical form of `raw` (which begins with `/`) to `out`.
///
/// # Errors
/// A path that two servers could read in two ways; `out` is then of no use.
pub(super) fn canonical(raw: &[u8], slash: EncodedSlash, out: &mut Vec<u8>) -> Result<(), Reason> {
    let base = out.len();
    let mut trailing = false;
    for segment in raw.split(|&b| b == b'/').skip(1) {
        out.push(b'/');
        let from = out.len();
        if decode(segment, slash, out)? {
            return Err(Reason::PathDotSegment);
        }
        trailing = out.len() == from;
        if trailing {
            out.pop();
        }
    }
    if trailing || out.len() == base {
        out.push(b'/');
    }
    Ok(())
}

/// Appends one segment, decoded and cut; true for a dot segment. A kept slash stands as `%2F`.
fn decode(segment: &[u8], slash: EncodedSlash, out: &mut Vec<u8>) -> Result<bool, Reason> {
    let from = out.len();
    let mut rest = segment;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let [high, low, tail @ ..] = rest else { return Err(Reason::PathPercent) };
        let (Some(high), Some(low)) = (hex(*high), hex(*low)) else { return Err(Reason::PathPercent) };
        rest = tail;
        match high << 4 | low {
            0..0x20 | 0x7f => return Err(Reason::PathControl),
            b'\\' => return Err(Reason::PathBackslash),
            b'/' if slash == EncodedSlash::Refuse => return Err(Reason::PathSlash),
            // A kept slash is `/` for now: no other byte of a segment can be one.
            b => out.push(b),
        }
    }
    let decoded = out.get(from..).unwrap_or_default();
    if std::str::from_utf8(decoded).is_err() {
        return Err(Reason::PathUtf8);
    }
    if decoded.windows(3).any(|w| w[0] == b'%' && hex(w[1]).is_some() && hex(w[2]).is_some()) {
        return Err(Reason::PathDoubleEncoding);
    }
    // Kept slashes split a segment for whoever decodes it later.
    let dots = decoded.split(|&b| b == b'/').any(is_dots);
    if let Some(cut) = decoded.iter().position(|&b| b == b';') {
        out.truncate(from.wrapping_add(cut));
    }
    expand_slashes(out, from);
    Ok(dots)
}

fn expand_slashes(out: &mut Vec<u8>, mut from: usize) {
    while let Some(at) = out.iter().skip(from).position(|&b| b == b'/') {
        let at = from.wrapping_add(at);
        out.splice(at..at.wrapping_add(1), *b"%2F");
        from = at.wrapping_add(3);
    }
}

fn is_dots(part: &[u8]) -> bool {
    matches!(part.split(|&b| b == b';').next(), Some(b"." | b".."))
}

/// `raw` without its dot segments (RFC 3986 §5.2.4), appended to `out` as received bytes otherwise.
///
/// # Errors
/// As [`canonical`]; a dot segment behind a kept slash is refused still.
pub(super) fn resolve(raw: &[u8], slash: EncodedSlash, out: &mut Vec<u8>) -> Result<(), Reason> {
    let base = out.len();
    let mut decoded = Vec::new();
    let mut segments = raw.split(|&b| b == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        decoded.clear();
        let dots = decode(segment, slash, &mut decoded)?;
        if !dots {
            out.push(b'/');
            out.extend_from_slice(segment);
            continue;
        }
        match decoded.as_slice() {
            b"." => {}
            b".." => {
                let parent = out.get(base..).unwrap_or_default().iter().rposition(|&b| b == b'/').unwrap_or(0);
                out.truncate(base.wrapping_add(parent));
            }
            _ => return Err(Reason::PathDotSegment),
        }
        if segments.peek().is_none() {
            out.push(b'/');
        }
    }
    Ok(())
}
