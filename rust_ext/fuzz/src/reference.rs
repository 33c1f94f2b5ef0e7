//! A head read the slow way: the grammar of RFC 9112 on a head the codec accepted, panicking where it is broken.

use std::net::Ipv6Addr;

use fastgate_core::http1::FieldKind;

/// A head cut at its CRLFs.
pub struct Head<'a> {
    /// The request line or status line.
    pub start: &'a [u8],
    /// Name, and value without the white space around it.
    pub lines: Vec<(&'a [u8], &'a [u8])>,
}

/// Cuts an accepted head; `leading` allows one empty line before a request line (RFC 9112 §2.2).
pub fn head(bytes: &[u8], leading: bool) -> Head<'_> {
    for (i, &b) in bytes.iter().enumerate() {
        match b {
            b'\r' => assert_eq!(bytes.get(i + 1), Some(&b'\n'), "a bare CR passed"),
            b'\n' => assert!(i > 0 && bytes[i - 1] == b'\r', "a bare LF passed"),
            b'\t' => {}
            _ => assert!(b >= 0x20 && b != 0x7f, "a control character passed: {b:#x}"),
        }
    }
    let text = if leading { bytes.strip_prefix(b"\r\n").unwrap_or(bytes) } else { bytes };
    let text = text.strip_suffix(b"\r\n\r\n").expect("a head ends with an empty line");
    let mut rest = text;
    let mut cut = Vec::new();
    while let Some(at) = rest.windows(2).position(|w| w == b"\r\n") {
        cut.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    cut.push(rest);
    let start = cut.remove(0);
    Head { start, lines: cut.into_iter().map(line).collect() }
}

fn line(text: &[u8]) -> (&[u8], &[u8]) {
    let colon = text.iter().position(|&b| b == b':').expect("a field line has a colon");
    let (name, value) = (&text[..colon], &text[colon + 1..]);
    assert!(is_token(name), "a name that is no token passed: {}", name.escape_ascii());
    (name, trim(value))
}

/// RFC 9110 §5.6.2.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

/// Without SP and HTAB at the ends.
pub fn trim(text: &[u8]) -> &[u8] {
    let blank = |b: &u8| *b == b' ' || *b == b'\t';
    let from = text.iter().position(|b| !blank(b)).unwrap_or(text.len());
    let to = text.iter().rposition(|b| !blank(b)).map_or(from, |at| at + 1);
    &text[from..to]
}

/// The values of every line of that name (lower case).
pub fn values<'a>(lines: &[(&'a [u8], &'a [u8])], name: &str) -> Vec<&'a [u8]> {
    lines.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, v)| *v).collect()
}

/// The members of all comma lists, empty ones left out, in lower case.
pub fn members(values: &[&[u8]]) -> Vec<Vec<u8>> {
    let cut = values.iter().flat_map(|v| v.split(|b| *b == b','));
    cut.map(|m| trim(m).to_ascii_lowercase()).filter(|m| !m.is_empty()).collect()
}

/// Framing as the lines say it: a length, or chunked.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    Nothing,
    Length(u64),
    Chunked,
}

/// RFC 9112 §6.3 in its strict reading.
pub fn framing(lines: &[(&[u8], &[u8])]) -> Said {
    let (lengths, encodings) = (values(lines, "content-length"), values(lines, "transfer-encoding"));
    assert!(lengths.len() + encodings.len() <= 1, "two framing fields passed");
    if let Some(length) = lengths.first() {
        assert!((1..=19).contains(&length.len()) && length.iter().all(u8::is_ascii_digit), "a bad length passed");
        return Said::Length(std::str::from_utf8(length).expect("digits").parse().expect("19 digits fit"));
    }
    if let Some(encoding) = encodings.first() {
        assert!(encoding.eq_ignore_ascii_case(b"chunked"), "an unknown coding passed");
        return Said::Chunked;
    }
    Said::Nothing
}

/// `host[:port]` without its port and trailing dot, in lower case.
pub fn host(authority: &[u8]) -> Vec<u8> {
    let (name, port) = if authority.first() == Some(&b'[') {
        let close = authority.iter().position(|b| *b == b']').expect("a bracket closes");
        let ip: Ipv6Addr = std::str::from_utf8(&authority[1..close]).expect("ASCII").parse().expect("IPv6");
        (format!("[{ip}]").into_bytes(), &authority[close + 1..])
    } else {
        let end = authority.iter().position(|b| *b == b':').unwrap_or(authority.len());
        let name = authority[..end].to_ascii_lowercase();
        assert!(name.iter().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(b)), "a bad host passed");
        let name = name.strip_suffix(b".").unwrap_or(&name).to_vec();
        assert!(name.len() <= 253 && name.split(|b| *b == b'.').all(|label| !label.is_empty()), "a bad host passed");
        (name, &authority[end..])
    };
    if let Some(digits) = port.strip_prefix(b":") {
        let port: u16 = std::str::from_utf8(digits).expect("digits").parse().expect("a port");
        assert_eq!(port.to_string().as_bytes(), digits, "a padded port passed");
        assert_ne!(port, 0, "port 0 passed");
    } else {
        assert!(port.is_empty(), "something behind the host passed");
    }
    name
}

/// Letters to lower case, anything but letters and digits to `-`.
pub fn mapped(name: &[u8]) -> Vec<u8> {
    name.iter().map(|b| if b.is_ascii_alphanumeric() { b.to_ascii_lowercase() } else { b'-' }).collect()
}

/// Whether a name holds something besides letters, digits and `-`.
pub fn is_odd(name: &[u8]) -> bool {
    !name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
}

/// Which field a name in lower case is.
pub fn kind(name: &[u8]) -> FieldKind {
    use FieldKind as K;
    match name {
        b"te" => K::Te,
        b"host" => K::Host,
        b"date" => K::Date,
        b"proxy" => K::Proxy,
        b"expect" => K::Expect,
        b"cookie" => K::Cookie,
        b"origin" => K::Origin,
        b"trailer" => K::Trailer,
        b"upgrade" => K::Upgrade,
        b"forwarded" => K::Forwarded,
        b"connection" => K::Connection,
        b"keep-alive" => K::KeepAlive,
        b"content-type" => K::ContentType,
        b"x-request-id" => K::XRequestId,
        b"authorization" => K::Authorization,
        b"content-length" => K::ContentLength,
        b"http2-settings" => K::Http2Settings,
        b"proxy-connection" => K::ProxyConnection,
        b"transfer-encoding" => K::TransferEncoding,
        b"proxy-authenticate" => K::ProxyAuthenticate,
        b"proxy-authorization" => K::ProxyAuthorization,
        b"sec-websocket-key" => K::SecWebSocketKey,
        b"sec-websocket-accept" => K::SecWebSocketAccept,
        b"sec-websocket-version" => K::SecWebSocketVersion,
        b"x-forwarded-for" => K::XForwardedFor,
        b"x-forwarded-host" => K::XForwardedHost,
        b"x-forwarded-proto" => K::XForwardedProto,
        b"x-real-ip" | b"x-client-ip" | b"true-client-ip" | b"x-original-url" | b"x-rewrite-url" => K::ClientClaim,
        _ if name.starts_with(b"x-forwarded-") => K::XForwarded,
        _ => K::Other,
    }
}
