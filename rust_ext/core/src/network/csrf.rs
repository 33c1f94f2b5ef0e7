//! Cross-site request forgery: an unsafe request must come from a page of the gateway's own or a listed one.
//!
//! The browser says where a request comes from (Fetch Metadata; RFC 6454 §7); whoever says nothing is no browser.

use super::cors::one;
use crate::filter::{Allowed, OriginPolicy, allowed, listed};
use crate::http1::{Method, Request};
use crate::snapshot::policies as snapshot;

/// A compiled policy.
#[derive(Debug)]
pub struct Csrf {
    null: bool,
    list: Vec<Allowed>,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrossSite {
    /// The browser says that another site's page sends it.
    FetchSite,
    /// Its `Origin` is another one.
    Origin,
}

impl CrossSite {
    /// One word for logs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::FetchSite => "sec-fetch-site",
            Self::Origin => "origin",
        }
    }
}

impl Csrf {
    /// Compiles a policy.
    ///
    /// # Errors
    /// (key, sentence).
    pub fn compile(of: &snapshot::Csrf) -> Result<Self, (&'static str, String)> {
        let listed = of.origins.iter().filter(|origin| *origin != "null");
        let list =
            listed.map(|text| allowed(text)).collect::<Result<_, _>>().map_err(|message| ("origins", message))?;
        Ok(Self { null: of.origins.iter().any(|origin| origin == "null"), list })
    }

    /// Judges a request. A safe method changes nothing (RFC 9110 §9.2.1), unless it opens a WebSocket.
    ///
    /// # Errors
    /// [`CrossSite`].
    pub fn judge(&self, request: &Request, bytes: &[u8]) -> Result<(), CrossSite> {
        let safe = matches!(request.method(), Method::Get | Method::Head | Method::Options);
        if safe && request.upgrade(bytes).is_none() {
            return Ok(());
        }
        let has = |name| request.get(bytes, name).next().is_some();
        let origin = one(request, bytes, b"origin");
        let listed = origin.is_some_and(|origin| self.lists(origin));
        if has(b"sec-fetch-site") {
            return match one(request, bytes, b"sec-fetch-site") {
                Some(b"same-origin" | b"none") => Ok(()),
                // It says so in spite of an equal host: another scheme, or a name that was turned over.
                _ if listed => Ok(()),
                _ => Err(CrossSite::FetchSite),
            };
        }
        let own = OriginPolicy::Same.allows(origin, request.authority(bytes));
        if !has(b"origin") || (origin.is_some() && (own || listed)) { Ok(()) } else { Err(CrossSite::Origin) }
    }

    fn lists(&self, origin: &[u8]) -> bool {
        if origin == b"null" { self.null } else { listed(&self.list, origin) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{Progress, RequestRules, ReservedNames};
    use crate::snapshot::{DotSegments, EncodedSlash, UnderscoreHeaders};

    fn judge(method: &str, fields: &str) -> Result<(), CrossSite> {
        let origins = vec!["https://app.example.com".to_owned()];
        let csrf = Csrf::compile(&snapshot::Csrf { origins }).unwrap();
        let head = format!("{method} /x HTTP/1.1\r\nHost: api.example.com\r\n{fields}\r\n");
        let mut request = Request::new();
        let rules = RequestRules {
            head_bytes: 4096,
            header_count: 20,
            uri_bytes: 100,
            encoded_slash: EncodedSlash::Refuse,
            dot_segments: DotSegments::Refuse,
            underscore_headers: UnderscoreHeaders::Drop,
            trusted: Vec::new(),
            reserved: ReservedNames::new::<&str>(&[]),
        };
        assert!(matches!(request.parse(head.as_bytes(), &rules), Ok(Progress::Complete(_))), "{head}");
        csrf.judge(&request, head.as_bytes())
    }

    #[test]
    fn the_browser_says_where_a_request_comes_from() {
        use CrossSite::{FetchSite, Origin};
        for (fields, judged) in [
            ("", Ok(())),
            ("Sec-Fetch-Site: same-origin\r\n", Ok(())),
            ("Sec-Fetch-Site: none\r\n", Ok(())),
            ("Sec-Fetch-Site: same-site\r\n", Err(FetchSite)),
            ("Sec-Fetch-Site: cross-site\r\n", Err(FetchSite)),
            ("Sec-Fetch-Site: something\r\n", Err(FetchSite)),
            ("Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site\r\n", Err(FetchSite)),
            ("Sec-Fetch-Site: cross-site\r\nOrigin: https://app.example.com\r\n", Ok(())),
            ("Sec-Fetch-Site: same-site\r\nOrigin: https://evil.example\r\n", Err(FetchSite)),
            ("Sec-Fetch-Site: cross-site\r\nOrigin: http://api.example.com\r\n", Err(FetchSite)),
            ("Sec-Fetch-Site: same-origin\r\nOrigin: https://evil.example\r\n", Ok(())),
            ("Origin: https://api.example.com\r\n", Ok(())),
            ("Origin: https://app.example.com\r\n", Ok(())),
            ("Origin: https://evil.example\r\n", Err(Origin)),
            ("Origin: https://api.example.com.evil.example\r\n", Err(Origin)),
            ("Origin: https://api.example.com:8443\r\n", Err(Origin)),
            ("Origin: null\r\n", Err(Origin)),
            ("Origin: https://api.example.com\r\nOrigin: https://api.example.com\r\n", Err(Origin)),
        ] {
            for method in ["POST", "PUT", "PATCH", "DELETE", "PURGE"] {
                assert_eq!(judge(method, fields), judged, "{method} {fields}");
            }
            for method in ["GET", "HEAD", "OPTIONS"] {
                assert_eq!(judge(method, fields), Ok(()), "{method} {fields}");
            }
        }
    }

    #[test]
    fn a_websocket_is_no_safe_request() {
        let upgrade = "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        assert_eq!(judge("GET", &format!("{upgrade}Origin: https://evil.example\r\n")), Err(CrossSite::Origin));
        assert_eq!(judge("GET", &format!("{upgrade}Origin: https://app.example.com\r\n")), Ok(()));
    }
}
