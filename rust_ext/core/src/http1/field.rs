//! Field lines: `name ":" OWS value OWS CRLF` (RFC 9112 §5), read strictly.

use super::names::{recognise, recognise_mapped};
use super::scan::{is_name_byte, is_token_byte, value_end};
use super::{Reason, Span, simd};

/// Which known field a name is. Those from `Host` on need a decision before they are passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs, reason = "each is the field of that name")]
pub enum FieldKind {
    /// Any other.
    Other,
    Date,
    ContentType,
    Authorization,
    Cookie,
    Origin,
    Trailer,
    SecWebSocketKey,
    SecWebSocketVersion,
    SecWebSocketAccept,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    KeepAlive,
    ProxyConnection,
    Te,
    Upgrade,
    Http2Settings,
    Expect,
    /// Never passed on: CGI turns it into `HTTP_PROXY`.
    Proxy,
    ProxyAuthorization,
    ProxyAuthenticate,
    XRequestId,
    XForwardedFor,
    XForwardedProto,
    XForwardedHost,
    /// Any other `X-Forwarded-*`.
    XForwarded,
    Forwarded,
    /// `X-Real-IP`, `X-Client-IP`, `True-Client-IP`, `X-Original-URL`, `X-Rewrite-URL`.
    ClientClaim,
}

/// One field line of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// As received.
    pub name: Span,
    /// Without the white space around it.
    pub value: Span,
    /// Which known field it is.
    pub kind: FieldKind,
    flags: u8,
}

/// The line's bytes are exactly `name: value CRLF`.
const TIDY: u8 = 1;
/// Named by `Connection`.
const NAMED: u8 = 2;

impl Field {
    #[inline]
    pub(crate) fn tidy(&self) -> bool {
        self.flags & TIDY != 0
    }

    #[inline]
    pub(crate) fn named(&self) -> bool {
        self.flags & NAMED != 0
    }

    pub(super) fn name_it(&mut self) {
        self.flags |= NAMED;
    }

    /// Tidy, and passed on without a decision.
    #[inline]
    pub(crate) fn plain(&self) -> bool {
        self.flags == TIDY && self.kind < FieldKind::Host
    }

    /// Offset behind the CRLF of a tidy line.
    #[inline]
    pub(crate) fn line_end(&self) -> usize {
        self.value.end().wrapping_add(2)
    }
}

/// A field line as read, before the message judges it.
pub(super) struct Line {
    pub field: Field,
    /// Where the next line begins.
    pub next: usize,
    /// The name holds something besides letters, digits and `-`.
    pub odd: bool,
}

/// What stands at the beginning of a line.
pub(super) enum Read {
    Field(Line),
    /// The empty line; where the body begins.
    End(usize),
    Incomplete,
    Bad(Reason),
}

/// What a line end that is not CRLF means; `at` is where the line's content stopped.
#[cold]
pub(super) fn line_end(bytes: &[u8], at: usize, otherwise: Reason) -> Result<Option<usize>, Reason> {
    match bytes.get(at..).unwrap_or_default() {
        [b'\r', b'\n', ..] => Ok(Some(at.wrapping_add(2))),
        [] | [b'\r'] => Ok(None),
        [b'\r', ..] => Err(Reason::BareCr),
        [b'\n', ..] => Err(Reason::BareLf),
        _ => Err(otherwise),
    }
}

/// The usual line: a name of letters, digits and `-`, a colon, one space, a value without HTAB, CRLF.
#[inline(always)]
pub(super) fn tidy_line(bytes: &[u8], start: usize) -> Option<(Field, usize)> {
    let rest = bytes.get(start..)?;
    let chunk = rest.first_chunk::<16>()?;
    let mut len = simd::not_name(chunk).trailing_zeros() as usize;
    if len > 16 {
        len = simd::find(rest, simd::not_name);
    }
    let [b':', b' ', value @ ..] = rest.get(len..)? else { return None };
    let stop = simd::find(value, simd::control);
    let (value, [b'\r', b'\n', ..]) = value.split_at_checked(stop)? else { return None };
    if len == 0 || matches!(value, [b' ', ..] | [.., b' ']) {
        return None;
    }
    let kind = recognise(rest, chunk, len);
    let colon = start.wrapping_add(len);
    let from = colon.wrapping_add(2);
    let end = from.wrapping_add(stop);
    let field = Field { name: Span::new(start, colon), value: Span::new(from, end), kind, flags: TIDY };
    Some((field, end.wrapping_add(2)))
}

/// Reads any line that begins at `start`, or says why it is refused.
#[inline(never)]
pub(super) fn read_line(bytes: &[u8], start: usize) -> Read {
    if bytes.get(start..).is_some_and(|rest| rest.starts_with(b"\r\n")) {
        return Read::End(start.wrapping_add(2));
    }
    let (colon, odd) = match name_end(bytes, start) {
        Name::Ends { colon, odd } => (colon, odd),
        Name::Stops(at) => return no_colon(bytes, start, at),
    };
    if colon == start {
        return Read::Bad(Reason::FieldName);
    }
    let name = Span::new(start, colon);
    let kind = if odd { FieldKind::Other } else { recognise_mapped(name.of(bytes)) };
    let space = bytes.get(colon.wrapping_add(1)) == Some(&b' ');
    let from = colon.wrapping_add(1).wrapping_add(usize::from(space));
    let stop = value_end(bytes, from);
    let next = match line_end(bytes, stop, Reason::FieldValue) {
        Ok(Some(next)) => next,
        Ok(None) => return Read::Incomplete,
        Err(reason) => return Read::Bad(reason),
    };
    let value = trimmed(bytes, from, stop);
    let tidy = space && value == Span::new(from, stop);
    Read::Field(Line { field: Field { name, value, kind, flags: u8::from(tidy) * TIDY }, next, odd })
}

#[inline]
fn blank(bytes: &[u8], at: usize) -> bool {
    matches!(bytes.get(at), Some(b' ' | b'\t'))
}

fn trimmed(bytes: &[u8], mut from: usize, mut to: usize) -> Span {
    while from < to && blank(bytes, from) {
        from = from.wrapping_add(1);
    }
    while from < to && blank(bytes, to.wrapping_sub(1)) {
        to = to.wrapping_sub(1);
    }
    Span::new(from, to)
}

enum Name {
    Ends { colon: usize, odd: bool },
    Stops(usize),
}

/// Finds the colon.
fn name_end(bytes: &[u8], mut at: usize) -> Name {
    let mut odd = false;
    while let Some(&b) = bytes.get(at) {
        if !is_name_byte(b) {
            if !is_token_byte(b) {
                break;
            }
            odd = true;
        }
        at = at.wrapping_add(1);
    }
    if bytes.get(at) == Some(&b':') { Name::Ends { colon: at, odd } } else { Name::Stops(at) }
}

/// The empty line, an incomplete name, or why there is no colon.
#[cold]
fn no_colon(bytes: &[u8], start: usize, at: usize) -> Read {
    match line_end(bytes, at, Reason::FieldName) {
        Ok(Some(next)) if at == start => Read::End(next),
        Ok(Some(_)) => Read::Bad(Reason::FieldName),
        Ok(None) => Read::Incomplete,
        Err(Reason::FieldName) if blank(bytes, at) => {
            Read::Bad(if at == start { Reason::LineFolding } else { Reason::SpaceBeforeColon })
        }
        Err(reason) => Read::Bad(reason),
    }
}

/// Which known field an unusual name is an alias of.
pub(super) fn alias(bytes: &[u8], name: Span) -> FieldKind {
    recognise_mapped(name.of(bytes))
}

/// The values of every field line of that name (lower case), in order.
pub(super) fn values<'a>(fields: &[Field], bytes: &'a [u8], name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    let same =
        move |field: &&Field| field.name.len as usize == name.len() && field.name.of(bytes).eq_ignore_ascii_case(name);
    fields.iter().filter(same).map(|field| field.value.of(bytes))
}

/// The value of the only field line of that kind.
pub(super) fn only<'a>(fields: &[Field], bytes: &'a [u8], kind: FieldKind) -> Option<&'a [u8]> {
    let mut of_kind = fields.iter().filter(|field| field.kind == kind);
    let found = of_kind.next()?;
    of_kind.next().is_none().then(|| found.value.of(bytes))
}
