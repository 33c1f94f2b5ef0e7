//! Which pages may connect: the `Origin` of browsers (RFC 6454 §7, RFC 6455 §4.2.2, §10.2).

use crate::snapshot::Origins;

/// A compiled [`Origins`].
#[derive(Debug)]
pub enum OriginPolicy {
    /// Pages of the host that is asked.
    Same,
    /// Every page.
    Any,
    /// Pages of these.
    List(Vec<Allowed>),
}

/// `scheme://host[:port]`, its host perhaps with a wildcard for one or more labels in front.
#[derive(Debug, PartialEq, Eq)]
pub struct Allowed {
    scheme: Vec<u8>,
    wildcard: bool,
    host: Vec<u8>,
    port: Option<u16>,
}

/// An origin's parts; a port that is its scheme's own is none.
struct Parts<'a> {
    scheme: &'a [u8],
    host: &'a [u8],
    port: Option<u16>,
}

fn default_port(scheme: &[u8]) -> Option<u16> {
    match scheme {
        s if s.eq_ignore_ascii_case(b"http") || s.eq_ignore_ascii_case(b"ws") => Some(80),
        s if s.eq_ignore_ascii_case(b"https") || s.eq_ignore_ascii_case(b"wss") => Some(443),
        _ => None,
    }
}

/// Cuts `host[:port]`; an IPv6 address stands in brackets.
fn authority(text: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let (host, rest) = match text {
        [b'[', inner @ ..] => {
            let end = inner.iter().position(|b| *b == b']')?;
            text.split_at_checked(end.checked_add(2)?)?
        }
        _ => text.split_at_checked(text.iter().position(|b| *b == b':').unwrap_or(text.len()))?,
    };
    let port = match rest {
        [] => None,
        [b':', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
            Some(std::str::from_utf8(digits).ok()?.parse().ok()?)
        }
        _ => return None,
    };
    let odd = |b: &u8| b.is_ascii_control() || matches!(b, b' ' | b'/' | b'?' | b'#' | b'@' | b'\\');
    (!host.is_empty() && !host.iter().any(odd)).then_some((host, port))
}

fn parts(origin: &[u8]) -> Option<Parts<'_>> {
    let at = origin.windows(3).position(|three| three == b"://")?;
    let scheme = origin.get(..at)?;
    let (host, port) = authority(origin.get(at.checked_add(3)?..)?)?;
    let named = !scheme.is_empty() && scheme.iter().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b));
    named.then_some(Parts { scheme, host, port: port.filter(|port| Some(*port) != default_port(scheme)) })
}

impl OriginPolicy {
    /// Compiles a policy.
    ///
    /// # Errors
    /// One sentence that names the first entry that is no origin.
    pub fn compile(origins: &Origins) -> Result<Self, String> {
        Ok(match origins {
            Origins::Same => Self::Same,
            Origins::Any => Self::Any,
            Origins::List(list) => Self::List(list.iter().map(|text| allowed(text)).collect::<Result<_, _>>()?),
        })
    }

    /// Whether a page of that origin may connect. `origin` is the field's one value, `authority` is what was asked for,
    /// `host[:port]`. Without an `Origin` it is no browser, and passes.
    pub fn allows(&self, origin: Option<&[u8]>, authority_asked: &[u8]) -> bool {
        let Some(origin) = origin else { return true };
        match self {
            Self::Any => true,
            Self::Same => {
                let (Some(of), Some((host, port))) = (parts(origin), authority(authority_asked)) else { return false };
                let port = port.filter(|port| Some(*port) != default_port(of.scheme));
                default_port(of.scheme).is_some() && of.host.eq_ignore_ascii_case(host) && of.port == port
            }
            Self::List(list) => listed(list, origin),
        }
    }
}

/// Whether one of them is the origin.
pub(crate) fn listed(list: &[Allowed], origin: &[u8]) -> bool {
    parts(origin).is_some_and(|of| list.iter().any(|one| one.fits(&of)))
}

impl Allowed {
    fn fits(&self, of: &Parts<'_>) -> bool {
        let host = if self.wildcard {
            // One or more labels, then the host.
            of.host.len().checked_sub(self.host.len()).is_some_and(|at| {
                at > 1
                    && of.host[at..].eq_ignore_ascii_case(&self.host)
                    && of.host.get(at.wrapping_sub(1)) == Some(&b'.')
            })
        } else {
            of.host.eq_ignore_ascii_case(&self.host)
        };
        host && of.scheme.eq_ignore_ascii_case(&self.scheme) && of.port == self.port
    }
}

/// Reads an entry of a list.
pub(crate) fn allowed(text: &str) -> Result<Allowed, String> {
    let bad = || format!("{text:?} is no origin: https://HOST[:PORT], or https://*.HOST for one or more labels");
    let of = parts(text.as_bytes()).ok_or_else(bad)?;
    let (wildcard, host) = match of.host.strip_prefix(b"*.") {
        Some(host) => (true, host),
        None => (false, of.host),
    };
    if host.is_empty() || host.contains(&b'*') || default_port(of.scheme).is_none() {
        return Err(bad());
    }
    Ok(Allowed { scheme: of.scheme.to_ascii_lowercase(), wildcard, host: host.to_ascii_lowercase(), port: of.port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(origins: &[&str]) -> OriginPolicy {
        OriginPolicy::compile(&Origins::List(origins.iter().map(|&o| o.to_owned()).collect())).unwrap()
    }

    #[test]
    fn same_is_the_host_that_is_asked() {
        let cases: [(&str, &str, bool); 11] = [
            ("http://example.com", "example.com", true),
            ("https://EXAMPLE.com:443", "example.com", true),
            ("http://example.com:8000", "example.com:8000", true),
            ("http://[::1]:8000", "[::1]:8000", true),
            ("http://example.com:8001", "example.com:8000", false),
            ("http://example.com", "example.com:8000", false),
            ("http://evil.example", "example.com", false),
            ("http://example.com.evil.example", "example.com", false),
            ("null", "example.com", false),
            ("file://", "example.com", false),
            ("http://example.com/", "example.com", false),
        ];
        for (origin, host, allows) in cases {
            assert_eq!(OriginPolicy::Same.allows(Some(origin.as_bytes()), host.as_bytes()), allows, "{origin} {host}");
        }
        assert!(OriginPolicy::Same.allows(None, b"example.com"));
        assert!(OriginPolicy::Any.allows(Some(b"null"), b"example.com"));
    }

    #[test]
    fn a_list_names_pages_and_wildcards_stand_for_labels() {
        let policy = list(&["https://app.example.com", "https://*.example.org:8443"]);
        for (origin, allows) in [
            ("https://app.example.com", true),
            ("https://APP.example.com:443", true),
            ("http://app.example.com", false),
            ("https://app.example.com:444", false),
            ("https://a.example.org:8443", true),
            ("https://a.b.example.org:8443", true),
            ("https://example.org:8443", false),
            ("https://.example.org:8443", false),
            ("https://aexample.org:8443", false),
            ("null", false),
        ] {
            assert_eq!(policy.allows(Some(origin.as_bytes()), b"x"), allows, "{origin}");
        }
        assert!(policy.allows(None, b"x"));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for bad in
            ["app.example.com", "https://", "https://*", "https://a.*.b", "https://a/b", "ftp://a", "https://a:x"]
        {
            let error = OriginPolicy::compile(&Origins::List(vec![bad.to_owned()])).unwrap_err();
            assert!(error.contains("is no origin"), "{bad}: {error}");
        }
    }
}
