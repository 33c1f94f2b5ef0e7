//! Request heads: S1-S9, S11-S14, H1, H3, H4, H6, P2, D2, W2.

use super::*;
use Reason as R;

fn refused(rows: &[(&str, Vec<u8>, Reason)]) {
    for (id, head, reason) in rows {
        let got = parse(head).map(|_| ());
        assert_eq!(got, Err(*reason), "{id}: {}", head.escape_ascii());
    }
}

#[test]
fn s1_length_and_encoding() {
    refused(&[
        ("CL.TE", with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), R::LengthAndEncoding),
        ("TE.CL", with("Transfer-Encoding: Chunked\r\nContent-Length: 5\r\n"), R::LengthAndEncoding),
        ("CL 0", with("TRANSFER-ENCODING: CHUNKED\r\ncontent-length: 0\r\n"), R::LengthAndEncoding),
    ]);
}

#[test]
fn s2_transfer_encoding() {
    let te = |value: &str| with(format!("Transfer-Encoding:{value}\r\n"));
    refused(&[
        ("unknown", te(" xchunked"), R::EncodingUnknown),
        ("known, not last", te(" chunked, identity"), R::EncodingSyntax),
        ("twice in a line", te(" chunked, chunked"), R::EncodingSyntax),
        ("gzip", te(" gzip, chunked"), R::EncodingUnknown),
        ("identity", te(" identity"), R::EncodingUnknown),
        ("two lines", te(" chunked\r\nTransfer-Encoding: chunked"), R::EncodingRepeated),
        ("empty", te(""), R::EncodingSyntax),
        ("vertical tab", te(" \x0bchunked"), R::FieldValue),
        ("form feed", te(" chunked\x0c"), R::FieldValue),
        ("NUL", te(" chunked\0"), R::FieldValue),
        ("tab before", te("\tchunked"), R::EncodingSyntax),
        ("tab behind", te(" chunked\t"), R::EncodingSyntax),
        ("space before colon", with("Transfer-Encoding : chunked\r\n"), R::SpaceBeforeColon),
        ("folded", te("\r\n chunked"), R::EncodingSyntax),
        ("parameter", te(" chunked;p=1"), R::EncodingSyntax),
        ("quoted", te(" \"chunked\""), R::EncodingSyntax),
        ("list member", te(" chunked,"), R::EncodingSyntax),
    ]);
    assert_eq!(parse(&te(" chunked")).unwrap().framing(), Framing::Chunked);
    assert_eq!(parse(&te("CHUNKED  ")).unwrap().framing(), Framing::Chunked);
}

#[test]
fn s3_content_length() {
    let length = |value: &str| with(format!("Content-Length: {value}\r\n"));
    for bad in ["+5", "-0", "0x5", "5 5", "5,10", "5,5", "5_0", "0o5", "12345678901234567890", "", "5.", "\u{665}"] {
        assert_eq!(parse(&length(bad)).map(|_| ()), Err(R::LengthSyntax), "{bad}");
    }
    refused(&[
        ("differing", length("5\r\nContent-Length: 6"), R::LengthRepeated),
        ("equal", length("5\r\nContent-Length: 5"), R::LengthRepeated),
    ]);
    for (good, value) in [("0", 0), ("5", 5), ("9999999999999999999", 9_999_999_999_999_999_999), ("005", 5)] {
        assert_eq!(parse(&length(good)).unwrap().framing(), Framing::Length(value));
    }
}

#[test]
fn s6_line_ends() {
    let rows: &[(&[u8], Reason)] = &[
        (b"GET / HTTP/1.1\nHost: a\r\n\r\n", R::BareLf),
        (b"GET / HTTP/1.1\r\nHost: a\n\r\n", R::BareLf),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\n", R::BareLf),
        (b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", R::BareCr),
        (b"GET / HTTP/1.1\rHost: a\r\n\r\n", R::BareCr),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\rX\n\r\n", R::BareCr),
        (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", R::BareLf),
        (b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", R::EmptyLine),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX\n: y\r\n\r\n", R::BareLf),
    ];
    for (head, reason) in rows {
        assert_eq!(parse(head).map(|_| ()), Err(*reason), "{}", head.escape_ascii());
    }
    assert!(parse(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").is_ok());
    // Answered without waiting for more.
    assert_eq!(Request::new().parse(b"GET / HTTP/1.1\nHo", &rules()), Err(R::BareLf));
    assert_eq!(Request::new().parse(b"\x16\x03\x01\x02", &rules()), Err(R::RequestLine));
}

#[test]
fn s7_folding_and_names() {
    refused(&[
        ("folded", with("X: a\r\n b\r\n"), R::LineFolding),
        ("folded by tab", with("X: a\r\n\tb\r\n"), R::LineFolding),
        ("first line", b"GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n".to_vec(), R::LineFolding),
        ("no colon", with("Xyz\r\n"), R::FieldName),
        ("no name", with(": y\r\n"), R::FieldName),
        ("tab before colon", with("X\t: y\r\n"), R::SpaceBeforeColon),
        ("not a token", with("X(y): z\r\n"), R::FieldName),
        ("nbsp", with(b"x-user-id\xa0: 1\r\n"), R::FieldName),
        ("NUL in name", with("X\0: 1\r\n"), R::FieldName),
        ("DEL in value", with("X: \x7f\r\n"), R::FieldValue),
        ("NUL in value", with("X-Long-Enough: 0123456789abcdef\0\r\n"), R::FieldValue),
    ]);
}

#[test]
fn s8_http_1_0() {
    let head = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(parse(head).map(|_| ()), Err(R::EncodingVersion));
    let request = parse(b"POST / HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!((request.framing(), request.keep_alive(), request.host(b"")), (Framing::None, false, &b""[..]));
    assert!(parse(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").unwrap().keep_alive());
}

#[test]
fn s9_bodies_of_any_method_are_framed() {
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "PATCH", "PURGE", "M-SEARCH"] {
        let head = format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n");
        let request = parse(head.as_bytes()).unwrap();
        assert_eq!(request.framing(), Framing::Length(30));
        assert_eq!(request.method_bytes(head.as_bytes()), method.as_bytes());
    }
}

#[test]
fn s11_expect() {
    for bad in ["100-Continue, x", "200-ok", "", "100-continue,100-continue", "100-continue;a"] {
        assert_eq!(parse(&with(format!("Expect: {bad}\r\n"))).map(|_| ()), Err(R::ExpectUnknown), "{bad}");
    }
    assert!(parse(&with("Expect: 100-Continue\r\nContent-Length: 1\r\n")).unwrap().expect_continue());
    assert!(!parse(&with("Expect: 100-continue\r\n")).unwrap().expect_continue());
    let old = b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
    assert!(!parse(old).unwrap().expect_continue());
}

#[test]
fn s12_s13_upgrade() {
    let asks = |lines: &str| {
        let head = with(lines);
        parse(&head).unwrap().upgrade(&head).map(<[u8]>::to_vec)
    };
    assert_eq!(asks("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"), Some(b"websocket".to_vec()));
    assert_eq!(asks("Connection: Upgrade\r\nUpgrade: foo/2\r\n"), Some(b"foo/2".to_vec()));
    assert_eq!(
        asks("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n"),
        Some(b"h2c".to_vec())
    );
    for none in [
        "Upgrade: websocket\r\n",
        "Connection: Upgrade\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket, foo\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: foo\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n",
    ] {
        assert_eq!(asks(none), None, "{none}");
    }
    let old = b"GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(parse(old).unwrap().upgrade(old), None);
}

#[test]
fn s14_h1_connection_names() {
    for bad in [
        "Transfer-Encoding",
        "content-length",
        "Host",
        "close, X-Forwarded-For",
        "Authorization",
        "Cookie",
        "X-Real-IP",
        "X-User-Id",
        "x_user_id",
        "X-Forwarded-Anything",
        "Forwarded",
        "X-Consumer-Name",
        "Origin",
        "Expect",
        "X-Request-Id",
        "X-Forwarded-Client-Cert",
    ] {
        assert_eq!(parse(&with(format!("Connection: {bad}\r\n"))).map(|_| ()), Err(R::ConnectionNames), "{bad}");
    }
    for bad in ["a b", "\"x\"", "a;b", "(c)"] {
        assert_eq!(parse(&with(format!("Connection: {bad}\r\n"))).map(|_| ()), Err(R::ConnectionSyntax), "{bad}");
    }
    let many = format!("Connection: {}\r\n", "a,".repeat(33));
    assert_eq!(parse(&with(many)).map(|_| ()), Err(R::ConnectionSyntax));
    let head = with("Connection: close,, X-Hop ,\r\nX-Hop: 1\r\nX-End: 2\r\n");
    let request = parse(&head).unwrap();
    assert!(!request.keep_alive());
    let named: Vec<_> = request.fields().iter().filter(|f| f.named()).map(|f| f.name.of(&head)).collect();
    assert_eq!(named, [b"X-Hop"]);
}

#[test]
fn h3_underscores_and_aliases() {
    let names = |underscore: UnderscoreHeaders, lines: &str| -> Result<Vec<String>, Reason> {
        let head = with(lines);
        let request = parse_by(&head, &RequestRules { underscore_headers: underscore, ..rules() })?;
        let text = |f: &Field| String::from_utf8_lossy(f.name.of(&head)).into_owned();
        Ok(request.fields().iter().skip(1).map(text).collect())
    };
    use UnderscoreHeaders as U;
    assert_eq!(names(U::Drop, "X_Foo: 1\r\nX-Foo: 2\r\n").unwrap(), ["X-Foo"]);
    assert_eq!(names(U::Pass, "X_Foo: 1\r\nX-Foo: 2\r\n").unwrap(), ["X_Foo", "X-Foo"]);
    assert_eq!(names(U::Refuse, "X_Foo: 1\r\n"), Err(R::FieldUnderscore));
    for alias in [
        "X_User_Id",
        "x-user-id",
        "X.User.Id",
        "X-USER_ID",
        "X-Consumer-Custom-Id",
        "x~user-id",
        "X-Forwarded-Client-Cert",
    ] {
        assert!(names(U::Pass, &format!("{alias}: 1\r\n{alias}: 2\r\n")).unwrap().is_empty(), "{alias}");
    }
    for alias in ["Content_Length", "Transfer.Encoding", "X_Forwarded_For", "X_Forwarded_Foo", "Host_"] {
        let kept = names(U::Pass, &format!("{alias}: 1\r\n")).unwrap();
        assert_eq!(kept.is_empty(), alias != "Host_", "{alias}");
    }
    assert_eq!(names(U::Drop, "X-User-Identity: 1\r\nX.Y!#$%&'*+^`|~2: 1\r\n").unwrap().len(), 2);
}

#[test]
fn h4_every_value_is_seen() {
    let head = with("X-Role: user,admin\r\nx-role: root\r\nX-Rolex: no\r\n");
    let request = parse(&head).unwrap();
    assert_eq!(request.get(&head, b"x-role").collect::<Vec<_>>(), [&b"user,admin"[..], b"root"]);
}

#[test]
fn h6_host() {
    let host = |value: &str| {
        let head = format!("GET / HTTP/1.1\r\nHost: {value}\r\n\r\n").into_bytes();
        parse(&head).map(|request| String::from_utf8(request.host(&head).to_vec()).unwrap())
    };
    for (value, canonical) in [
        ("a.example", "a.example"),
        ("A.Example:8080", "a.example"),
        ("a.example.", "a.example"),
        ("a.example.:80", "a.example"),
        ("127.0.0.1:65535", "127.0.0.1"),
        ("[::1]:80", "[::1]"),
        ("[2001:DB8:0::1]", "[2001:db8::1]"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("my_service", "my_service"),
        ("evillocalhost:3000", "evillocalhost"),
        ("a-rather-long-host-name.of-several.labels.example", "a-rather-long-host-name.of-several.labels.example"),
        ("exactly-16-bytes", "exactly-16-bytes"),
        ("x", "x"),
    ] {
        assert_eq!(host(value).as_deref(), Ok(canonical), "{value}");
    }
    for bad in [
        "a,b",
        "a/b",
        "user@a",
        "a b",
        "a..b",
        ".a",
        ".",
        "..",
        "[::1",
        "[::1%25eth0]",
        "[fe80::1%eth0]",
        "::1",
        "a]",
        "b\u{fc}cher",
        "a%2eb",
        "[::1]x",
        "a?b",
        "a#b",
        "a\\b",
        "a-long.host-name..example",
    ] {
        assert!(matches!(host(bad), Err(R::HostSyntax | R::HostPort)), "{bad}: {:?}", host(bad));
    }
    for port in ["", "0", "65536", "080", "123456", "8o", "-1", "+80", "80:80", " 80"] {
        assert_eq!(host(&format!("a:{port}")), Err(R::HostPort), "{port}");
    }
    assert_eq!(host(""), Err(R::HostMissing));
    assert_eq!(host(&"a".repeat(254)), Err(R::HostSyntax));
    assert_eq!(parse(b"GET / HTTP/1.1\r\n\r\n").map(|_| ()), Err(R::HostMissing));
    assert_eq!(parse(&with("Host: a.example\r\n")).map(|_| ()), Err(R::HostRepeated));
    assert_eq!(parse(&with("Host: b.example\r\n")).map(|_| ()), Err(R::HostRepeated));
}

#[test]
fn h6_absolute_form() {
    let head = b"GET HTTP://User.Example:81/x?y HTTP/1.1\r\nHost: other.example\r\n\r\n";
    let request = parse(head).unwrap();
    assert_eq!(request.host(head), b"user.example");
    assert_eq!(request.authority(head), b"User.Example:81");
    assert_eq!(
        (request.raw_path(head), request.path(head), request.query(head)),
        (&b"/x"[..], &b"/x"[..], Some(&b"y"[..]))
    );
    let head = b"GET https://a.example?q HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let request = parse(head).unwrap();
    assert_eq!(
        (request.raw_path(head), request.path(head), request.query(head)),
        (&b"/"[..], &b"/"[..], Some(&b"q"[..]))
    );
    let head = b"OPTIONS http://a.example HTTP/1.1\r\nHost: a.example\r\n\r\n";
    assert!(parse(head).unwrap().is_asterisk());
    for (target, reason) in [
        ("http://u@a.example/", R::HostSyntax),
        ("http:///x", R::HostMissing),
        ("ftp://a.example/", R::TargetForm),
        ("a.example:80", R::TargetForm),
        ("*", R::TargetForm),
        ("http://a.example:0/", R::HostPort),
        ("http:/a.example/", R::TargetForm),
        ("javascript:1", R::TargetForm),
        ("/#x", R::TargetFragment),
        ("http://a.example#x", R::TargetFragment),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n");
        assert_eq!(parse(head.as_bytes()).map(|_| ()), Err(reason), "{target}");
    }
    // Host is judged even where it is not used.
    let head = b"GET http://a.example/ HTTP/1.1\r\nHost: a b\r\n\r\n";
    assert_eq!(parse(head).map(|_| ()), Err(R::HostSyntax));
    let head = b"GET http://a.example/ HTTP/1.1\r\n\r\n";
    assert_eq!(parse(head).map(|_| ()), Err(R::HostMissing));
    let head = b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";
    let request = parse(head).unwrap();
    assert!(request.is_asterisk());
    assert_eq!((request.raw_path(head), request.path(head)), (&b"*"[..], &b"*"[..]));
}

#[test]
fn p2_methods_and_versions() {
    for (line, reason) in [
        ("get / HTTP/1.1", R::MethodUnknown),
        ("TRACE / HTTP/1.1", R::MethodTrace),
        ("CONNECT a:443 HTTP/1.1", R::MethodConnect),
        ("G!T / HTTP/1.1", R::MethodUnknown),
        ("G\u{fc}T / HTTP/1.1", R::MethodSyntax),
        ("GET\t/ HTTP/1.1", R::MethodSyntax),
        (" GET / HTTP/1.1", R::RequestLine),
        ("GET", R::RequestLine),
        ("GET /", R::RequestLine),
        ("GET  / HTTP/1.1", R::TargetForm),
        ("GET /  HTTP/1.1", R::VersionSyntax),
        ("GET / HTTP/1.1 ", R::VersionSyntax),
        ("GET / HTTP/1.2", R::VersionUnsupported),
        ("GET / HTTP/2.0", R::VersionUnsupported),
        ("GET / HTTP/0.9", R::VersionUnsupported),
        ("GET / HTTP/1.10", R::VersionSyntax),
        ("GET / http/1.1", R::VersionSyntax),
        ("GET / HTTP/01.1", R::VersionSyntax),
        ("GET / HTTP/1,1", R::VersionSyntax),
        ("PRI * HTTP/2.0", R::VersionUnsupported),
    ] {
        let head = format!("{line}\r\nHost: a\r\n\r\n");
        assert_eq!(parse(head.as_bytes()).map(|_| ()), Err(reason), "{line}");
    }
    assert_eq!(Request::new().parse(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &rules()), Err(R::VersionUnsupported));
    let long = |n: usize| format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(n));
    assert!(parse(long(32).as_bytes()).is_ok());
    assert_eq!(parse(long(33).as_bytes()).map(|_| ()), Err(R::MethodUnknown));
    for (name, method) in [
        ("GET", Method::Get),
        ("HEAD", Method::Head),
        ("POST", Method::Post),
        ("PUT", Method::Put),
        ("PATCH", Method::Patch),
        ("DELETE", Method::Delete),
        ("OPTIONS", Method::Options),
        ("X_Y-9", Method::Other),
    ] {
        assert_eq!(
            parse(format!("{name} / HTTP/1.1\r\nHost: a\r\n\r\n").to_uppercase().as_bytes()).unwrap().method(),
            method
        );
    }
}

#[test]
fn d2_limits() {
    let lines = |n: usize| with("A: b\r\n".repeat(n));
    assert!(parse(&lines(99)).is_ok());
    assert_eq!(parse(&lines(100)).map(|_| ()), Err(R::TooManyFields));
    // Removed lines count too.
    assert_eq!(parse(&with("A_B: c\r\n".repeat(100))).map(|_| ()), Err(R::TooManyFields));
    let sized = |n: usize| {
        let rest = n - with("X: \r\n").len();
        with(format!("X: {}\r\n", "v".repeat(rest)))
    };
    assert!(parse(&sized(32 * 1024)).is_ok());
    assert_eq!(parse(&sized(32 * 1024 + 1)).map(|_| ()), Err(R::HeadTooLarge));
    let mut request = Request::new();
    assert_eq!(request.parse(&vec![b'x'; 32 * 1024], &rules()), Ok(Progress::Incomplete));
    assert_eq!(request.parse(&vec![b'x'; 32 * 1024 + 1], &rules()), Err(R::UriTooLong));
    let target = |n: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "p".repeat(n - 1)).into_bytes();
    assert!(parse(&target(8192)).is_ok());
    assert_eq!(parse(&target(8193)).map(|_| ()), Err(R::UriTooLong));
}

#[test]
fn w2_websocket_handshake() {
    let hello = "Connection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let key = |head: &[u8]| parse(head).unwrap().websocket_key(head).map(<[u8]>::to_vec);
    assert_eq!(key(&with(hello)), Some(b"dGhlIHNhbXBsZSBub25jZQ==".to_vec()));
    for (from, to) in [
        ("13", "12"),
        ("13", "13, 12"),
        ("ZQ==", "Z"),
        ("Connection: Upgrade", "Connection: close"),
        ("WebSocket\r", "foo\r"),
        ("Sec-WebSocket-Version: 13\r\n", ""),
        ("Upgrade: WebSocket", "Content-Length: 1\r\nUpgrade: WebSocket"),
        ("Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13\r\n"),
    ] {
        assert!(hello.contains(from), "{from}");
        assert_eq!(key(&with(hello.replacen(from, to, 1))), None, "{from} -> {to}");
    }
    let post = String::from_utf8(with(hello)).unwrap().replace("GET", "POST");
    assert_eq!(key(post.as_bytes()), None);
}

#[test]
fn valid_and_unusual_requests_pass() {
    let cookies = (0..100).map(|i| format!("c{i}=v{i}")).collect::<Vec<_>>().join("; ");
    let long = "x".repeat(8192);
    for lines in [
        format!("Cookie: {cookies}\r\n"),
        format!("X-Long: {long}\r\n"),
        "X-Empty:\r\nX-Blank:   \r\nX-Tab:\ta\tb\t\r\n".into(),
        "X-A: 1\r\nx-a: 2\r\nX-B: 3\r\nX-A: 4\r\n".into(),
        "X-Colon: a:b:c\r\n!#$%&'*+-.^`|~9: odd but a token\r\n".into(),
    ] {
        assert!(parse(&with(lines.as_bytes())).is_ok(), "{}", &lines[..lines.len().min(80)]);
    }
    let head = with(b"X-Obs: \xff\xfe\x80 text\r\n");
    assert_eq!(parse(&head).unwrap().get(&head, b"x-obs").next(), Some(&b"\xff\xfe\x80 text"[..]));
    let head = with("X-Tab: \t a\tb \t\r\n");
    assert_eq!(parse(&head).unwrap().get(&head, b"x-tab").next(), Some(&b"a\tb"[..]));
}

#[test]
fn pipelined_bytes_are_left_alone() {
    let first = with("X: y\r\n");
    let both = [first.as_slice(), b"GET /second HTTP/1.1\r\n"].concat();
    let mut request = Request::new();
    assert_eq!(request.parse(&both, &rules()), Ok(Progress::Complete(first.len())));
    assert_eq!(request.parse(&both, &rules()), Ok(Progress::Complete(first.len())));
}
