//! Headers that make browsers stricter.

use std::net::IpAddr;

use crate::filter::is_value;
use crate::snapshot::policies::{self as snapshot, Hsts};

/// A compiled policy.
#[derive(Debug)]
pub struct SecurityHeaders {
    /// Strict-Transport-Security.
    hsts: Option<String>,
    /// On every answer, unless the origin sent one of that name.
    fields: Vec<(String, String)>,
    /// On the gateway's own answers, too.
    own: Vec<(String, String)>,
}

impl SecurityHeaders {
    /// Compiles a policy.
    ///
    /// # Errors
    /// (key, sentence).
    pub fn compile(of: &snapshot::SecurityHeaders) -> Result<Self, (String, String)> {
        let check = |key: &str, value: &str| match is_value(value.as_bytes()) && value.is_ascii() && !value.is_empty() {
            true => Ok(()),
            false => Err((key.to_owned(), format!("{value:?} is not a header value: printable ASCII"))),
        };
        let named = |fields: &std::collections::BTreeMap<String, String>, key: &str| {
            let each = fields.iter().map(|(name, value)| {
                let token = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                let key = format!("{key}.{name}");
                if !token || name.eq_ignore_ascii_case("strict-transport-security") {
                    return Err((key, format!("{name:?} is no name for such a header")));
                }
                check(&key, value).map(|()| (name.clone(), value.clone()))
            });
            each.collect::<Result<Vec<_>, _>>()
        };
        Ok(Self { hsts: of.hsts.map(hsts), fields: named(&of.fields, "fields")?, own: named(&of.own, "own")? })
    }

    /// Strict-Transport-Security for a request over TLS to that host; never for an address or `localhost` (RFC 6797
    /// §7.2, §8.1.1).
    #[must_use]
    pub fn hsts(&self, host: &[u8]) -> Option<&str> {
        self.hsts.as_deref().filter(|_| !is_local(host))
    }

    /// On every answer, unless the origin sent one of that name.
    #[must_use]
    pub fn fields(&self) -> &[(String, String)] {
        &self.fields
    }

    /// On the gateway's own answers.
    #[must_use]
    pub fn own(&self) -> &[(String, String)] {
        &self.own
    }
}

fn hsts(of: Hsts) -> String {
    let mut text = format!("max-age={}", of.max_age);
    for (wanted, word) in [(of.subdomains, "; includeSubDomains"), (of.preload, "; preload")] {
        if wanted {
            text.push_str(word);
        }
    }
    text
}

/// Whether a canonical host names this machine or is no name at all.
#[must_use]
pub fn is_local(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return true };
    let name = host.trim_end_matches('.');
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name.is_empty()
        || name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn hsts_is_for_names_of_the_world() {
        let of = snapshot::SecurityHeaders {
            hsts: Some(Hsts { max_age: 31_536_000, subdomains: true, preload: true }),
            ..Default::default()
        };
        let headers = SecurityHeaders::compile(&of).unwrap();
        assert_eq!(headers.hsts(b"example.com"), Some("max-age=31536000; includeSubDomains; preload"));
        for host in ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "[::1]", "192.0.2.1", ""] {
            assert_eq!(headers.hsts(host.as_bytes()), None, "{host}");
        }
        assert_eq!(SecurityHeaders::compile(&snapshot::SecurityHeaders::default()).unwrap().hsts(b"example.com"), None);
    }

    #[test]
    fn values_that_would_break_a_head_are_refused() {
        let of = |name: &str, value: &str| snapshot::SecurityHeaders {
            fields: BTreeMap::from([(name.to_owned(), value.to_owned())]),
            ..Default::default()
        };
        let good = SecurityHeaders::compile(&of("Referrer-Policy", "no-referrer")).unwrap();
        assert_eq!(good.fields(), [("Referrer-Policy".to_owned(), "no-referrer".to_owned())]);
        for (name, value) in
            [("a", "b\r\nc: d"), ("a b", "c"), ("", "c"), ("a", ""), ("a", "ä"), ("Strict-Transport-Security", "x")]
        {
            let (key, message) = SecurityHeaders::compile(&of(name, value)).unwrap_err();
            assert!(key.starts_with("fields.") && !message.is_empty());
        }
    }
}
