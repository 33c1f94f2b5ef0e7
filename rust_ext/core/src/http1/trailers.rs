//! The trailer section of a chunked body (RFC 9112 §7.1.2), and which of its fields are passed on (RFC 9110 §6.5.1).

use super::field::{FieldKind, Read, read_line};
use super::names::recognise_mapped;
use super::{Reason, ReservedNames, Span};

/// Bytes of a trailer section.
const MAX_BYTES: usize = 8 * 1024;
/// Field lines of a trailer section.
const MAX_FIELDS: usize = 100;

/// Names that change how a message is framed, routed, authenticated, cached or processed, besides the known fields.
const REFUSED: &[&str] = &[
    "accept-encoding",
    "age",
    "cache-control",
    "content-encoding",
    "content-location",
    "content-range",
    "expires",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "location",
    "max-forwards",
    "pragma",
    "range",
    "retry-after",
    "set-cookie",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "allow",
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "strict-transport-security",
    "content-security-policy",
    "proxy-status",
    "sec-websocket-extensions",
    "sec-websocket-protocol",
];

/// The field lines of a trailer section that may be passed on, in order.
///
/// Left out: fields that frame, route, authenticate or control a message, all names the gateway gives meaning to, and
/// names of anything but letters, digits and `-`. They are never merged into the head.
#[derive(Debug, Clone, Default)]
pub struct Trailers {
    bytes: Vec<u8>,
    fields: Vec<(Span, Span)>,
}

impl Trailers {
    /// Name and value of each.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|(name, value)| (name.of(&self.bytes), value.of(&self.bytes)))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Writes the last chunk, the trailer fields and the empty line; `reserved` names are left out (a request's).
    pub fn write(&self, out: &mut Vec<u8>, reserved: Option<&ReservedNames>) {
        out.extend_from_slice(b"0\r\n");
        for (name, value) in self.iter().filter(|(name, _)| reserved.is_none_or(|r| !r.matches(name))) {
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Collects a trailer section that comes in parts.
#[derive(Debug, Default)]
pub(super) struct TrailerReader {
    kept: Trailers,
    /// Where the line being read begins.
    line: usize,
    lines: usize,
}

impl TrailerReader {
    pub fn kept(&self) -> &Trailers {
        &self.kept
    }

    /// Takes more bytes; how many belong to the section, and whether it ended.
    pub fn read(&mut self, input: &[u8]) -> Result<(usize, bool), Reason> {
        let mut consumed = 0;
        // Line by line, so that nothing behind the section is taken.
        while consumed < input.len() {
            let rest = input.get(consumed..).unwrap_or_default();
            let part = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at.wrapping_add(1));
            let bytes = &mut self.kept.bytes;
            if bytes.len().wrapping_add(part) > MAX_BYTES {
                return Err(Reason::TrailerTooLarge);
            }
            bytes.extend_from_slice(rest.get(..part).unwrap_or_default());
            consumed = consumed.wrapping_add(part);
            if bytes.last() != Some(&b'\n') {
                break;
            }
            match read_line(bytes, self.line) {
                Read::End(_) => return Ok((consumed, true)),
                Read::Field(line) => {
                    self.line = line.next;
                    self.lines = self.lines.wrapping_add(1);
                    if self.lines > MAX_FIELDS {
                        return Err(Reason::TrailerTooLarge);
                    }
                    let name = line.field.name.of(bytes);
                    if !line.odd && may_pass(line.field.kind, name) {
                        self.kept.fields.push((line.field.name, line.field.value));
                    }
                }
                Read::Incomplete => return Err(Reason::TrailerSyntax),
                Read::Bad(reason @ (Reason::BareCr | Reason::BareLf)) => return Err(reason),
                Read::Bad(_) => return Err(Reason::TrailerSyntax),
            }
        }
        Ok((consumed, false))
    }
}

fn may_pass(kind: FieldKind, name: &[u8]) -> bool {
    kind == FieldKind::Other
        && recognise_mapped(name) == FieldKind::Other
        && !REFUSED.iter().any(|refused| name.eq_ignore_ascii_case(refused.as_bytes()))
}
