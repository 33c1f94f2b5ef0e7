//! Tests of the codec by attack class (the ids of the security table).

mod chunked;
mod lines;
mod paths;
mod properties;
mod requests;
mod responses;

use super::*;
use crate::snapshot::{DotSegments, EncodedSlash, UnderscoreHeaders};

/// The rules of a listener by default.
pub(super) fn rules() -> RequestRules {
    RequestRules {
        head_bytes: 32 * 1024,
        header_count: 100,
        uri_bytes: 8 * 1024,
        encoded_slash: EncodedSlash::Refuse,
        dot_segments: DotSegments::Refuse,
        underscore_headers: UnderscoreHeaders::Drop,
        trusted: Vec::new(),
        reserved: ReservedNames::new(&["X-User-Id"]),
    }
}

/// A whole head, by the default rules.
pub(super) fn parse(head: &[u8]) -> Result<Request, Reason> {
    parse_by(head, &rules())
}

/// A whole head, by other rules.
pub(super) fn parse_by(head: &[u8], rules: &RequestRules) -> Result<Request, Reason> {
    let mut request = Request::new();
    match request.parse(head, rules)? {
        Progress::Complete(len) => assert_eq!(len, head.len(), "{}", head.escape_ascii()),
        Progress::Incomplete => panic!("incomplete: {}", head.escape_ascii()),
    }
    Ok(request)
}

/// A GET with these lines (each with its line end) behind Host.
pub(super) fn with(lines: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET / HTTP/1.1\r\nHost: a.example\r\n", lines.as_ref(), b"\r\n"].concat()
}

const fn sendable<T: Send + Sync + 'static>() {}
const _: () = {
    sendable::<Request>();
    sendable::<Response>();
    sendable::<ChunkedDecoder>();
    sendable::<RequestRules>();
};

#[test]
fn reasons_have_distinct_names_and_sensible_statuses() {
    for (i, reason) in Reason::ALL.iter().enumerate() {
        assert_eq!(*reason as usize, i);
        assert!(matches!(reason.status(), 400 | 405 | 408 | 413 | 414 | 417 | 431 | 501 | 502 | 505), "{reason:?}");
        assert!(reason.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'8'));
        assert_eq!(Reason::ALL.iter().filter(|other| other.name() == reason.name()).count(), 1);
    }
}
