//! The request line: `METHOD SP TARGET SP VERSION CRLF` (RFC 9112 §3).

use super::field::line_end;
use super::scan::{is_complex_byte, is_method_byte, is_path_byte, is_token_byte, word};
use super::{Method, Reason, RequestRules, Span, Version, simd};

/// A request line as read; the path is not canonical yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestLine {
    pub method: Method,
    pub method_span: Span,
    pub form: Form,
    pub authority: Span,
    /// Empty for an absolute-form without path.
    pub path: Span,
    pub query: Option<Span>,
    pub version: Version,
    /// The canonical path may differ from the received one.
    pub complex: bool,
    pub next: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Origin,
    Absolute,
    Asterisk,
}

const LINE_TAIL: &[u8; 11] = b" HTTP/1.1\r\n";

/// The usual line: a common method, a path of letters, digits and `- . / _` without dot segments, HTTP/1.1.
#[inline(always)]
pub(super) fn tidy(bytes: &[u8], start: usize, rules: &RequestRules) -> Option<RequestLine> {
    let (method, target) = common_method(word(bytes, start)?, start)?;
    if bytes.get(target) != Some(&b'/') {
        return None;
    }
    let (mut at, complex) = path_end(bytes, target);
    let path = Span::new(target, at);
    let mut query = None;
    if bytes.get(at) == Some(&b'?') {
        let from = at.wrapping_add(1);
        at = simd::find(bytes, from, simd::not_query);
        query = Some(Span::new(from, at));
    }
    let next = at.wrapping_add(LINE_TAIL.len());
    let usual = bytes.get(at..).and_then(<[u8]>::first_chunk) == Some(LINE_TAIL);
    if complex || !usual || at.wrapping_sub(target) > rules.uri_bytes || next > rules.head_bytes {
        return None;
    }
    let (method_span, version) = (Span::new(start, target.wrapping_sub(1)), Version::Http11);
    let (form, authority) = (Form::Origin, Span::default());
    Some(RequestLine { method, method_span, form, authority, path, query, version, complex, next })
}

/// Reads the line; `Ok(None)` when it is incomplete.
pub(super) fn read(bytes: &[u8], start: usize, rules: &RequestRules) -> Result<Option<RequestLine>, Reason> {
    let Some((method, target)) = method(bytes, start)? else { return Ok(None) };
    let method_span = Span::new(start, target.wrapping_sub(1));
    let mut at = target;
    let mut authority = Span::default();
    let form = match bytes.get(at) {
        None => return Ok(None),
        Some(b'/') => Form::Origin,
        Some(b'*') => {
            at = at.wrapping_add(1);
            Form::Asterisk
        }
        Some(_) => {
            let Some(found) = absolute(bytes, at)? else { return Ok(None) };
            authority = found;
            at = found.end();
            Form::Absolute
        }
    };
    let from = if form == Form::Asterisk { target } else { at };
    let mut complex = false;
    if form != Form::Asterisk {
        (at, complex) = path_end(bytes, at);
    }
    let path = Span::new(from, at);
    let query = if bytes.get(at) == Some(&b'?') && form != Form::Asterisk {
        let from = at.wrapping_add(1);
        at = simd::find(bytes, from, simd::not_query);
        Some(Span::new(from, at))
    } else {
        None
    };
    match bytes.get(at) {
        None => return Ok(None),
        Some(b' ') => {}
        Some(_) => return bad_target(bytes, at),
    }
    if at.wrapping_sub(target) > rules.uri_bytes {
        return Err(Reason::UriTooLong);
    }
    if form == Form::Asterisk && method != Method::Options {
        return Err(Reason::TargetForm);
    }
    let Some((version, next)) = version(bytes, at.wrapping_add(1))? else { return Ok(None) };
    Ok(Some(RequestLine { method, method_span, form, authority, path, query, version, complex, next }))
}

const fn eight(text: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*text)
}

/// The method of the line that begins with this word, and where the target begins.
#[inline(always)]
fn common_method(w: u64, start: usize) -> Option<(Method, usize)> {
    let four = w & 0xffff_ffff;
    if four == eight(b"GET \0\0\0\0") {
        return Some((Method::Get, start.wrapping_add(4)));
    }
    if four == eight(b"PUT \0\0\0\0") {
        return Some((Method::Put, start.wrapping_add(4)));
    }
    match w & 0xff_ffff_ffff {
        five if five == eight(b"POST \0\0\0") => Some((Method::Post, start.wrapping_add(5))),
        five if five == eight(b"HEAD \0\0\0") => Some((Method::Head, start.wrapping_add(5))),
        _ => None,
    }
}

/// The method and where the target begins.
#[inline]
fn method(bytes: &[u8], start: usize) -> Result<Option<(Method, usize)>, Reason> {
    if let Some(found) = word(bytes, start).and_then(|w| common_method(w, start)) {
        return Ok(Some(found));
    }
    other_method(bytes, start)
}

#[cold]
fn other_method(bytes: &[u8], start: usize) -> Result<Option<(Method, usize)>, Reason> {
    let rest = bytes.get(start..).unwrap_or_default();
    let Some(len) = rest.iter().position(|&b| !is_token_byte(b)) else { return Ok(None) };
    let name = rest.get(..len).unwrap_or_default();
    if rest.get(len) != Some(&b' ') || len == 0 {
        line_end(rest, len, Reason::MethodSyntax)?;
        return Err(Reason::RequestLine);
    }
    let method = match name {
        b"GET" => Method::Get,
        b"PUT" => Method::Put,
        b"POST" => Method::Post,
        b"HEAD" => Method::Head,
        b"PATCH" => Method::Patch,
        b"DELETE" => Method::Delete,
        b"OPTIONS" => Method::Options,
        b"CONNECT" => return Err(Reason::MethodConnect),
        b"TRACE" => return Err(Reason::MethodTrace),
        // The HTTP/2 preface (RFC 9113 §3.4).
        b"PRI" if rest.get(len..).is_some_and(|r| r.starts_with(b" * HTTP/2.0\r\n")) => {
            return Err(Reason::VersionUnsupported);
        }
        _ if len <= 32 && name.iter().all(|&b| is_method_byte(b)) => Method::Other,
        _ => return Err(Reason::MethodUnknown),
    };
    Ok(Some((method, start.wrapping_add(len).wrapping_add(1))))
}

/// Where the path that begins at `at` ends, and whether its canonical form may differ.
#[inline(always)]
fn path_end(bytes: &[u8], mut at: usize) -> (usize, bool) {
    let mut complex = false;
    let mut after_slash = 0;
    loop {
        let ([stops, slashes, dots], there) = simd::marks(bytes, at, simd::path);
        let (len, inside) = match stops {
            0 => (there, u32::MAX),
            _ => (stops.trailing_zeros() as usize, stops.wrapping_sub(1) & !stops),
        };
        complex |= (slashes << 1 | after_slash) & (slashes | dots) & inside != 0;
        after_slash = slashes >> 15 & 1;
        at = at.wrapping_add(len);
        if len < 16 {
            return match bytes.get(at) {
                Some(&b) if is_path_byte(b) => path_end_by_table(bytes, at, complex),
                _ => (at, complex),
            };
        }
    }
}

/// Goes on at `at`, where a less usual path byte stands.
#[cold]
fn path_end_by_table(bytes: &[u8], at: usize, mut complex: bool) -> (usize, bool) {
    let mut after_slash = bytes.get(at.wrapping_sub(1)) == Some(&b'/');
    for (i, &b) in bytes.iter().enumerate().skip(at) {
        if !is_path_byte(b) {
            return (i, complex);
        }
        complex |= is_complex_byte(b) || (after_slash && matches!(b, b'/' | b'.'));
        after_slash = b == b'/';
    }
    (bytes.len(), complex)
}

/// The authority of `http://authority` or `https://authority` (RFC 9112 §3.2.2).
#[cold]
fn absolute(bytes: &[u8], at: usize) -> Result<Option<Span>, Reason> {
    let rest = bytes.get(at..).unwrap_or_default();
    let mut scheme = 0;
    for known in [&b"http://"[..], b"https://"] {
        let n = rest.iter().zip(known).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
        if n == known.len() {
            scheme = n;
        } else if n == rest.len() {
            return Ok(None);
        }
    }
    if scheme == 0 {
        return Err(Reason::TargetForm);
    }
    let from = at.wrapping_add(scheme);
    let len = rest.iter().skip(scheme).position(|b| matches!(b, b'/' | b'?' | b'#' | b' ' | b'\r' | b'\n'));
    let Some(len) = len else { return Ok(None) };
    if len == 0 {
        return Err(Reason::HostMissing);
    }
    Ok(Some(Span::new(from, from.wrapping_add(len))))
}

#[cold]
fn bad_target(bytes: &[u8], at: usize) -> Result<Option<RequestLine>, Reason> {
    match bytes.get(at) {
        Some(b'#') => Err(Reason::TargetFragment),
        Some(b'\\') => Err(Reason::PathBackslash),
        _ => match line_end(bytes, at, Reason::TargetByte)? {
            // HTTP/0.9
            Some(_) => Err(Reason::RequestLine),
            None => Ok(None),
        },
    }
}

#[inline]
fn version(bytes: &[u8], at: usize) -> Result<Option<(Version, usize)>, Reason> {
    let next = at.wrapping_add(10);
    if let Some(w) = word(bytes, at)
        && bytes.get(next.wrapping_sub(2)..next) == Some(b"\r\n")
    {
        if w == eight(b"HTTP/1.1") {
            return Ok(Some((Version::Http11, next)));
        }
        if w == eight(b"HTTP/1.0") {
            return Ok(Some((Version::Http10, next)));
        }
    }
    other_version(bytes.get(at..).unwrap_or_default())
}

#[cold]
fn other_version(rest: &[u8]) -> Result<Option<(Version, usize)>, Reason> {
    let Some(end) = rest.iter().position(|&b| b == b'\n') else { return Ok(None) };
    let line = rest.get(..end).unwrap_or_default();
    match line {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor, tail @ ..]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            match tail {
                [] => Err(Reason::BareLf),
                [b'\r'] => Err(Reason::VersionUnsupported),
                [b'\r', ..] => Err(Reason::BareCr),
                _ => Err(Reason::VersionSyntax),
            }
        }
        _ => Err(Reason::VersionSyntax),
    }
}
