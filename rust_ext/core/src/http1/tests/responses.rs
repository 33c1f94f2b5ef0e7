//! Response heads: S6, S7, S15 and the limits for origins.

use super::*;
use Reason as R;

fn response(head: impl AsRef<[u8]>, method: Method) -> Result<Response, Reason> {
    let head = head.as_ref();
    let mut response = Response::new();
    match response.parse(head, method)? {
        Progress::Complete(len) => assert_eq!(len, head.len()),
        Progress::Incomplete => panic!("incomplete: {}", head.escape_ascii()),
    }
    Ok(response)
}

#[test]
fn s15_refused() {
    let ok = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n").into_bytes();
    let rows: &[(Vec<u8>, Reason)] = &[
        (ok("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), R::LengthAndEncoding),
        (ok("Content-Length: 1\r\nContent-Length: 1\r\n"), R::LengthRepeated),
        (ok("Content-Length: 1, 1\r\n"), R::LengthSyntax),
        (ok("Transfer-Encoding: gzip, chunked\r\n"), R::EncodingUnknown),
        (ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), R::EncodingRepeated),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), R::EncodingVersion),
        (ok("X: a\r\n b\r\n"), R::LineFolding),
        (ok("X : a\r\n"), R::SpaceBeforeColon),
        (ok("X: a\0\r\n"), R::FieldValue),
        (b"HTTP/1.1 200 OK\nX: y\r\n\r\n".to_vec(), R::BareLf),
        (b"HTTP/1.1 200 OK\r\nX: y\n\r\n".to_vec(), R::BareLf),
        (b"HTTP/1.1 200\n\r\n".to_vec(), R::BareLf),
        (b"HTTP/1.1 20 OK\r\n\r\n".to_vec(), R::StatusCode),
        (b"HTTP/1.1 2000 OK\r\n\r\n".to_vec(), R::StatusCode),
        (b"HTTP/1.1 099 OK\r\n\r\n".to_vec(), R::StatusCode),
        (b"HTTP/1.1 +20 OK\r\n\r\n".to_vec(), R::StatusCode),
        (b"HTTP/2 200 OK\r\n\r\n".to_vec(), R::StatusLine),
        (b"HTTP/1.2 200 OK\r\n\r\n".to_vec(), R::StatusLine),
        (b"HTTP/1.1  200 OK\r\n\r\n".to_vec(), R::StatusCode),
        (b"HTTP/1.1 200 O\0K\r\n\r\n".to_vec(), R::StatusLine),
        (b"ICY 200 OK\r\n\r\n".to_vec(), R::StatusLine),
        (ok(&"A: b\r\n".repeat(201)), R::TooManyFields),
        (ok(&format!("X: {}\r\n", "v".repeat(65536))), R::HeadTooLarge),
    ];
    for (head, reason) in rows {
        let shown = head.escape_ascii().to_string();
        assert_eq!(response(head, Method::Get).map(|_| ()), Err(*reason), "{}", &shown[..shown.len().min(90)]);
    }
    assert_eq!(Response::new().parse(b"SSH-2.0", Method::Get), Err(R::StatusLine));
}

#[test]
fn s15_framing_and_reuse() {
    use ResponseFraming as F;
    let rows: &[(&str, Method, F, bool)] = &[
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", Method::Get, F::Length(3), true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", Method::Get, F::Chunked, true),
        ("HTTP/1.1 200 OK\r\n", Method::Get, F::UntilClose, false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n", Method::Get, F::Length(3), false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: Keep-Alive\r\n", Method::Get, F::Length(3), true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n", Method::Get, F::Length(3), false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", Method::Head, F::None, true),
        ("HTTP/1.1 200 OK\r\n", Method::Head, F::None, true),
        ("HTTP/1.1 204 No Content\r\n", Method::Get, F::None, true),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n", Method::Get, F::None, true),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n", Method::Get, F::None, false),
        ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n", Method::Get, F::None, false),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n", Method::Get, F::None, true),
        ("HTTP/1.1 100 Continue\r\n", Method::Post, F::None, true),
        ("HTTP/1.1 103\r\nLink: x\r\n", Method::Get, F::None, true),
    ];
    for (head, method, framing, keep) in rows {
        let got = response(format!("{head}\r\n"), *method).unwrap();
        assert_eq!((got.framing(), got.keep_alive()), (*framing, *keep), "{head}");
    }
}

#[test]
fn status_lines() {
    for (line, status, reason) in [
        ("HTTP/1.1 200 OK", 200, "OK"),
        ("HTTP/1.1 200 ", 200, ""),
        ("HTTP/1.1 200", 200, ""),
        ("HTTP/1.0 999 Odd\tbut valid", 999, "Odd\tbut valid"),
        ("HTTP/1.1 404  two spaces", 404, " two spaces"),
    ] {
        let head = format!("{line}\r\nContent-Length: 0\r\n\r\n");
        let got = response(&head, Method::Get).unwrap();
        assert_eq!((got.status(), got.reason_phrase(head.as_bytes())), (status, reason.as_bytes()), "{line}");
    }
    assert!(response(format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(200)), Method::Get).is_ok());
}

#[test]
fn s12_upgrade() {
    let head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(response(head, Method::Get).unwrap().upgrade(head), Some(&b"websocket"[..]));
    let head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(response(head, Method::Get).unwrap().upgrade(head), None);
}
