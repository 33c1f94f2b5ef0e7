//! Tests of the header filter by attack class: H1, H2, H5, H6, S11-S13, and what must pass byte-exact.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::http1::{
    Framing, Method, Progress, Request, RequestRules, ReservedNames, Response, ResponseFraming, Version,
};
use crate::snapshot::{DotSegments, EncodedSlash, HeaderEdits, UnderscoreHeaders};

fn rules(trusted: &[&str]) -> RequestRules {
    RequestRules {
        head_bytes: 32 * 1024,
        header_count: 100,
        uri_bytes: 8 * 1024,
        encoded_slash: EncodedSlash::Refuse,
        dot_segments: DotSegments::Refuse,
        underscore_headers: UnderscoreHeaders::Drop,
        trusted: trusted.iter().map(|net| net.parse().unwrap()).collect(),
        reserved: ReservedNames::new(&["X-User-Id"]),
    }
}

fn parsed(head: &[u8], rules: &RequestRules) -> Request {
    let mut request = Request::new();
    assert_eq!(request.parse(head, rules), Ok(Progress::Complete(head.len())), "{}", head.escape_ascii());
    request
}

const PEER: &str = "192.0.2.7";

/// What the upstream gets for these lines; `change` may alter what the gateway says.
fn forwarded_by(rules: &RequestRules, head: &[u8], change: impl FnOnce(&mut Outgoing<'_>)) -> String {
    let request = parsed(head, rules);
    let peer: Option<IpAddr> = Some(PEER.parse().unwrap());
    let client = client_address(&request, head, peer, rules);
    let mut outgoing = Outgoing {
        path: request.raw_path(head),
        query: request.query(head),
        host: request.authority(head),
        client: &client,
        peer,
        scheme: "http",
        request_id: b"id-1",
        framing: request.framing(),
        upgrade: None,
        expect_continue: request.expect_continue(),
        edits: &CompiledEdits::default(),
        hook_edits: &[],
    };
    change(&mut outgoing);
    let mut out = Vec::new();
    write_request_head(&mut out, &request, head, &outgoing);
    String::from_utf8_lossy(&out).into_owned()
}

fn forwarded(lines: &str) -> String {
    let head = format!("GET /p?q HTTP/1.1\r\nHost: a.example:81\r\n{lines}\r\n");
    forwarded_by(&rules(&[]), head.as_bytes(), |_| {})
}

const ADDED: &str =
    "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.example:81\r\nX-Request-Id: id-1\r\n";

#[test]
fn what_passes_is_byte_exact_and_in_order() {
    let kept = "user-AGENT: x\r\nX-A: 1\r\nx-a: 2\r\nCookie: a=b; c=d\r\nTraceparent: 00-1\r\ntracestate: a=1\r\nAuthorization: Bearer x\r\n\
        X-HTTP-Method-Override: DELETE\r\nX-Empty: \r\n";
    assert_eq!(forwarded(kept), format!("GET /p?q HTTP/1.1\r\nHost: a.example:81\r\n{kept}{ADDED}\r\n"));
    // White space around values is written anew.
    let lines = "A:1\r\nB:  2 \r\nC: 3\r\n";
    assert_eq!(
        forwarded(lines),
        format!("GET /p?q HTTP/1.1\r\nHost: a.example:81\r\nA: 1\r\nB: 2\r\nC: 3\r\n{ADDED}\r\n")
    );
    for query in ["", "?", "?%7e%7E&{}"] {
        let head = format!("PURGE /%7e/%7E{query} HTTP/1.1\r\nHost: a.example:81\r\n\r\n");
        let expected = format!("PURGE /%7e/%7E{query} HTTP/1.1\r\nHost: a.example:81\r\n{ADDED}\r\n");
        assert_eq!(forwarded_by(&rules(&[]), head.as_bytes(), |_| {}), expected);
    }
}

#[test]
fn h1_hop_by_hop() {
    let lines = "Keep-Alive: timeout=5\r\nX-Hop: 1\r\nConnection: close, x-hop\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nX-End: 2\r\n\
        Upgrade: h2c\r\nHTTP2-Settings: AAA\r\nProxy: http://evil\r\nProxy-Authorization: Basic x\r\n";
    assert_eq!(forwarded(lines), format!("GET /p?q HTTP/1.1\r\nHost: a.example:81\r\nX-End: 2\r\n{ADDED}\r\n"));
}

#[test]
fn h2_untrusted_claims_are_removed() {
    let lines = "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nForwarded: for=1.2.3.4\r\n\
        X-Forwarded-Prefix: /x\r\nX-Forwarded-Some-Very-Long-Name: y\r\nX-Real-IP: 1.2.3.4\r\nX-Client-IP: 1.2.3.4\r\nTrue-Client-IP: 1.2.3.4\r\n\
        X-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\nX-User-Id: 1\r\nx-consumer-name: root\r\nX-Forwarded-Client-Cert: z\r\nX-Kept: 1\r\n";
    assert_eq!(forwarded(lines), format!("GET /p?q HTTP/1.1\r\nHost: a.example:81\r\nX-Kept: 1\r\n{ADDED}\r\n"));
}

#[test]
fn h2_trusted_claims_are_passed_on() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9, 10.0.0.1\r\nX-Forwarded-For: 192.0.2.8\r\nX-Forwarded-Proto: https\r\n\
        X-Forwarded-Host: front\r\nForwarded: for=x\r\nX-Real-IP: 203.0.113.9\r\nX-User-Id: 1\r\n\r\n";
    let got = forwarded_by(&rules(&["192.0.2.0/24"]), head.as_bytes(), |_| {});
    let expected = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: front\r\nForwarded: for=x\r\nX-Real-IP: 203.0.113.9\r\n\
        X-Forwarded-For: 203.0.113.9, 10.0.0.1, 192.0.2.8, 192.0.2.7\r\nX-Request-Id: id-1\r\n\r\n";
    assert_eq!(got, expected);
}

#[test]
fn h2_client_address() {
    let client = |trusted: &[&str], peer: Option<&str>, lines: &str| {
        let (rules, head) = (rules(trusted), format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
        let request = parsed(head.as_bytes(), &rules);
        let found = client_address(&request, head.as_bytes(), peer.map(|ip| ip.parse().unwrap()), &rules);
        (found.ip.map(|ip| ip.to_string()).unwrap_or_default(), found.trusted)
    };
    let nets = ["10.0.0.0/8", "2001:db8::/32"];
    for (peer, lines, ip, trusted) in [
        ("9.9.9.9", "X-Forwarded-For: 1.1.1.1\r\n", "9.9.9.9", false),
        ("10.0.0.1", "", "10.0.0.1", true),
        ("10.0.0.1", "X-Forwarded-For: 1.1.1.1\r\n", "1.1.1.1", true),
        ("::ffff:10.0.0.1", "X-Forwarded-For: 1.1.1.1\r\n", "1.1.1.1", true),
        ("10.0.0.1", "X-Forwarded-For: 6.6.6.6, 1.1.1.1, 10.0.0.2\r\n", "1.1.1.1", true),
        ("10.0.0.1", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 1.1.1.1\r\n", "1.1.1.1", true),
        ("10.0.0.1", "X-Forwarded-For: 10.0.0.3, 10.0.0.2\r\n", "10.0.0.3", true),
        ("10.0.0.1", "X-Forwarded-For: 1.1.1.1, evil, 10.0.0.2\r\n", "10.0.0.2", true),
        ("10.0.0.1", "X-Forwarded-For: fe80::1%eth0\r\n", "10.0.0.1", true),
        ("10.0.0.1", "X-Forwarded-For: \r\n", "10.0.0.1", true),
        ("10.0.0.1", "X-Forwarded-For: [2001:db9::1]:443, 2001:db8::7\r\n", "2001:db9::1", true),
        ("10.0.0.1", "X-Forwarded-For: 1.1.1.1:5000\r\n", "1.1.1.1", true),
        ("10.0.0.1", "X-Forwarded-For: 1.1.1.1:99999\r\n", "10.0.0.1", true),
        ("2001:db8::1", "X-Forwarded-For: ::ffff:1.1.1.1\r\n", "1.1.1.1", true),
    ] {
        assert_eq!(client(&nets, Some(peer), lines), (ip.to_owned(), trusted), "{peer} {lines}");
    }
    for (value, ip) in [
        ("for=1.1.1.1", "1.1.1.1"),
        ("For=\"1.1.1.1:443\";proto=https;by=10.0.0.2;host=\"a,b\"", "1.1.1.1"),
        ("for=6.6.6.6, for=1.1.1.1 , for=10.0.0.2", "1.1.1.1"),
        ("for=6.6.6.6\r\nForwarded: for=1.1.1.1,,for=10.0.0.2", "1.1.1.1"),
        ("for=\"[2001:db9::1]:_port\"", "2001:db9::1"),
        ("for=\"[::ffff:1.1.1.1]\"", "1.1.1.1"),
        ("proto=http;for=1.1.1.1;", "1.1.1.1"),
        (";for=1.1.1.1", "1.1.1.1"),
        ("for=10.0.0.3, for=10.0.0.2", "10.0.0.3"),
        // What is no address ends the reading: the last trusted hop stands for the client.
        ("for=1.1.1.1, for=unknown, for=10.0.0.2", "10.0.0.2"),
        ("for=1.1.1.1, for=_hidden, for=10.0.0.2", "10.0.0.2"),
        ("for=1.1.1.1, proto=http", "10.0.0.1"),
        // So does a line that is not valid, whatever else stands in it.
        ("for=1.1.1.1\r\nForwarded: for=1.1.1.1; proto=http", "10.0.0.1"),
        ("for = 1.1.1.1", "10.0.0.1"),
        ("for=1.1.1.1:443", "10.0.0.1"),
        ("for=[2001:db9::1]", "10.0.0.1"),
        ("for=\"2001:db9::1\"", "10.0.0.1"),
        ("for=\"1.1.1.1", "10.0.0.1"),
        ("for=\"1.1.1.1\"x", "10.0.0.1"),
        ("for=\"1.1\\.1.1\"", "10.0.0.1"),
        ("for=1.1.1.1;for=6.6.6.6", "10.0.0.1"),
        ("for=\"1.1.1.1:99999\"", "10.0.0.1"),
        ("for=\"1.1.1.1:+1\"", "10.0.0.1"),
        ("for=\"1.1.1.1:_\"", "10.0.0.1"),
        ("for=", "10.0.0.1"),
        ("1.1.1.1", "10.0.0.1"),
        ("by=10.0.0.2, x", "10.0.0.1"),
    ] {
        let lines = format!("Forwarded: {value}\r\n");
        assert_eq!(client(&nets, Some("10.0.0.1"), &lines), (ip.to_owned(), true), "{value}");
        assert_eq!(client(&nets, Some("9.9.9.9"), &lines), ("9.9.9.9".into(), false), "{value}");
        // X-Forwarded-For, where there is one, is what counts.
        let both = format!("{lines}X-Forwarded-For: 5.5.5.5\r\n");
        assert_eq!(client(&nets, Some("10.0.0.1"), &both), ("5.5.5.5".into(), true), "{value}");
    }
    let long = format!("Forwarded: {}\r\n", vec!["for=10.0.0.9"; 33].join(","));
    assert_eq!(client(&nets, Some("10.0.0.1"), &long), ("10.0.0.1".into(), true));
    assert_eq!(client(&[], None, "X-Forwarded-For: 1.1.1.1\r\n"), (String::new(), false));
    assert_eq!(client(&nets, None, "X-Forwarded-For: 1.1.1.1\r\n"), ("1.1.1.1".into(), true));
}

#[test]
fn h6_host_is_what_the_policy_says() {
    let head = b"GET http://a.example/x HTTP/1.1\r\nX: 1\r\nhost: b.example\r\n\r\n";
    let got = forwarded_by(&rules(&[]), head, |_| {});
    assert!(got.starts_with("GET /x HTTP/1.1\r\nX: 1\r\nhost: a.example\r\n"), "{got}");
    let got = forwarded_by(&rules(&[]), b"GET / HTTP/1.0\r\n\r\n", |o| o.host = b"target:9000");
    let tail = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Request-Id: id-1\r\n\r\n";
    assert_eq!(got, format!("GET / HTTP/1.1\r\nHost: target:9000\r\n{tail}"));
    let got = forwarded_by(&rules(&[]), b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", |_| {});
    assert!(got.starts_with("OPTIONS * HTTP/1.1\r\nHost: a\r\n"), "{got}");
}

#[test]
fn framing_is_written_anew() {
    let head = |lines: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").into_bytes();
    let got = |lines: &str| forwarded_by(&rules(&[]), &head(lines), |_| {});
    assert!(
        got("Content-Length: 5\r\nX: 1\r\n").starts_with("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX: 1\r\n")
    );
    let leading = got("Content-Length: 0005\r\n");
    assert!(!leading.contains("0005") && leading.contains("Content-Length: 5\r\n"), "{leading}");
    assert_eq!(got("Transfer-Encoding: CHUNKED\r\n").matches("Transfer-Encoding: chunked\r\n").count(), 1);
    assert_eq!(got("Content-Length: 7\r\nExpect: 100-CONTINUE\r\n").matches("Expect: 100-continue\r\n").count(), 1);
    let changed = forwarded_by(&rules(&[]), &head("Content-Length: 5\r\n"), |o| o.framing = Framing::Chunked);
    assert!(!changed.contains("Content-Length") && changed.contains("Transfer-Encoding: chunked\r\n"));
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let got = forwarded_by(&rules(&[]), &head(upgrade), |o| o.upgrade = Some(b"websocket"));
    assert!(
        got.ends_with("Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n") && got.matches("Upgrade:").count() == 1,
        "{got}"
    );
}

#[test]
fn request_ids() {
    let id = |lines: &str| {
        let (rules, head) = (rules(&[]), format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
        let request = parsed(head.as_bytes(), &rules);
        String::from_utf8(request_id(&request, head.as_bytes(), 0xabc, &mut [0; 32]).to_vec()).unwrap()
    };
    let own = "00000000000000000000000000000abc";
    assert_eq!(id("X-Request-Id: a-b.c_d:1\r\n"), "a-b.c_d:1");
    for lines in [
        "",
        "X-Request-Id: a b\r\n",
        "X-Request-Id: \r\n",
        "X-Request-Id: <x>\r\n",
        "X-Request-Id: a\r\nX-Request-Id: b\r\n",
    ] {
        assert_eq!(id(lines), own, "{lines}");
    }
    assert_eq!(id(&format!("X-Request-Id: {}\r\n", "a".repeat(128))).len(), 128);
    assert_eq!(id(&format!("X-Request-Id: {}\r\n", "a".repeat(129))), own);
    let got = forwarded("X-Request-Id: other\r\nX-Request-Id: id-1\r\n");
    assert_eq!(got.matches("X-Request-Id").count(), 1);
}

#[test]
fn edits_of_routes_and_hooks() {
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let edits = HeaderEdits {
        set: vec![pair("X-A", "new"), pair("X-Forwarded-Host", "fixed")],
        add: vec![pair("X-B", "more")],
        remove: vec!["cookie".into(), "X-Request-ID".into()],
    };
    let edits: &'static _ = Box::leak(Box::new(CompiledEdits::new(&edits).unwrap()));
    let hook: &'static [Edit] = Vec::leak(vec![
        Edit::set(b"x-b", b"hook").unwrap(),
        Edit::add(b"x-c", b"1").unwrap(),
        Edit::remove(b"x-d").unwrap(),
    ]);
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-B: 2\r\nCookie: c\r\nX-C: 3\r\nX-D: 4\r\nx-a: 5\r\n\r\n";
    let got = forwarded_by(&rules(&[]), head, |o| (o.edits, o.hook_edits) = (edits, hook));
    let expected = "GET / HTTP/1.1\r\nHost: a\r\nX-C: 3\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-A: new\r\n\
        X-Forwarded-Host: fixed\r\nx-b: hook\r\nx-c: 1\r\n\r\n";
    assert_eq!(got, expected);
    for (name, value) in [
        ("a b", "x"),
        ("", "x"),
        ("x", "a\r\nb"),
        ("x", "a\0"),
        ("x", " a"),
        ("Host", "x"),
        ("Content-Length", "1"),
        ("connection", "x"),
    ] {
        let one = HeaderEdits { set: vec![pair(name, value)], ..HeaderEdits::default() };
        assert!(CompiledEdits::new(&one).is_err(), "{name:?}");
        assert!(Edit::add(name.as_bytes(), value.as_bytes()).is_err(), "{name:?}");
    }
    assert!(Edit::remove(b"transfer-encoding").is_err());
    assert!(CompiledEdits::default().is_empty() && !edits.is_empty());
}

fn answered(head: &str, method: Method, change: impl FnOnce(&mut Incoming<'_>)) -> String {
    let mut response = Response::new();
    assert_eq!(response.parse(head.as_bytes(), method), Ok(Progress::Complete(head.len())));
    let mut incoming = Incoming {
        version: Version::Http11,
        framing: response.framing(),
        keep_alive: true,
        request_id: b"id-1",
        upgrade: None,
        date: b"",
        edits: &CompiledEdits::default(),
        extra: None,
    };
    change(&mut incoming);
    let mut out = Vec::new();
    write_response_head(&mut out, &response, head.as_bytes(), &incoming);
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn a_response_without_a_date_gets_one() {
    let with = |head: &str| answered(head, Method::Get, |i| i.date = b"now");
    assert_eq!(
        with("HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n"),
        "HTTP/1.1 204 No Content\r\nX: 1\r\nDate: now\r\nX-Request-Id: id-1\r\n\r\n"
    );
    assert!(!with("HTTP/1.1 204 No Content\r\ndate: then\r\n\r\n").contains("now"));
    // One that is not passed on is none.
    assert!(with("HTTP/1.1 204 No Content\r\nConnection: date\r\ndate: then\r\n\r\n").contains("Date: now"));
    let edits = |set: &[(&str, &str)], remove: &[&str]| {
        CompiledEdits::new(&HeaderEdits {
            set: set.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
            remove: remove.iter().map(|n| (*n).into()).collect(),
            ..HeaderEdits::default()
        })
        .unwrap()
    };
    for edits in [edits(&[("Date", "set")], &[]), edits(&[], &["date"])] {
        let head = "HTTP/1.1 204 No Content\r\nDate: then\r\n\r\n";
        let mut response = Response::new();
        assert!(response.parse(head.as_bytes(), Method::Get).is_ok());
        let mut out = Vec::new();
        let incoming = Incoming {
            version: Version::Http11,
            framing: response.framing(),
            keep_alive: true,
            request_id: b"id-1",
            upgrade: None,
            date: b"now",
            edits: &edits,
            extra: None,
        };
        write_response_head(&mut out, &response, head.as_bytes(), &incoming);
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains("now") && !text.contains("then"), "{text}");
    }
}

#[test]
fn responses_are_written_anew() {
    let kept = "HTTP/1.1 200 Fine\r\nServer: x\r\nSet-Cookie: a\r\nset-cookie: b\r\nContent-Length: 3\r\nDate: d\r\nVary: y\r\n";
    assert_eq!(answered(&format!("{kept}\r\n"), Method::Get, |_| {}), format!("{kept}X-Request-Id: id-1\r\n\r\n"));
    let head = "HTTP/1.0 200\r\nConnection: x-hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Request-Id: theirs\r\nX-End:1\r\n\r\n";
    let got = answered(head, Method::Get, |i| (i.framing, i.keep_alive) = (ResponseFraming::Chunked, false));
    assert_eq!(
        got,
        "HTTP/1.1 200 \r\nX-End: 1\r\nTransfer-Encoding: chunked\r\nX-Request-Id: id-1\r\nConnection: close\r\n\r\n"
    );
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let got = answered(head, Method::Get, |i| {
        (i.framing, i.keep_alive, i.version) = (ResponseFraming::UntilClose, false, Version::Http10);
    });
    assert_eq!(got, "HTTP/1.1 200 OK\r\nX-Request-Id: id-1\r\nConnection: close\r\n\r\n");
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
    assert!(
        answered(head, Method::Head, |i| i.version = Version::Http10)
            .contains("Content-Length: 7\r\nX-Request-Id: id-1\r\nConnection: keep-alive")
    );
    assert!(!answered("HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", Method::Get, |_| {}).contains("Content-Length"));
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";
    let got = answered(head, Method::Get, |i| i.upgrade = Some(b"websocket"));
    assert!(
        got.contains("Accept: x\r\n") && got.ends_with("Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
        "{got}"
    );
}

#[test]
fn interim_heads() {
    let head = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\nX: 1\r\nContent-Length: 0\r\n\r\n";
    let mut response = Response::new();
    assert_eq!(response.parse(head, Method::Get), Ok(Progress::Complete(head.len())));
    let mut out = Vec::new();
    write_interim_head(&mut out, &response, head);
    assert_eq!(out, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
}

#[test]
fn h5_own_answers() {
    let answer = Answer {
        status: 404,
        detail: "no \"route\"\r\n\u{1}",
        request_id: b"id-1",
        keep_alive: true,
        version: Version::Http11,
        head_only: false,
        fields: &[
            ("Allow", b"GET"),
            ("X-Bad", b"a\r\nSet-Cookie: x"),
            ("Bad Name", b"x"),
            ("Content-Length", b"1"),
            ("X-Nul", b"\0"),
        ],
        edits: &NO_EDITS,
        extra: None,
        content: Content::Problem,
        date: b"Sat, 21 Nov 2026 12:00:00 GMT",
    };
    let write = |a: &Answer<'_>| {
        let mut out = Vec::new();
        write_answer(&mut out, a);
        String::from_utf8(out).unwrap()
    };
    let text = write(&answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(
        head,
        format!(
            "HTTP/1.1 404 Not Found\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\nAllow: GET\r\nContent-Type: application/problem+json\r\n\
             Content-Length: {}\r\nX-Request-Id: id-1",
            body.len()
        )
    );
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["detail"], "no \"route\"\r\n\u{1}");
    assert_eq!(
        (&problem["status"], &problem["title"], &problem["request_id"]),
        (&404.into(), &"Not Found".into(), &"id-1".into())
    );
    assert!(write(&Answer { head_only: true, ..answer }).ends_with("X-Request-Id: id-1\r\n\r\n"));
    assert!(write(&Answer { keep_alive: false, ..answer }).contains("Connection: close\r\n\r\n"));
    let bytes = Content::Bytes { content_type: Some("text/plain"), body: b"hi" };
    assert!(write(&Answer { content: bytes, ..answer }).contains("Content-Type: text/plain\r\nContent-Length: 2\r\n"));
    let none = write(&Answer { status: 204, content: bytes, ..answer });
    assert!(!none.contains("Content-") && none.ends_with("\r\n\r\n"));
    let names = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let edits = CompiledEdits::new(&HeaderEdits {
        set: names(&[("Content-Type", "text/html"), ("X-Frame-Options", "DENY")]),
        add: names(&[("X-More", "1")]),
        remove: vec!["allow".to_owned()],
    });
    let edited = write(&Answer { edits: &edits.unwrap(), content: bytes, ..answer });
    assert!(!edited.contains("Allow") && !edited.contains("text/plain"), "{edited}");
    assert!(edited.contains("Content-Type: text/html\r\nX-Frame-Options: DENY\r\nX-More: 1\r\n"), "{edited}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_written_request_means_what_was_parsed(
        method in prop::sample::select(vec!["GET", "POST", "M-SEARCH"]),
        target in "/[a-z./%20;]{0,12}(\\?[a-z{}%=]{0,8})?",
        fields in prop::collection::vec(("[A-Za-z!#.-]{1,20}", "[ \t]{0,2}", "([!-~\u{80}-\u{ff}]([ -~]{0,20}[!-~])?)?"), 0..10),
        framing in prop::sample::select(vec!["", "Content-Length: 07\r\n", "Transfer-Encoding: Chunked\r\n"]),
    ) {
        let rules = rules(&[]);
        let lines: String = fields.iter().map(|(name, space, value)| format!("{name}:{space}{value}{space}\r\n")).collect();
        let head = format!("{method} {target} HTTP/1.1\r\n{lines}Host: A.example\r\n{framing}\r\n");
        let mut first = Request::new();
        if first.parse(head.as_bytes(), &rules) != Ok(Progress::Complete(head.len())) {
            return Ok(());
        }
        let client = Client { ip: None, trusted: false };
        let mut out = Vec::new();
        write_request_head(&mut out, &first, head.as_bytes(), &Outgoing {
            path: first.raw_path(head.as_bytes()), query: first.query(head.as_bytes()), host: first.authority(head.as_bytes()),
            client: &client, peer: None, scheme: "http", request_id: b"i", framing: first.framing(), upgrade: None,
            expect_continue: false, edits: &CompiledEdits::default(), hook_edits: &[],
        });
        let mut second = Request::new();
        prop_assert_eq!(second.parse(&out, &rules), Ok(Progress::Complete(out.len())), "{}", out.escape_ascii());
        prop_assert_eq!(second.method_bytes(&out), first.method_bytes(head.as_bytes()));
        prop_assert_eq!(second.raw_path(&out), first.raw_path(head.as_bytes()));
        prop_assert_eq!(second.path(&out), first.path(head.as_bytes()));
        prop_assert_eq!(second.query(&out), first.query(head.as_bytes()));
        prop_assert_eq!(second.host(&out), first.host(head.as_bytes()));
        prop_assert_eq!(second.framing(), first.framing());
        let end_to_end = |request: &Request, bytes: &[u8]| -> Vec<(Vec<u8>, Vec<u8>)> {
            use crate::http1::FieldKind as K;
            let kept = request.fields().iter().filter(|f| f.kind < K::Host);
            kept.map(|f| (f.name.of(bytes).to_vec(), f.value.of(bytes).to_vec())).collect()
        };
        prop_assert_eq!(end_to_end(&second, &out), end_to_end(&first, head.as_bytes()));
    }
}

#[test]
fn a_policy_speaks_for_a_fixed_answer_too() {
    let mut extra = Extra::default();
    extra.strip_cors();
    extra.add("Access-Control-Allow-Origin", b"https://app.example.com");
    let answer = Answer {
        status: 200,
        detail: "",
        request_id: b"id",
        keep_alive: true,
        version: Version::Http11,
        head_only: false,
        fields: &[("access-control-allow-origin", b"*"), ("X-A", b"1")],
        edits: &NO_EDITS,
        extra: Some(&extra),
        content: Content::Bytes { content_type: None, body: b"" },
        date: b"",
    };
    let mut out = Vec::new();
    write_answer(&mut out, &answer);
    let text = String::from_utf8(out).unwrap().to_ascii_lowercase();
    assert_eq!(text.matches("access-control-allow-origin").count(), 1, "{text}");
    assert!(text.contains("x-a: 1") && text.contains("https://app.example.com"));
}
