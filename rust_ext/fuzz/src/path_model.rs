//! The canonical path by a slow model of its own: segments as lists of characters, nothing in place.

use fastgate_core::snapshot::EncodedSlash;

/// One decoded character of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte(u8),
    /// `%2F` where a listener keeps it.
    Slash,
}

/// Whether a path may hold the byte as it stands.
fn is_path_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%[]|".contains(&b)
}

/// Whether a query may hold it.
fn is_query_byte(b: u8) -> bool {
    is_path_byte(b) || b"?{}^\\`".contains(&b)
}

/// Whether an origin-form target has only bytes that may stand in one; where the path ends.
pub fn path_length(target: &[u8]) -> Option<usize> {
    if target.first() != Some(&b'/') {
        return None;
    }
    let end = target.iter().position(|b| *b == b'?').unwrap_or(target.len());
    let (path, query) = target.split_at(end);
    let fine = path.iter().all(|b| is_path_byte(*b)) && query.iter().all(|b| is_query_byte(*b));
    fine.then_some(end)
}

/// The canonical form of a path that begins with `/`; `None` where it must be refused.
pub fn canonical(raw: &[u8], slash: EncodedSlash) -> Option<Vec<u8>> {
    let mut kept = Vec::new();
    let mut trailing = false;
    for segment in raw.split(|b| *b == b'/').skip(1) {
        let units = decoded(segment, slash)?;
        if has_dots(&units) {
            return None;
        }
        let text = text(&units);
        trailing = text.is_empty();
        if !trailing {
            kept.push(text);
        }
    }
    let mut out = Vec::new();
    for segment in &kept {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    if trailing || out.is_empty() {
        out.push(b'/');
    }
    Some(out)
}

/// The path without its dot segments (RFC 3986 §5.2.4); `None` where it must be refused.
pub fn resolved(raw: &[u8], slash: EncodedSlash) -> Option<Vec<u8>> {
    let segments: Vec<&[u8]> = raw.split(|b| *b == b'/').skip(1).collect();
    let mut stack: Vec<&[u8]> = Vec::new();
    for (i, segment) in segments.iter().enumerate() {
        let units = decoded(segment, slash)?;
        if !has_dots(&units) {
            stack.push(segment);
            continue;
        }
        match text(&units).as_slice() {
            b"." => {}
            b".." => {
                stack.pop();
            }
            _ => return None,
        }
        if i + 1 == segments.len() {
            stack.push(b"");
        }
    }
    Some(stack.iter().flat_map(|s| std::iter::once(&b'/').chain(*s)).copied().collect())
}

/// A canonical path as a target that decodes to it.
pub fn encoded(canonical: &[u8], slash: EncodedSlash) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, &b) in canonical.iter().enumerate() {
        let kept = slash == EncodedSlash::Keep && canonical[i..].starts_with(b"%2F");
        if b.is_ascii_alphanumeric() || b == b'/' || kept {
            out.push(b);
        } else {
            out.extend_from_slice(format!("%{b:02X}").as_bytes());
        }
    }
    out
}

/// What no canonical path may hold, whatever was sent.
pub fn is_clean(path: &[u8], slash: EncodedSlash) {
    let shown = path.escape_ascii();
    assert_eq!(path.first(), Some(&b'/'), "{shown} does not begin with a slash");
    assert!(std::str::from_utf8(path).is_ok(), "{shown} is not UTF-8");
    assert!(!path.iter().any(|b| b.is_ascii_control() || *b == b'\\' || *b == b';'), "{shown} holds a forbidden byte");
    assert!(!path.windows(2).any(|w| w == b"//"), "{shown} holds an empty segment");
    assert!(!path.split(|b| *b == b'/').any(|s| s == b"." || s == b".."), "{shown} holds a dot segment");
    for (i, w) in path.windows(3).enumerate() {
        let triplet = w[0] == b'%' && w[1].is_ascii_hexdigit() && w[2].is_ascii_hexdigit();
        assert!(!triplet || (slash == EncodedSlash::Keep && w == b"%2F"), "{shown} decodes twice at {i}");
    }
}

fn decoded(segment: &[u8], slash: EncodedSlash) -> Option<Vec<Unit>> {
    let mut units = Vec::new();
    let mut rest = segment.iter().copied();
    while let Some(b) = rest.next() {
        if b != b'%' {
            units.push(Unit::Byte(b));
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let value = u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?;
        units.push(match value {
            b'/' if slash == EncodedSlash::Refuse => return None,
            b'/' => Unit::Slash,
            b'\\' => return None,
            v if v.is_ascii_control() => return None,
            v => Unit::Byte(v),
        });
    }
    // A kept slash breaks both a character and a triplet.
    let bytes: Vec<u8> = units.iter().map(|u| if let Unit::Byte(b) = u { *b } else { b'/' }).collect();
    let twice = bytes.windows(3).any(|w| w[0] == b'%' && w[1].is_ascii_hexdigit() && w[2].is_ascii_hexdigit());
    (std::str::from_utf8(&bytes).is_ok() && !twice).then_some(units)
}

/// Whether any part between kept slashes is a dot segment, its parameters cut.
fn has_dots(units: &[Unit]) -> bool {
    units.split(|u| *u == Unit::Slash).any(|part| {
        let name = part.split(|u| *u == Unit::Byte(b';')).next().unwrap_or_default();
        name == [Unit::Byte(b'.')] || name == [Unit::Byte(b'.'); 2]
    })
}

/// The segment for matching: up to its `;`.
fn text(units: &[Unit]) -> Vec<u8> {
    let name = units.split(|u| *u == Unit::Byte(b';')).next().unwrap_or_default();
    name.iter().flat_map(|u| if let Unit::Byte(b) = u { vec![*b] } else { b"%2F".to_vec() }).collect()
}
