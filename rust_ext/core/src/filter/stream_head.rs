//! The head of an answer that goes on for as long as its connection: a WebSocket's 101, an event stream's 200.

use super::edits::{CompiledEdits, Edits, is_value, line};
use super::extra::{By, Extra};

/// What follows the head.
#[derive(Clone, Copy)]
pub enum StreamKind<'a> {
    /// A WebSocket (RFC 6455 §4.2.2).
    WebSocket {
        /// `Sec-WebSocket-Accept`.
        accept: &'a [u8],
        /// `Sec-WebSocket-Extensions`, where one was agreed on.
        extensions: Option<&'a [u8]>,
    },
    /// An event stream (Server-Sent Events) that ends with its connection.
    Events,
}

/// What the head is written from.
#[derive(Clone, Copy)]
pub struct StreamHead<'a> {
    /// What follows.
    pub kind: StreamKind<'a>,
    /// Goes into `X-Request-Id`.
    pub request_id: &'a [u8],
    /// The value of `Date`; empty for none.
    pub date: &'a [u8],
    /// The route's changes. The fields of the handshake itself stay as they must be.
    pub edits: &'a CompiledEdits,
    /// What policies add.
    pub extra: Option<&'a Extra>,
}

/// Writes the head.
pub fn write_stream_head(out: &mut Vec<u8>, head: &StreamHead<'_>) {
    let edits = Edits { route: head.edits, hook: &[] };
    let (free, start) = (edits.is_empty(), out.len());
    match head.kind {
        StreamKind::WebSocket { accept, extensions } => {
            out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
            line(out, b"Sec-WebSocket-Accept", accept);
            if let Some(extensions) = extensions {
                line(out, b"Sec-WebSocket-Extensions", extensions);
            }
        }
        StreamKind::Events => {
            out.extend_from_slice(b"HTTP/1.1 200 OK\r\nConnection: close\r\n");
            for (name, value) in [(&b"Content-Type"[..], &b"text/event-stream"[..]), (b"Cache-Control", b"no-store")] {
                if free || !edits.replace(name) {
                    line(out, name, value);
                }
            }
        }
    }
    for (name, value) in [(&b"Date"[..], head.date), (b"X-Request-Id", head.request_id)] {
        if !value.is_empty() && is_value(value) && (free || !edits.replace(name)) {
            line(out, name, value);
        }
    }
    if !free {
        edits.write(out);
    }
    if let Some(extra) = head.extra {
        extra.write(out, start, &edits, By::Gateway);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::NO_EDITS;
    use crate::snapshot::HeaderEdits;

    fn head(kind: StreamKind<'_>, edits: &CompiledEdits) -> String {
        let mut out = Vec::new();
        write_stream_head(&mut out, &StreamHead { kind, request_id: b"id", date: b"", edits, extra: None });
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_websocket_begins_with_101() {
        let kind = StreamKind::WebSocket { accept: b"abc=", extensions: None };
        assert_eq!(
            head(kind, &NO_EDITS),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: abc=\r\nX-Request-Id: id\r\n\r\n"
        );
    }

    #[test]
    fn the_routes_changes_apply_to_both() {
        let edits = HeaderEdits {
            set: vec![("cache-control".into(), "no-cache".into()), ("x-a".into(), "1".into())],
            add: vec![],
            remove: vec!["x-request-id".into()],
        };
        let edits = CompiledEdits::new(&edits).unwrap();
        let events = head(StreamKind::Events, &edits);
        assert!(events.contains("cache-control: no-cache\r\nx-a: 1\r\n") && !events.contains("no-store"), "{events}");
        assert!(!events.contains("X-Request-Id") && events.contains("Content-Type: text/event-stream\r\n"), "{events}");
        let kind = StreamKind::WebSocket { accept: b"abc=", extensions: Some(b"permessage-deflate") };
        assert!(head(kind, &edits).contains("Sec-WebSocket-Extensions: permessage-deflate\r\ncache"));
    }
}
