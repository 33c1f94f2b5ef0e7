//! The head of an answer that carries a file, and of those that say that nothing need be sent.

use std::ops::Range;

use super::EntityTag;
use crate::filter::{By, CompiledEdits, Edits, Extra, connection, is_value, line, status_phrase};
use crate::http1::{Version, write};
use crate::snapshot::Coding;

/// What the head of a 200, 206 or 304 is written from.
#[derive(Debug, Clone)]
pub struct FileHead<'a> {
    /// 200, 206 or 304.
    pub status: u16,
    /// The client's.
    pub version: Version,
    /// The client's connection stays open behind this answer.
    pub keep_alive: bool,
    /// Goes into `X-Request-Id`.
    pub request_id: &'a [u8],
    /// The value of `Date`.
    pub date: &'a [u8],
    /// The value of `Last-Modified`; empty for none.
    pub modified: &'a [u8],
    /// The entity tag.
    pub tag: &'a EntityTag,
    /// The media type.
    pub media_type: &'a str,
    /// The coding of what is sent.
    pub coding: Option<Coding>,
    /// Another `Accept-Encoding` may get another answer.
    pub varies: bool,
    /// The value of `Cache-Control`.
    pub cache_control: Option<&'a str>,
    /// The bytes that are sent: all of them, or the part of a 206.
    pub part: Range<u64>,
    /// Bytes of the whole representation.
    pub length: u64,
    /// The route's changes.
    pub edits: &'a CompiledEdits,
    /// What policies add.
    pub extra: Option<&'a Extra>,
}

/// Writes the head. What the route sets or removes is left out before and added behind.
pub fn write_file_head(out: &mut Vec<u8>, head: &FileHead<'_>) {
    let start = out.len();
    let edits = Edits { route: head.edits, hook: &[] };
    let own = |out: &mut Vec<u8>, name: &[u8], value: &[u8]| {
        if !value.is_empty() && is_value(value) && !edits.replace(name) {
            line(out, name, value);
        }
    };
    out.extend_from_slice(b"HTTP/1.1 ");
    write::status(out, head.status);
    out.push(b' ');
    out.extend_from_slice(status_phrase(head.status).as_bytes());
    out.extend_from_slice(b"\r\n");
    own(out, b"Date", head.date);
    own(out, b"ETag", head.tag.as_bytes());
    own(out, b"Cache-Control", head.cache_control.unwrap_or_default().as_bytes());
    if head.varies {
        own(out, b"Vary", b"Accept-Encoding");
    }
    // A 304 says what updates a stored answer and no more (RFC 9110 §15.4.5).
    if head.status != 304 {
        own(out, b"Last-Modified", head.modified);
        own(out, b"Content-Type", head.media_type.as_bytes());
        own(out, b"X-Content-Type-Options", b"nosniff");
        own(out, b"Accept-Ranges", b"bytes");
        if let Some(coding) = head.coding {
            line(out, b"Content-Encoding", coding.name().as_bytes());
        }
        if head.status == 206 {
            out.extend_from_slice(b"Content-Range: bytes ");
            write::decimal(out, head.part.start);
            out.push(b'-');
            write::decimal(out, head.part.end.saturating_sub(1));
            out.push(b'/');
            write::decimal(out, head.length);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"Content-Length: ");
        write::decimal(out, head.part.end.saturating_sub(head.part.start));
        out.extend_from_slice(b"\r\n");
    }
    own(out, b"X-Request-Id", head.request_id);
    connection(out, head.version, head.keep_alive);
    edits.write(out);
    if let Some(extra) = head.extra {
        extra.write(out, start, &edits, By::Gateway);
    }
    out.extend_from_slice(b"\r\n");
}

/// Where a folder's path without its slash leads: the canonical path with one, encoded anew, and the query.
///
/// It begins with exactly one slash, so it can never name another host.
pub fn redirect_location(path: &[u8], query: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len().saturating_add(16));
    for &b in path {
        if b.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@/".contains(&b) {
            out.push(b);
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            out.extend_from_slice(&[b'%', HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
        }
    }
    out.push(b'/');
    if let Some(query) = query {
        out.push(b'?');
        out.extend_from_slice(query);
    }
    out
}
