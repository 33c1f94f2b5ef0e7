//! The PROXY protocol, versions 1 and 2 (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>): the address of
//! a client, said by the proxy before its connection's own bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A line of version 1 (§2.1), CRLF included.
const MAX_LINE: usize = 107;

/// What follows the fixed part of version 2: addresses and TLVs.
pub const MAX_BODY: usize = 4096;

/// The longest header there is.
pub const MAX_HEADER: usize = FIXED + MAX_BODY;

/// Signature, version and command, family, length.
const FIXED: usize = 16;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Who connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The proxy itself, for its health checks, or somebody of whom it says nothing: the connection's own address holds.
    Own,
    /// This address.
    Address(IpAddr),
    /// A process on the proxy's machine, by a Unix socket: no address.
    Unix,
}

/// A whole header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes it takes.
    pub len: usize,
    /// Who connected.
    pub source: Source,
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// They begin as neither version does.
    Missing,
    /// Version 1, not as it is written.
    Line,
    /// Version 2 with a version or command nobody knows.
    Command,
    /// Version 2 with less room than its addresses need, or more than is read.
    Length,
    /// Version 2 with a TLV that does not end where it says.
    Tlv,
}

impl Malformed {
    /// One word for logs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Line => "line",
            Self::Command => "command",
            Self::Length => "length",
            Self::Tlv => "tlv",
        }
    }
}

/// Reads the header at the beginning of a connection; `None`: more bytes are needed, at most [`MAX_HEADER`].
///
/// # Errors
/// [`Malformed`], as soon as no more bytes can make it right.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let begun = |with: &[u8]| bytes.iter().zip(with).all(|(a, b)| a == b);
    if begun(SIGNATURE) {
        return version2(bytes);
    }
    if begun(b"PROXY ") {
        return version1(bytes);
    }
    Err(Malformed::Missing)
}

fn version1(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let seen = bytes.get(..MAX_LINE).unwrap_or(bytes);
    let Some(end) = seen.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() < MAX_LINE { Ok(None) } else { Err(Malformed::Line) };
    };
    let line = seen.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(Malformed::Line)?;
    let text = std::str::from_utf8(line).map_err(|_| Malformed::Line)?;
    let len = end.saturating_add(1);
    let mut words = text.split(' ').skip(1);
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        // Whatever follows is ignored (§2.1).
        return Ok(Some(Header { len, source: Source::Own }));
    }
    let mut next = || words.next().ok_or(Malformed::Line);
    let (from, to, from_port, to_port) = (next()?, next()?, next()?, next()?);
    if words.next().is_some() || !is_port(from_port) || !is_port(to_port) {
        return Err(Malformed::Line);
    }
    let source = match family {
        "TCP4" => both::<Ipv4Addr>(from, to).map(IpAddr::V4),
        "TCP6" => both::<Ipv6Addr>(from, to).map(IpAddr::V6),
        _ => None,
    };
    let source = source.ok_or(Malformed::Line)?;
    Ok(Some(Header { len, source: Source::Address(source.to_canonical()) }))
}

fn both<T: std::str::FromStr>(from: &str, to: &str) -> Option<T> {
    to.parse::<T>().ok()?;
    from.parse().ok()
}

fn is_port(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0')) && text.parse::<u16>().is_ok()
}

fn version2(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    // Each byte is judged as it comes.
    let command = match bytes.get(12) {
        None => return Ok(None),
        Some(0x20) => Command::Local,
        Some(0x21) => Command::Proxy,
        Some(_) => return Err(Malformed::Command),
    };
    let Some(&[family, high, low]) = bytes.get(13..FIXED).and_then(|rest| rest.first_chunk::<3>()) else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_BODY {
        return Err(Malformed::Length);
    }
    let len = FIXED.saturating_add(length);
    let Some(body) = bytes.get(FIXED..len) else { return Ok(None) };
    // The low half is the transport: streams and datagrams have the same addresses.
    let addresses = match (family >> 4, family & 0x0f) {
        (_, 3..) | (4.., _) => return Err(Malformed::Command),
        (1, _) => 12,
        (2, _) => 36,
        (3, _) => 216,
        _ => 0,
    };
    let source = match command {
        Command::Local => {
            // Whatever follows is ignored (§2.2).
            return Ok(Some(Header { len, source: Source::Own }));
        }
        Command::Proxy => {
            let (addresses, tlvs) = body.split_at_checked(addresses).ok_or(Malformed::Length)?;
            check_tlvs(tlvs)?;
            match family {
                0x11 => addresses.first_chunk::<4>().map(|v4| IpAddr::V4((*v4).into())),
                0x21 => addresses.first_chunk::<16>().map(|v6| IpAddr::V6((*v6).into())),
                0x31 => return Ok(Some(Header { len, source: Source::Unix })),
                _ => None,
            }
        }
    };
    let source = source.map_or(Source::Own, |address| Source::Address(address.to_canonical()));
    Ok(Some(Header { len, source }))
}

enum Command {
    Local,
    Proxy,
}

/// TLVs are not read, but they must end where the header does.
fn check_tlvs(mut rest: &[u8]) -> Result<(), Malformed> {
    while !rest.is_empty() {
        let (head, after) = rest.split_at_checked(3).ok_or(Malformed::Tlv)?;
        let length = match head {
            [_, high, low] => usize::from(u16::from_be_bytes([*high, *low])),
            _ => return Err(Malformed::Tlv),
        };
        rest = after.get(length..).ok_or(Malformed::Tlv)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family][..], &length, body].concat()
    }

    fn address(text: &str) -> Source {
        Source::Address(text.parse().unwrap())
    }

    /// Reads it whole, and after every cut asks for more.
    fn read(header: &[u8]) -> Result<Source, Malformed> {
        for cut in 0..header.len() {
            match parse(&header[..cut]) {
                Ok(None) => {}
                Ok(Some(read)) => panic!("{read:?} at {cut}"),
                Err(error) => return Err(error),
            }
        }
        let followed = [header, b"GET / HTTP/1.1\r\n"].concat();
        let read = parse(&followed)?.expect("it is whole");
        assert_eq!(read.len, header.len());
        assert_eq!(parse(header), Ok(Some(read)));
        Ok(read.source)
    }

    #[test]
    fn version_1() {
        for (line, source) in [
            ("PROXY TCP4 192.0.2.1 198.51.100.2 4711 80", address("192.0.2.1")),
            ("PROXY TCP4 192.0.2.1 198.51.100.2 0 65535", address("192.0.2.1")),
            ("PROXY TCP6 2001:db8::1 ::1 4711 443", address("2001:db8::1")),
            ("PROXY TCP6 ::ffff:192.0.2.1 ::1 4711 443", address("192.0.2.1")),
            ("PROXY UNKNOWN", Source::Own),
            ("PROXY UNKNOWN ffff::1 whatever 1 2", Source::Own),
        ] {
            assert_eq!(read(format!("{line}\r\n").as_bytes()), Ok(source), "{line}");
        }
        for line in [
            "PROXY TCP4 192.0.2.1 198.51.100.2 4711\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 4711 80 1\r\n",
            "PROXY TCP4 192.0.2.1  198.51.100.2 4711 80\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 4711 80 \r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 4711 80\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 04711 80\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 +4711 80\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 65536 80\r\n",
            "PROXY TCP4 192.0.2.01 198.51.100.2 1 80\r\n",
            "PROXY TCP4 2001:db8::1 ::1 1 80\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 80\r\n",
            "PROXY TCP5 192.0.2.1 192.0.2.2 1 80\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 80\r\n",
            "PROXY \r\n",
            "PROXY UNKNOWN\n",
            "PROXY TCP4 \u{e9}\r\n",
        ] {
            assert_eq!(read(line.as_bytes()), Err(Malformed::Line), "{line}");
        }
        assert_eq!(read(&[b"PROXY UNKNOWN ", &[b'a'; 200][..]].concat()), Err(Malformed::Line));
    }

    #[test]
    fn version_2() {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x67, 0, 80];
        let tlv = [0x04, 0, 2, 9, 9, 0x20, 0, 0];
        let v6: Vec<u8> = [[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], [0; 16]].concat();
        let v6 = [&v6[..], &[0, 1, 0, 2]].concat();
        for (header, source) in [
            (v2(0x21, 0x11, &v4), address("192.0.2.1")),
            (v2(0x21, 0x11, &[&v4[..], &tlv].concat()), address("192.0.2.1")),
            (v2(0x21, 0x21, &v6), address("2001:db8::1")),
            (v2(0x21, 0x31, &[0; 216]), Source::Unix),
            (v2(0x21, 0x00, &[]), Source::Own),
            (v2(0x21, 0x00, &tlv), Source::Own),
            (v2(0x20, 0x00, &[]), Source::Own),
            (v2(0x20, 0x11, &v4), Source::Own),
            (v2(0x20, 0x00, &[7; 9]), Source::Own),
            (v2(0x21, 0x12, &v4), Source::Own),
            (v2(0x21, 0x11, &[&v4[..], &[1, 0x0f, 0xf1], &[0; MAX_BODY - 15]].concat()), address("192.0.2.1")),
        ] {
            assert_eq!(read(&header), Ok(source), "{}", header.escape_ascii());
        }
        for (header, error) in [
            (v2(0x31, 0x11, &v4), Malformed::Command),
            (v2(0x22, 0x11, &v4), Malformed::Command),
            (v2(0x21, 0x41, &v4), Malformed::Command),
            (v2(0x21, 0x13, &v4), Malformed::Command),
            (v2(0x21, 0x11, &v4[..11]), Malformed::Length),
            (v2(0x21, 0x21, &v4), Malformed::Length),
            (v2(0x21, 0x31, &[0; 215]), Malformed::Length),
            (v2(0x21, 0x11, &[0; MAX_BODY + 1]), Malformed::Length),
            (v2(0x21, 0x11, &[&v4[..], &tlv[..4]].concat()), Malformed::Tlv),
            (v2(0x21, 0x11, &[&v4[..], &[1]].concat()), Malformed::Tlv),
        ] {
            assert_eq!(read(&header), Err(error), "{}", header.escape_ascii());
        }
    }

    #[test]
    fn what_begins_otherwise_is_none_at_once() {
        for bytes in
            [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01", b"P0", b"PROXY\t", b"\r\n\r\n\0\r\nQUIT\r", b"proxy "]
        {
            assert_eq!(parse(bytes), Err(Malformed::Missing), "{}", bytes.escape_ascii());
        }
        assert_eq!(parse(b""), Ok(None));
        assert_eq!(parse(b"P"), Ok(None));
        assert_eq!(parse(b"\r\n"), Ok(None));
    }
}
