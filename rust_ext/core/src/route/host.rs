//! Host patterns: a name, or `*.` and a suffix of one or more labels.

/// A parsed host pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Host {
    /// Every host, none too.
    Any,
    /// The suffix, with its leading dot.
    Wildcard(Vec<u8>),
    /// This one.
    Exact(Vec<u8>),
}

/// Reads a pattern; it must be written as the canonical host is: lower case, no port, no trailing dot.
pub(super) fn parse(text: &str) -> Result<Host, String> {
    let fault = |why: &str| Err(format!("{text:?}: {why}"));
    if text.len() > 253 + 2 {
        return fault("a host has at most 253 characters");
    }
    if text.starts_with('[') {
        let address = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).map(str::parse::<std::net::Ipv6Addr>);
        return match address {
            Some(Ok(_)) if text.bytes().all(|b| !b.is_ascii_uppercase()) => Ok(Host::Exact(text.into())),
            _ => fault("brackets hold one IPv6 address in lower case, without a port"),
        };
    }
    let (wildcard, name) = text.strip_prefix("*.").map_or((false, text), |suffix| (true, suffix));
    if name.contains('*') {
        return fault("`*` stands only at the front, as `*.example.org`; leave `hosts` out to match every host");
    }
    if name.contains(':') {
        return fault("a host has no port here (an IPv6 address stands in brackets)");
    }
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        return fault("hosts are compared in lower case: write it so");
    }
    if !name.is_ascii() {
        return fault("an international name is written in its ASCII form, `xn--…`");
    }
    if name.split('.').any(str::is_empty) {
        return fault("a host is labels with one dot between them, none at the end");
    }
    if let Some(found) = name.bytes().find(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))) {
        return fault(&format!("{:?} cannot stand in a host", found as char));
    }
    Ok(if wildcard { Host::Wildcard(text.as_bytes()[1..].to_vec()) } else { Host::Exact(name.into()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_wildcards_and_addresses() {
        assert_eq!(parse("api.example.com"), Ok(Host::Exact(b"api.example.com".to_vec())));
        assert_eq!(parse("*.example.org"), Ok(Host::Wildcard(b".example.org".to_vec())));
        assert_eq!(parse("[::1]"), Ok(Host::Exact(b"[::1]".to_vec())));
        assert_eq!(parse("127.0.0.1"), Ok(Host::Exact(b"127.0.0.1".to_vec())));
    }

    #[test]
    fn every_fault_has_its_sentence() {
        let cases = [
            ("", "labels"),
            ("*", "only at the front"),
            ("*.", "labels"),
            ("a.*.b", "only at the front"),
            ("a.example:80", "no port"),
            ("[::1]:80", "without a port"),
            ("[zz]", "IPv6"),
            ("API.example.com", "lower case"),
            ("a.example.", "labels"),
            ("ü.example", "xn--"),
            ("a b", "' ' cannot"),
        ];
        for (text, expected) in cases {
            let message = parse(text).expect_err(text);
            assert!(message.contains(expected), "{text}: {message}");
        }
        assert!(parse(&"a".repeat(256)).is_err());
    }
}
