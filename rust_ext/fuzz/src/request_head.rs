//! Target `request_head`: the rules' byte, then a request head and whatever follows it.

use fastgate_core::filter::{client_address, request_id};
use fastgate_core::http1::{
    Field, Framing, Method, Progress, Reason, Request, RequestRules, Version, websocket_accept,
};
use fastgate_core::snapshot::UnderscoreHeaders;

use crate::reference::{self, Said};
use crate::{knobs, path_model};

/// Whatever the bytes: no cut changes the verdict, and an accepted head means what the slow model reads in it.
pub fn request_head(data: &[u8]) {
    let Some((knobs, bytes)) = knobs::split(data) else { return };
    let rules = knobs::rules(knobs);
    let mut request = Request::new();
    let verdict = request.parse(bytes, &rules);
    however_cut(bytes, &rules, verdict, &request);
    match verdict {
        Ok(Progress::Complete(length)) => {
            let head = &bytes[..length];
            let mut alone = Request::new();
            assert_eq!(alone.parse(head, &rules), verdict, "what follows a head changed it");
            assert_eq!(meaning(&alone, head), meaning(&request, bytes), "what follows a head changed it");
            judge(&request, head, &rules);
        }
        Ok(Progress::Incomplete) => {
            assert!(bytes.len() <= rules.head_bytes, "waits for more than a head may have");
            assert!(!bytes.windows(4).any(|w| w == b"\r\n\r\n"), "a complete head still waits");
        }
        Err(reason) => knobs::well_described(reason),
    }
}

/// Everything the accessors say.
#[derive(Debug, PartialEq)]
struct Meaning<'a> {
    line: (Method, &'a [u8], Version, bool),
    paths: (&'a [u8], &'a [u8], Option<&'a [u8]>),
    hosts: (&'a [u8], &'a [u8]),
    fields: &'a [Field],
    body: (Framing, bool, bool),
    upgrade: (Option<&'a [u8]>, Option<&'a [u8]>),
}

fn meaning<'a>(r: &'a Request, bytes: &'a [u8]) -> Meaning<'a> {
    Meaning {
        line: (r.method(), r.method_bytes(bytes), r.version(), r.is_asterisk()),
        paths: (r.raw_path(bytes), r.path(bytes), r.query(bytes)),
        hosts: (r.host(bytes), r.authority(bytes)),
        fields: r.fields(),
        body: (r.framing(), r.keep_alive(), r.expect_continue()),
        upgrade: (r.upgrade(bytes), r.websocket_key(bytes)),
    }
}

/// A request that has been used and cleared, so that nothing may be left of its last head.
fn used() -> Request {
    const LAST: &[u8] =
        b"OPTIONS http://Old.example HTTP/1.1\r\nHost: old\r\nX-Request-Id: 1\r\nExpect: 100-continue\r\n\
        Transfer-Encoding: chunked\r\nConnection: close, upgrade, x\r\nX: 1\r\n\r\n";
    let mut request = Request::default();
    assert!(matches!(request.parse(LAST, &knobs::rules(0)), Ok(Progress::Complete(_))));
    request.clear();
    request
}

/// Fed byte by byte, and in two parts cut anywhere: the same verdict as at once.
fn however_cut(bytes: &[u8], rules: &RequestRules, whole: Result<Progress, Reason>, request: &Request) {
    let end = if let Ok(Progress::Complete(length)) = whole { length } else { bytes.len() };
    let mut drip = used();
    let mut verdict = Ok(Progress::Incomplete);
    let mut fed = 0;
    while verdict == Ok(Progress::Incomplete) && fed < bytes.len() {
        fed += 1;
        verdict = drip.parse(&bytes[..fed], rules);
    }
    assert_eq!(verdict, whole, "fed byte by byte");
    if matches!(whole, Ok(Progress::Complete(_))) {
        assert_eq!(fed, end, "complete before or after its last byte");
        assert_eq!(meaning(&drip, bytes), meaning(request, bytes), "fed byte by byte");
    }
    for cut in knobs::cuts(end) {
        let mut parts = used();
        let first = parts.parse(&bytes[..cut], rules);
        if first == Ok(Progress::Incomplete) {
            assert_eq!(parts.parse(bytes, rules), whole, "cut at {cut}");
            if whole.is_ok() {
                assert_eq!(parts.fields(), request.fields(), "cut at {cut}");
            }
        } else {
            assert_eq!(first, whole, "cut at {cut}");
        }
    }
}

fn judge(request: &Request, bytes: &[u8], rules: &RequestRules) {
    let head = reference::head(bytes, true);
    assert!(bytes.len() <= rules.head_bytes && head.lines.len() <= rules.header_count, "a limit was passed");
    start_line(request, bytes, head.start, rules);
    let kept = kept_lines(request, bytes, &head.lines, rules);

    let said = match request.framing() {
        Framing::None => Said::Nothing,
        Framing::Length(length) => Said::Length(length),
        Framing::Chunked => Said::Chunked,
    };
    assert_eq!(reference::framing(&kept), said);
    assert!(said != Said::Chunked || request.version() == Version::Http11, "Transfer-Encoding in HTTP/1.0");

    let hosts = reference::values(&kept, "host");
    assert!(hosts.len() <= 1 && (hosts.len() == 1 || request.version() == Version::Http10), "Host missing or repeated");
    if let Some(host) = hosts.first() {
        reference::host(host);
    }
    if !request.authority(bytes).is_empty() {
        assert_eq!(request.host(bytes), reference::host(request.authority(bytes)));
    }

    let options = reference::members(&reference::values(&kept, "connection"));
    assert!(options.len() <= 32 && options.iter().all(|o| reference::is_token(o)), "a bad Connection passed");
    let named = |name: &str| options.iter().any(|o| o == name.as_bytes());
    for never in ["host", "content-length", "transfer-encoding", "authorization", "cookie", "x-user-id", "x-consumer-a"]
    {
        assert!(!named(never), "Connection may name {never}");
    }
    let persistent = request.version() == Version::Http11 || named("keep-alive");
    assert_eq!(request.keep_alive(), persistent && !named("close"));

    let has_body = !matches!(said, Said::Nothing | Said::Length(0));
    let expects = reference::values(&kept, "expect");
    assert!(expects.iter().all(|v| v.eq_ignore_ascii_case(b"100-continue")), "an unknown expectation passed");
    assert_eq!(request.expect_continue(), !expects.is_empty() && has_body && request.version() == Version::Http11);

    upgrade(request, bytes, &kept, has_body, named("upgrade"));
    names(request, bytes, rules);
}

fn start_line(request: &Request, bytes: &[u8], line: &[u8], rules: &RequestRules) {
    let parts: Vec<&[u8]> = line.split(|b| *b == b' ').collect();
    let [method, target, version] = parts[..] else { panic!("a request line of {} parts passed", parts.len()) };
    assert_eq!(request.method_bytes(bytes), method);
    assert!(
        method.len() <= 32 && method.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"-_".contains(b))
    );
    assert!(method != b"CONNECT" && method != b"TRACE");
    let known = match method {
        b"GET" => Method::Get,
        b"HEAD" => Method::Head,
        b"POST" => Method::Post,
        b"PUT" => Method::Put,
        b"DELETE" => Method::Delete,
        b"OPTIONS" => Method::Options,
        b"PATCH" => Method::Patch,
        _ => Method::Other,
    };
    assert_eq!(request.method(), known);
    assert!(!known.is_safe() || known.is_idempotent());
    assert_eq!(version, if request.version() == Version::Http11 { b"HTTP/1.1" } else { b"HTTP/1.0" });
    assert!(target.len() <= rules.uri_bytes, "a target over the limit passed");
    if target == b"*" {
        assert!(request.is_asterisk() && request.path(bytes) == b"*" && known == Method::Options);
        return;
    }
    // Absolute-form: what follows the authority is judged like a target of its own.
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|s| target.get(..s.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(s)));
    let origin = match scheme {
        None => target.to_vec(),
        Some(scheme) => {
            let rest = &target[scheme.len()..];
            let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
            assert_eq!(request.authority(bytes), &rest[..end], "the URL's host wins");
            if end == rest.len() && known == Method::Options {
                assert!(request.is_asterisk() && request.path(bytes) == b"*");
                return;
            }
            let slash: &[u8] = if rest[end..].starts_with(b"/") { b"" } else { b"/" };
            [slash, &rest[end..]].concat()
        }
    };
    assert!(!request.is_asterisk());
    let end = path_model::path_length(&origin).unwrap_or_else(|| panic!("{} passed", target.escape_ascii()));
    assert_eq!(request.query(bytes), origin[end..].strip_prefix(b"?"));
    path_model::is_clean(request.path(bytes), rules.encoded_slash);
    assert_eq!(
        path_model::canonical(request.raw_path(bytes), rules.encoded_slash).as_deref(),
        Some(request.path(bytes))
    );
}

/// The lines that must be there after the underscore, alias and reserved-name rules, compared with those that are.
fn kept_lines<'a>(
    request: &Request,
    bytes: &[u8],
    lines: &[(&'a [u8], &'a [u8])],
    rules: &RequestRules,
) -> Vec<(&'a [u8], &'a [u8])> {
    use fastgate_core::http1::FieldKind::Other;
    let mut kept = Vec::new();
    for &(name, value) in lines {
        let mapped = reference::mapped(name);
        let underscore = name.contains(&b'_');
        assert!(!underscore || rules.underscore_headers != UnderscoreHeaders::Refuse, "an underscore passed");
        let reserved = mapped == b"x-user-id" || mapped == b"x-forwarded-client-cert";
        let consumer = mapped.starts_with(b"x-consumer-");
        let alias = reference::is_odd(name) && reference::kind(&mapped) != Other;
        if !(reserved || consumer || alias || (underscore && rules.underscore_headers == UnderscoreHeaders::Drop)) {
            kept.push((name, value));
        }
    }
    let got: Vec<_> = request.fields().iter().map(|f| (f.name.of(bytes), f.value.of(bytes))).collect();
    assert_eq!(got, kept);
    for field in request.fields() {
        let name = field.name.of(bytes);
        let expected = if reference::is_odd(name) { Other } else { reference::kind(&name.to_ascii_lowercase()) };
        assert_eq!(field.kind, expected, "{}", name.escape_ascii());
        let name = name.to_ascii_lowercase();
        let all = reference::values(&kept, std::str::from_utf8(&name).expect("a token"));
        assert_eq!(request.get(bytes, &name).collect::<Vec<_>>(), all);
    }
    kept
}

fn upgrade(request: &Request, bytes: &[u8], lines: &[(&[u8], &[u8])], has_body: bool, asked: bool) {
    if let Some(protocol) = request.upgrade(bytes) {
        assert!(asked && !has_body && request.version() == Version::Http11);
        assert_eq!(reference::values(lines, "upgrade"), [protocol]);
        assert!(protocol.splitn(2, |b| *b == b'/').all(reference::is_token));
    }
    if let Some(key) = request.websocket_key(bytes) {
        assert!(request.upgrade(bytes).is_some_and(|p| p.eq_ignore_ascii_case(b"websocket")));
        assert_eq!(request.method(), Method::Get);
        assert_eq!(reference::values(lines, "sec-websocket-version"), [b"13"]);
        assert_eq!(reference::values(lines, "sec-websocket-key"), [key]);
        assert!(key.len() == 24 && key.ends_with(b"=="), "a key that is not 16 bytes in base64 passed");
        let accept = websocket_accept(key);
        assert!(accept.ends_with(b"=") && accept[..27].iter().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(b)));
    }
}

/// Who the client is and what its request is called.
fn names(request: &Request, bytes: &[u8], rules: &RequestRules) {
    for peer in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"] {
        let peer = peer.parse().ok();
        let client = client_address(request, bytes, peer, rules);
        assert_eq!(client.trusted, rules.trusts(peer));
        assert!(client.ip.is_some_and(|ip| ip == ip.to_canonical()), "an address that is not canonical");
        assert!(client.trusted || client.ip == peer.map(|ip| ip.to_canonical()), "an untrusted peer chose its address");
    }
    assert_eq!(client_address(request, bytes, None, rules).trusted, !rules.trusted.is_empty());
    let mut buf = [0; 32];
    let id = request_id(request, bytes, u128::MAX / 5, &mut buf);
    assert!((1..=128).contains(&id.len()) && id.iter().all(|b| b.is_ascii_graphic()), "an unsafe request id passed");
}
