//! Field lines: `name ":" OWS value OWS CRLF` (RFC 9112 §5), read strictly.

use super::names::{bit, recognise, recognise_mapped};
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

    /// Whether `Connection` names it: it is of that hop and no further.
    #[inline]
    pub fn named(&self) -> bool {
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

    /// Names of more than sixteen bytes are recognised apart.
    pub(super) fn recognise_long(&mut self, bytes: &[u8]) {
        if self.name.len > 16 {
            self.kind = recognise_mapped(self.name.of(bytes));
        }
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

/// What [`tidy_lines`] read.
pub(super) struct Tidy {
    /// Where the next line begins.
    pub next: usize,
    /// The last line, if it was not taken over: its name may be reserved or a long known one, or there is no capacity.
    pub held: Option<Field>,
}

/// Takes over usual lines, at most `room`: a name of 1 to 29 letters, digits and `-`, a colon, one space, a value without
/// HTAB that is not empty, CRLF. Names whose first letter has a bit in `watched` are for the caller to judge, as is what
/// the lines mean: this loop stays free of calls.
#[inline(never)]
pub(super) fn tidy_lines(bytes: &[u8], start: usize, fields: &mut Vec<Field>, room: usize, watched: u64) -> Tidy {
    let mut next = start;
    let Some(last) = bytes.last_chunk::<{ WINDOW - 1 }>() else { return Tidy { next, held: None } };
    // The last bytes once more, so that there are whole windows; the zeros behind them belong to no line.
    let mut copy = [0; 2 * WINDOW];
    if let Some(slots) = copy.first_chunk_mut::<{ WINDOW - 1 }>() {
        *slots = *last;
    }
    let mut rest = bytes.get(start..).unwrap_or_default();
    let most = fields.len().saturating_add(room);
    let mut copied = false;
    while fields.len() < most {
        let Some(window) = rest.first_chunk::<WINDOW>() else {
            if copied || rest.len() < MIN_LINE {
                break;
            }
            rest = copy.get(last.len().wrapping_sub(rest.len())..).unwrap_or_default();
            copied = true;
            continue;
        };
        let first = window[0];
        if first == b'\r' {
            break;
        }
        let (low, high) = halves(window);
        let len = match simd::not_name(low) {
            0 => simd::not_name(high).trailing_zeros().wrapping_add(16) as usize,
            stops => stops.trailing_zeros() as usize,
        };
        // The last mark is left to the search, so that CRLF is within the window where a mark is.
        let end = match (simd::control(low) | simd::control(high) << 16) & simd::below(WINDOW - 1) {
            0 if copied => break,
            0 => {
                let Some(last) = last.last_chunk::<16>() else { break };
                simd::seek(rest.get(WINDOW - 1..).unwrap_or_default(), last, simd::control).wrapping_add(WINDOW - 1)
            }
            marks => marks.trailing_zeros() as usize,
        };
        let Some(&[colon, space, first_of_value]) = window.get(len..).and_then(<[u8]>::first_chunk::<3>) else { break };
        let Some((line_end, after)) = rest.get(end..).and_then(<[u8]>::split_first_chunk::<2>) else { break };
        let separated = u16::from_le_bytes([colon, space]) == u16::from_le_bytes(*b": ");
        if !separated || u16::from_le_bytes(*line_end) != u16::from_le_bytes(*b"\r\n") || len == 0 {
            break;
        }
        // An empty value has the separator's space before its end; the slower reader takes it.
        if first_of_value == b' ' || rest.get(end.wrapping_sub(1)) == Some(&b' ') {
            break;
        }
        let from = len.wrapping_add(2);
        let (kind, sure) = recognise(low, first, len);
        let name = Span { start: next as u32, len: len as u32 };
        let value = Span { start: next.wrapping_add(from) as u32, len: end.wrapping_sub(from) as u32 };
        let field = Field { name, value, kind, flags: TIDY };
        next = next.wrapping_add(end).wrapping_add(2);
        if !sure || watched & bit(first) != 0 || fields.len() == fields.capacity() {
            return Tidy { next, held: Some(field) };
        }
        fields.push(field);
        rest = after;
    }
    Tidy { next, held: None }
}

/// How much of a line is looked at at once.
const WINDOW: usize = 32;
/// `a: b` and CRLF.
const MIN_LINE: usize = 6;

#[inline(always)]
fn halves(window: &[u8; WINDOW]) -> (&simd::Chunk, &simd::Chunk) {
    match window.as_chunks::<16>().0 {
        [low, high] => (low, high),
        _ => (&[0; 16], &[0; 16]),
    }
}

/// Reads any line that begins at `start`, or says why it is refused.
#[inline(always)]
pub(super) fn read_line(bytes: &[u8], start: usize) -> Read {
    match bytes.get(start..) {
        Some([b'\r', b'\n', ..]) => Read::End(start.wrapping_add(2)),
        _ => any_line(bytes, start),
    }
}

#[inline(never)]
fn any_line(bytes: &[u8], start: usize) -> Read {
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
