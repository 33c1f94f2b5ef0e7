//! Target `proxy_header`: the PROXY protocol before a connection's own bytes.

use std::net::IpAddr;

use fastgate_core::network::proxy::{Header, MAX_HEADER, Source, parse};

/// Whatever the bytes: what a prefix decides stays decided, a header is found as soon as it is whole and not before, and
/// what it says is what a plain reader reads.
pub fn proxy_header(bytes: &[u8]) {
    let whole = parse(bytes);
    let mut decided = None;
    for cut in 0..=bytes.len().min(MAX_HEADER + 1) {
        let read = parse(&bytes[..cut]);
        if !matches!(read, Ok(None)) {
            if let Ok(Some(header)) = read {
                assert_eq!(header.len, cut, "it is found with its last byte");
                judge(&bytes[..cut], header);
            }
            decided = Some(read);
            break;
        }
    }
    match decided {
        Some(read) => assert_eq!(whole, read, "what follows changes nothing"),
        None => assert!(whole == Ok(None) && bytes.len() < MAX_HEADER),
    }
}

fn judge(header: &[u8], read: Header) {
    if let Some(line) = header.strip_prefix(b"PROXY ") {
        let text = std::str::from_utf8(line).expect("a line is text").strip_suffix("\r\n").expect("CRLF ends it");
        let words: Vec<&str> = text.split(' ').collect();
        let expected = match words[0] {
            "UNKNOWN" => Source::Own,
            family => {
                assert_eq!(words.len(), 5);
                let address: IpAddr = words[1].parse().expect("an address");
                assert_eq!(address.is_ipv4(), family == "TCP4");
                Source::Address(address.to_canonical())
            }
        };
        assert_eq!(read.source, expected);
        return;
    }
    let length = usize::from(header[14]) << 8 | usize::from(header[15]);
    assert_eq!(header.len(), 16 + length);
    let expected = match (header[12], header[13]) {
        (0x21, 0x11) => {
            let four: [u8; 4] = header[16..20].try_into().expect("four bytes");
            Source::Address(IpAddr::from(four))
        }
        (0x21, 0x21) => {
            let sixteen: [u8; 16] = header[16..32].try_into().expect("sixteen bytes");
            Source::Address(IpAddr::from(sixteen).to_canonical())
        }
        (0x21, 0x31) => Source::Unix,
        _ => Source::Own,
    };
    assert_eq!(read.source, expected);
}
