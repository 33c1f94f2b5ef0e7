//! A response head, passed back.

use fastgate_core::filter::{Incoming, write_interim_head, write_response_head};
use fastgate_core::http1::{FieldKind, Method, Progress, Response, ResponseFraming, Version};

use super::{Changes, lower, replaced, without_edits};
use crate::knobs;
use crate::reference::{self, Said};

/// Bits: 0 the client speaks HTTP/1.0, 1 its connection ends, 2 it asked by HEAD.
pub fn check(knobs: u8, changes: &Changes, bytes: &[u8]) {
    let method = if knobs::bit(knobs, 2) { Method::Head } else { Method::Post };
    let mut response = Response::new();
    let Ok(Progress::Complete(length)) = response.parse(bytes, method) else { return };
    let bytes = &bytes[..length];
    if (100..200).contains(&response.status()) && response.status() != 101 {
        interim(&response, bytes);
        return;
    }
    let version = if knobs::bit(knobs, 0) { Version::Http10 } else { Version::Http11 };
    let framing = match (response.framing(), version) {
        (ResponseFraming::UntilClose, Version::Http11) => ResponseFraming::Chunked,
        (ResponseFraming::Chunked, Version::Http10) => ResponseFraming::UntilClose,
        (framing, _) => framing,
    };
    let i = Incoming {
        version,
        framing,
        keep_alive: !knobs::bit(knobs, 1) && framing != ResponseFraming::UntilClose,
        request_id: b"id-1",
        upgrade: if response.status() == 101 { response.upgrade(bytes) } else { None },
        date: b"",
        edits: &changes.route,
        extra: None,
    };
    let mut out = b"before".to_vec();
    write_response_head(&mut out, &response, bytes, &i);
    let out = out.strip_prefix(b"before").expect("appended");
    let lines = same(&response, bytes, out, changes, &i);
    let mut again = Response::new();
    assert_eq!(again.parse(out, method), Ok(Progress::Complete(out.len())), "{}", out.escape_ascii());
    assert_eq!((again.status(), again.framing()), (response.status(), i.framing));
    assert_eq!(again.upgrade(out), i.upgrade);
    let bodiless = response.status() < 200 || response.status() == 204;
    match reference::framing(&lines) {
        Said::Nothing => assert!(matches!(framing, ResponseFraming::None | ResponseFraming::UntilClose)),
        Said::Chunked => assert_eq!(framing, ResponseFraming::Chunked),
        Said::Length(length) => {
            assert!(!bodiless, "a length where there is never a body");
            assert!(matches!(framing, ResponseFraming::None) || framing == ResponseFraming::Length(length));
        }
    }
}

/// The status line, the fields that pass, and what the gateway says once.
fn same<'a>(
    response: &Response,
    bytes: &[u8],
    out: &'a [u8],
    changes: &Changes,
    i: &Incoming<'_>,
) -> Vec<(&'a [u8], &'a [u8])> {
    let head = reference::head(out, false);
    let reason = response.reason_phrase(bytes);
    let line = [format!("HTTP/1.1 {} ", response.status()).as_bytes(), reason].concat();
    assert_eq!(head.start, line);
    let edits = changes.all(false);
    let lines = without_edits(&head, &edits);
    assert_eq!(passing(&lines), expected(response, bytes, |name| replaced(&edits, name)), "the fields that pass");
    let all = |name: &str| reference::values(&lines, name);
    let id: Vec<&[u8]> = if replaced(&edits, b"x-request-id") { vec![] } else { vec![i.request_id] };
    assert_eq!(all("x-request-id"), id);
    let connection: Vec<&[u8]> = match (i.upgrade, i.keep_alive, i.version) {
        (Some(_), ..) => vec![b"Upgrade"],
        (None, false, _) => vec![b"close"],
        (None, true, Version::Http10) => vec![b"keep-alive"],
        (None, true, Version::Http11) => vec![],
    };
    assert_eq!(all("connection"), connection);
    assert_eq!(all("upgrade"), i.upgrade.into_iter().collect::<Vec<_>>());
    for gone in ["keep-alive", "proxy-connection", "te"] {
        assert_eq!(all(gone), [b""; 0], "{gone} passed");
    }
    lines
}

/// Lines that are not the gateway's own to write.
fn passing<'a>(lines: &[(&'a [u8], &'a [u8])]) -> Vec<(&'a [u8], &'a [u8])> {
    use FieldKind as K;
    let own = [
        K::ContentLength,
        K::TransferEncoding,
        K::Connection,
        K::KeepAlive,
        K::ProxyConnection,
        K::Te,
        K::Upgrade,
        K::XRequestId,
    ];
    lines.iter().filter(|(n, _)| reference::is_odd(n) || !own.contains(&reference::kind(&lower(n)))).copied().collect()
}

fn expected<'a>(response: &Response, bytes: &'a [u8], taken: impl Fn(&[u8]) -> bool) -> Vec<(&'a [u8], &'a [u8])> {
    let received: Vec<_> = response.fields().iter().map(|f| (f.name.of(bytes), f.value.of(bytes))).collect();
    let named = reference::members(&reference::values(&received, "connection"));
    passing(&received).into_iter().filter(|(n, _)| !named.contains(&lower(n)) && !taken(n)).collect()
}

/// 100 and 103 keep their fields and get none.
fn interim(response: &Response, bytes: &[u8]) {
    let mut out = Vec::new();
    write_interim_head(&mut out, response, bytes);
    let head = reference::head(&out, false);
    assert_eq!(head.lines, expected(response, bytes, |_| false));
    let mut again = Response::new();
    assert_eq!(again.parse(&out, Method::Get), Ok(Progress::Complete(out.len())));
    assert_eq!((again.status(), again.framing()), (response.status(), ResponseFraming::None));
}
