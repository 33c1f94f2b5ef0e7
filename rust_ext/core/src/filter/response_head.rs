//! The response head for the client, written anew from the parsed response.

use super::edits::{CompiledEdits, Edits, line};
use super::extra::{By, Extra};
use super::run::Run;
use crate::http1::{FieldKind, Response, ResponseFraming, Version, write};

/// What a response head for the client is written from, besides the response.
#[derive(Clone, Copy)]
pub struct Incoming<'a> {
    /// The client's.
    pub version: Version,
    /// How the body will be sent to the client: `Chunked` only to 1.1.
    pub framing: ResponseFraming,
    /// The client's connection stays open behind this answer.
    pub keep_alive: bool,
    /// Goes into `X-Request-Id`; an origin's own is replaced.
    pub request_id: &'a [u8],
    /// The protocol switched to: 101 only.
    pub upgrade: Option<&'a [u8]>,
    /// The value of `Date` for a response that came without (RFC 9110 §6.6.1); empty for none.
    pub date: &'a [u8],
    /// The route's changes.
    pub edits: &'a CompiledEdits,
    /// What policies add.
    pub extra: Option<&'a Extra>,
}

/// Writes a response head: the origin's fields in their order and bytes, then what the gateway says.
pub fn write_response_head(out: &mut Vec<u8>, res: &Response, bytes: &[u8], i: &Incoming<'_>) {
    let edits = Edits { route: i.edits, hook: &[] };
    let length = match i.framing {
        ResponseFraming::Length(length) => Some(length),
        ResponseFraming::None => res.announced_length(),
        ResponseFraming::Chunked | ResponseFraming::UntilClose => None,
    };
    let (mut said_length, mut dated) = (false, i.date.is_empty());
    let (free, start) = (edits.is_empty() && i.extra.is_none(), out.len());
    let mut run = begin(out, res, bytes);
    for field in res.fields() {
        if !field.plain() || !free {
            let taken = || edits.take_away(field, bytes) || i.extra.is_some_and(|x| x.takes_away(field.name.of(bytes)));
            if field.named() || (!free && taken()) {
                continue;
            }
            match field.kind {
                FieldKind::ContentLength => {
                    let value = field.value.of(bytes);
                    let canonical = value.first() != Some(&b'0') || value.len() == 1;
                    if length.is_none() || length != res.announced_length() || !canonical {
                        continue;
                    }
                    said_length = true;
                }
                kind if !passes(kind) => continue,
                _ => {}
            }
        }
        dated |= field.kind == FieldKind::Date;
        run.take(out, bytes, field);
    }
    run.flush(out, bytes);
    if !dated && (free || !edits.replace(b"date")) {
        write_date(out, i.date);
    }
    if !said_length && let Some(length) = length {
        out.extend_from_slice(b"Content-Length: ");
        write::decimal(out, length);
        out.extend_from_slice(b"\r\n");
    }
    if i.framing == ResponseFraming::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if free || !edits.replace(b"x-request-id") {
        out.extend_from_slice(b"X-Request-Id: ");
        write::id(out, i.request_id);
        out.extend_from_slice(b"\r\n");
    }
    if let Some(protocol) = i.upgrade {
        out.extend_from_slice(b"Connection: Upgrade\r\n");
        line(out, b"Upgrade", protocol);
    } else {
        connection(out, i.version, i.keep_alive);
    }
    if !free {
        edits.write(out);
        if let Some(extra) = i.extra {
            extra.write(out, start, &edits, By::Origin);
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// The usual date has one length, known here, so that it is one copy (RFC 9110 §5.6.7).
#[inline]
fn write_date(out: &mut Vec<u8>, date: &[u8]) {
    let Some(date) = date.first_chunk::<29>().filter(|_| date.len() == 29) else {
        return line(out, b"Date", date);
    };
    let mut text = *b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    text[6..35].copy_from_slice(date);
    out.extend_from_slice(&text);
}

/// `close` or, to HTTP/1.0, `keep-alive`, where it is not the version's own default (RFC 9112 §9.3).
#[inline]
pub(crate) fn connection(out: &mut Vec<u8>, version: Version, keep_alive: bool) {
    match (keep_alive, version) {
        (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
        (true, Version::Http10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (true, Version::Http11) => {}
    }
}

/// Whether an origin's field of that kind is passed on; framing is decided apart.
#[inline]
#[must_use]
pub fn passes(kind: FieldKind) -> bool {
    use FieldKind as K;
    !matches!(
        kind,
        K::ContentLength
            | K::TransferEncoding
            | K::Connection
            | K::KeepAlive
            | K::ProxyConnection
            | K::Te
            | K::Upgrade
            | K::XRequestId
    )
}

/// Writes an interim head (100, 103) as the origin sent it, without hop-by-hop and framing fields.
pub fn write_interim_head(out: &mut Vec<u8>, res: &Response, bytes: &[u8]) {
    let mut run = begin(out, res, bytes);
    for field in res.fields() {
        if !field.named() && passes(field.kind) {
            run.take(out, bytes, field);
        }
    }
    run.flush(out, bytes);
    out.extend_from_slice(b"\r\n");
}

/// The status line: as received where that is what would be written, else put together.
#[inline(always)]
fn begin(out: &mut Vec<u8>, res: &Response, bytes: &[u8]) -> Run {
    match res.verbatim_line() {
        Some(to) => Run::new(0, to),
        None => begin_anew(out, res, bytes),
    }
}

#[inline(never)]
fn begin_anew(out: &mut Vec<u8>, res: &Response, bytes: &[u8]) -> Run {
    out.extend_from_slice(b"HTTP/1.1 ");
    write::status(out, res.status());
    out.push(b' ');
    out.extend_from_slice(res.reason_phrase(bytes));
    out.extend_from_slice(b"\r\n");
    Run::new(0, 0)
}
