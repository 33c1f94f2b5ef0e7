//! Target `response_head`: a byte for the request's method, then a response head and whatever follows it.

use fastgate_core::http1::{Field, Method, Progress, Reason, Response, ResponseFraming, Version};

use crate::knobs;
use crate::reference::{self, Said};

/// Whatever the bytes: no cut changes the verdict, and an accepted head means what the slow model reads in it.
pub fn response_head(data: &[u8]) {
    let Some((knobs, bytes)) = knobs::split(data) else { return };
    let method = if knobs::bit(knobs, 0) { Method::Head } else { Method::Get };
    let mut response = Response::new();
    let verdict = response.parse(bytes, method);
    however_cut(bytes, method, verdict, &response);
    match verdict {
        Ok(Progress::Complete(length)) => {
            let head = &bytes[..length];
            let mut alone = Response::new();
            assert_eq!(alone.parse(head, method), verdict, "what follows a head changed it");
            assert_eq!(meaning(&alone, head), meaning(&response, bytes), "what follows a head changed it");
            judge(&response, head, method);
        }
        Ok(Progress::Incomplete) => {
            assert!(bytes.len() <= 64 * 1024, "waits for more than a head may have");
            assert!(!bytes.windows(4).any(|w| w == b"\r\n\r\n"), "a complete head still waits");
        }
        Err(reason) => knobs::well_described(reason),
    }
}

/// Everything the accessors say.
#[derive(Debug, PartialEq)]
struct Meaning<'a> {
    line: (u16, Version, &'a [u8]),
    fields: &'a [Field],
    body: (ResponseFraming, bool),
    upgrade: Option<&'a [u8]>,
}

fn meaning<'a>(r: &'a Response, bytes: &'a [u8]) -> Meaning<'a> {
    Meaning {
        line: (r.status(), r.version(), r.reason_phrase(bytes)),
        fields: r.fields(),
        body: (r.framing(), r.keep_alive()),
        upgrade: r.upgrade(bytes),
    }
}

/// A response that has been used and cleared, so that nothing may be left of its last head.
fn used() -> Response {
    const LAST: &[u8] = b"HTTP/1.0 304 Old\r\nConnection: close, upgrade, x\r\nContent-Length: 7\r\nX: 1\r\n\r\n";
    let mut response = Response::default();
    assert!(matches!(response.parse(LAST, Method::Head), Ok(Progress::Complete(_))));
    response.clear();
    response
}

/// Fed byte by byte, and in two parts cut anywhere: the same verdict as at once.
fn however_cut(bytes: &[u8], method: Method, whole: Result<Progress, Reason>, response: &Response) {
    let end = if let Ok(Progress::Complete(length)) = whole { length } else { bytes.len() };
    let mut drip = used();
    let mut verdict = Ok(Progress::Incomplete);
    let mut fed = 0;
    while verdict == Ok(Progress::Incomplete) && fed < bytes.len() {
        fed += 1;
        verdict = drip.parse(&bytes[..fed], method);
    }
    assert_eq!(verdict, whole, "fed byte by byte");
    if matches!(whole, Ok(Progress::Complete(_))) {
        assert_eq!(fed, end, "complete before or after its last byte");
        assert_eq!(meaning(&drip, bytes), meaning(response, bytes), "fed byte by byte");
    }
    for cut in knobs::cuts(end) {
        let mut parts = used();
        let first = parts.parse(&bytes[..cut], method);
        if first == Ok(Progress::Incomplete) {
            assert_eq!(parts.parse(bytes, method), whole, "cut at {cut}");
            if whole.is_ok() {
                assert_eq!(parts.fields(), response.fields(), "cut at {cut}");
            }
        } else {
            assert_eq!(first, whole, "cut at {cut}");
        }
    }
}

fn judge(response: &Response, bytes: &[u8], method: Method) {
    let head = reference::head(bytes, false);
    assert!(bytes.len() <= 64 * 1024 && head.lines.len() <= 200, "a limit was passed");

    let (fixed, reason) = head.start.split_at(12);
    let digits = &fixed[9..];
    let status: u16 = std::str::from_utf8(digits).expect("digits").parse().expect("a status is three digits");
    assert!(digits.iter().all(u8::is_ascii_digit) && (100..1000).contains(&status) && response.status() == status);
    let version: &[u8] = if response.version() == Version::Http11 { b"HTTP/1.1 " } else { b"HTTP/1.0 " };
    assert_eq!(&fixed[..9], version);
    assert!(reason.is_empty() || reason[0] == b' ');
    assert_eq!(response.reason_phrase(bytes), reason.strip_prefix(b" ").unwrap_or_default());

    let got: Vec<_> = response.fields().iter().map(|f| (f.name.of(bytes), f.value.of(bytes))).collect();
    assert_eq!(got, head.lines);
    for field in response.fields() {
        let name = field.name.of(bytes).to_ascii_lowercase();
        let other = fastgate_core::http1::FieldKind::Other;
        let expected = if reference::is_odd(&name) { other } else { reference::kind(&name) };
        assert_eq!(field.kind, expected, "{}", name.escape_ascii());
        let all = reference::values(&head.lines, std::str::from_utf8(&name).expect("a token"));
        assert_eq!(response.get(bytes, &name).collect::<Vec<_>>(), all);
    }

    let said = reference::framing(&head.lines);
    assert!(said != Said::Chunked || response.version() == Version::Http11, "Transfer-Encoding in HTTP/1.0");
    let never = status < 200 || status == 204;
    let framing = match said {
        _ if never || status == 304 || method == Method::Head => ResponseFraming::None,
        Said::Nothing => ResponseFraming::UntilClose,
        Said::Length(length) => ResponseFraming::Length(length),
        Said::Chunked => ResponseFraming::Chunked,
    };
    assert_eq!(response.framing(), framing);

    let options = reference::members(&reference::values(&head.lines, "connection"));
    assert!(options.len() <= 32 && options.iter().all(|o| reference::is_token(o)), "a bad Connection passed");
    let named = |name: &str| options.iter().any(|o| o == name.as_bytes());
    let persistent = !named("close") && (response.version() == Version::Http11 || named("keep-alive"));
    let unsure = framing == ResponseFraming::UntilClose || (never && !matches!(said, Said::Nothing | Said::Length(0)));
    assert_eq!(response.keep_alive(), persistent && !unsure);
    if let Some(protocol) = response.upgrade(bytes) {
        assert!(named("upgrade") && response.version() == Version::Http11);
        assert_eq!(reference::values(&head.lines, "upgrade"), [protocol]);
    }
}
