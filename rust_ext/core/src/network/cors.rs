//! Cross-origin requests: the CORS protocol of the Fetch standard (<https://fetch.spec.whatwg.org/#http-cors-protocol>).

use crate::filter::{Allowed, allowed, listed};
use crate::http1::{Method, Request};
use crate::snapshot::policies as snapshot;

/// Request header names that one preflight may ask for.
const MAX_NAMES: usize = 64;

/// A compiled policy.
#[derive(Debug)]
pub struct Cors {
    any: bool,
    null: bool,
    list: Vec<Allowed>,
    /// `Access-Control-Allow-Methods`, and its members; empty: those of the route.
    methods: String,
    names: Vec<String>,
    /// `Access-Control-Allow-Headers`, and its members in lower case; `None`: those that are asked for.
    headers: Option<(String, Vec<String>)>,
    expose: Option<String>,
    credentials: bool,
    max_age: Option<String>,
}

/// A question that a browser asks before it sends a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Preflight<'a> {
    /// The page's origin.
    pub origin: &'a [u8],
    /// The method it will use.
    pub method: &'a [u8],
    /// The header names it will send.
    pub headers: Vec<&'a [u8]>,
}

/// Why a preflight is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Pages of that origin may not.
    Origin,
    /// Not with that method.
    Method,
    /// Not with one of those headers.
    Header,
}

impl Refused {
    /// One word for logs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Method => "method",
            Self::Header => "header",
        }
    }
}

/// A field of an answer.
pub type Field = (&'static str, Vec<u8>);

impl<'a> Preflight<'a> {
    /// The preflight that a request is: OPTIONS with one `Origin` and one `Access-Control-Request-Method`.
    #[must_use]
    pub fn of(request: &'a Request, bytes: &'a [u8]) -> Option<Self> {
        if request.method() != Method::Options {
            return None;
        }
        let origin = one(request, bytes, b"origin")?;
        let method = one(request, bytes, b"access-control-request-method")?;
        let named = request.get(bytes, b"access-control-request-headers");
        let names = named.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
        let headers = names.filter(|name| !name.is_empty()).collect();
        Some(Self { origin, method, headers })
    }
}

/// The one line of that name.
pub(super) fn one<'a>(request: &'a Request, bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut lines = request.get(bytes, name);
    lines.next().filter(|_| lines.next().is_none())
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

impl Cors {
    /// Compiles a policy.
    ///
    /// # Errors
    /// (key, sentence).
    pub fn compile(of: &snapshot::Cors) -> Result<Self, (&'static str, String)> {
        let any = of.origins.iter().any(|origin| origin == "*");
        if of.origins.is_empty() {
            return Err(("origins", "no origin is allowed; at least one is needed".to_owned()));
        }
        if any && of.origins.len() > 1 {
            return Err(("origins", "`*` stands for every origin: it must stand alone".to_owned()));
        }
        if any && of.credentials {
            let message = "`*` with credentials would let every page act for its visitors: list the origins";
            return Err(("origins", message.to_owned()));
        }
        let listed = of.origins.iter().filter(|origin| !matches!(origin.as_str(), "*" | "null"));
        let list =
            listed.map(|text| allowed(text)).collect::<Result<_, _>>().map_err(|message| ("origins", message))?;
        let names = [("methods", &of.methods), ("expose", &of.expose)].into_iter();
        for (key, names) in names.chain(of.headers.iter().map(|headers| ("headers", headers))) {
            if let Some(bad) = names.iter().find(|name| !is_token(name.as_bytes())) {
                return Err((key, format!("{bad:?} is no token (RFC 9110 §5.6.2)")));
            }
            if of.credentials && names.iter().any(|name| name == "*") {
                return Err((key, "`*` is a name like any other where credentials are allowed: list them".to_owned()));
            }
        }
        Ok(Self {
            any,
            null: of.origins.iter().any(|origin| origin == "null"),
            list,
            methods: of.methods.join(", "),
            names: of.methods.clone(),
            headers: of
                .headers
                .as_ref()
                .map(|headers| (headers.join(", "), headers.iter().map(|name| name.to_ascii_lowercase()).collect())),
            expose: (!of.expose.is_empty()).then(|| of.expose.join(", ")),
            credentials: of.credentials,
            max_age: of.max_age_ms.map(|ms| (ms / 1_000).to_string()),
        })
    }

    /// Whether pages of that origin may read answers.
    #[must_use]
    pub fn allows(&self, origin: &[u8]) -> bool {
        match origin {
            b"null" => self.null || self.any,
            origin => self.any || listed(&self.list, origin),
        }
    }

    /// The answer to a preflight: its fields with 204, or why not.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn preflight(&self, asked: &Preflight<'_>) -> Result<Vec<Field>, Refused> {
        if !self.allows(asked.origin) {
            return Err(Refused::Origin);
        }
        if !is_token(asked.method)
            || !(self.names.is_empty() || self.names.iter().any(|m| m.as_bytes() == asked.method))
        {
            return Err(Refused::Method);
        }
        if asked.headers.len() > MAX_NAMES || !asked.headers.iter().all(|name| self.takes(name)) {
            return Err(Refused::Header);
        }
        let mut fields = Vec::with_capacity(6);
        self.origin_fields(asked.origin, &mut fields);
        let methods = if self.methods.is_empty() { asked.method } else { self.methods.as_bytes() };
        fields.push(("Access-Control-Allow-Methods", methods.to_vec()));
        let headers = match &self.headers {
            Some((headers, _)) => headers.as_bytes().to_vec(),
            None => asked.headers.join(&b", "[..]),
        };
        if !headers.is_empty() {
            fields.push(("Access-Control-Allow-Headers", headers));
        }
        if let Some(max_age) = &self.max_age {
            fields.push(("Access-Control-Max-Age", max_age.as_bytes().to_vec()));
        }
        Ok(fields)
    }

    fn takes(&self, name: &[u8]) -> bool {
        let listed = |list: &[String]| list.iter().any(|one| one == "*" || name.eq_ignore_ascii_case(one.as_bytes()));
        is_token(name) && self.headers.as_ref().is_none_or(|(_, list)| listed(list))
    }

    fn origin_fields(&self, origin: &[u8], fields: &mut Vec<Field>) {
        let shown = if self.any { b"*" } else { origin };
        fields.push(("Access-Control-Allow-Origin", shown.to_vec()));
        if self.credentials {
            fields.push(("Access-Control-Allow-Credentials", b"true".to_vec()));
        }
    }

    /// What goes with every other answer, the gateway's own included; `origin` is the request's one `Origin`.
    #[must_use]
    pub fn answer_fields(&self, origin: Option<&[u8]>) -> Vec<Field> {
        let mut fields = Vec::with_capacity(4);
        // Where every page may read an answer it is the same for all: a cache may keep one.
        let origin = if self.any { Some(&b"*"[..]) } else { origin };
        if let Some(origin) = origin.filter(|origin| self.allows(origin)) {
            self.origin_fields(origin, &mut fields);
            if let Some(expose) = &self.expose {
                fields.push(("Access-Control-Expose-Headers", expose.as_bytes().to_vec()));
            }
        }
        fields
    }

    /// What `Vary` says on answers, and on those to a preflight.
    #[must_use]
    pub fn vary(&self, preflight: bool) -> Option<&'static str> {
        match (self.any, preflight) {
            (_, true) => Some("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
            (false, false) => Some("Origin"),
            (true, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(origins: &[&str]) -> snapshot::Cors {
        snapshot::Cors {
            origins: origins.iter().map(|&o| o.to_owned()).collect(),
            methods: Vec::new(),
            headers: None,
            expose: Vec::new(),
            credentials: false,
            max_age_ms: None,
        }
    }

    fn shown(fields: &[Field]) -> String {
        let lines = fields.iter().map(|(name, value)| format!("{name}: {}", value.escape_ascii()));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn asked<'a>(origin: &'a str, method: &'a str, headers: &[&'a str]) -> Preflight<'a> {
        let headers = headers.iter().map(|name| name.as_bytes()).collect();
        Preflight { origin: origin.as_bytes(), method: method.as_bytes(), headers }
    }

    #[test]
    fn a_preflight_is_answered_with_what_is_allowed() {
        let cors = Cors::compile(&snapshot::Cors {
            methods: vec!["GET".into(), "PUT".into()],
            headers: Some(vec!["Content-Type".into(), "X-A".into()]),
            credentials: true,
            max_age_ms: Some(600_999),
            ..policy(&["https://app.example.com"])
        })
        .unwrap();
        let fields = cors.preflight(&asked("https://app.example.com", "PUT", &["x-a", "content-type"])).unwrap();
        assert_eq!(
            shown(&fields),
            "Access-Control-Allow-Origin: https://app.example.com\nAccess-Control-Allow-Credentials: true\n\
             Access-Control-Allow-Methods: GET, PUT\nAccess-Control-Allow-Headers: Content-Type, X-A\n\
             Access-Control-Max-Age: 600"
        );
        for (origin, method, headers, refused) in [
            ("https://evil.example", "PUT", &[][..], Refused::Origin),
            ("null", "PUT", &[], Refused::Origin),
            ("https://app.example.com", "DELETE", &[], Refused::Method),
            ("https://app.example.com", "put", &[], Refused::Method),
            ("https://app.example.com", "PUT", &["authorization"], Refused::Header),
            ("https://app.example.com", "PUT", &["x-a", "x a"], Refused::Header),
        ] {
            assert_eq!(cors.preflight(&asked(origin, method, headers)), Err(refused), "{origin} {method}");
        }
    }

    #[test]
    fn without_lists_it_is_what_is_asked_for() {
        let cors = Cors::compile(&policy(&["*"])).unwrap();
        let fields = cors.preflight(&asked("https://any.example", "DELETE", &["x-b"])).unwrap();
        assert_eq!(
            shown(&fields),
            "Access-Control-Allow-Origin: *\nAccess-Control-Allow-Methods: DELETE\nAccess-Control-Allow-Headers: x-b"
        );
        assert!(cors.preflight(&asked("https://any.example", "DELETE\r\nX: y", &[])).is_err());
        assert!(cors.preflight(&asked("https://any.example", "GET", &["a\r\nb: c"])).is_err());
        let many = vec!["x"; MAX_NAMES + 1];
        assert_eq!(cors.preflight(&asked("https://any.example", "GET", &many)), Err(Refused::Header));
    }

    #[test]
    fn answers_carry_it_for_pages_that_may_read_them() {
        let of = snapshot::Cors { expose: vec!["X-Total".into()], ..policy(&["https://*.example.com", "null"]) };
        let cors = Cors::compile(&of).unwrap();
        let fields = cors.answer_fields(Some(b"https://a.example.com"));
        assert_eq!(
            shown(&fields),
            "Access-Control-Allow-Origin: https://a.example.com\nAccess-Control-Expose-Headers: X-Total"
        );
        assert_eq!(shown(&cors.answer_fields(Some(b"null"))).lines().next(), Some("Access-Control-Allow-Origin: null"));
        for origin in [None, Some(&b"https://evil.example"[..]), Some(b"https://example.com")] {
            assert_eq!(cors.answer_fields(origin), []);
        }
        assert_eq!((cors.vary(false), cors.vary(true).is_some()), (Some("Origin"), true));
        let any = Cors::compile(&policy(&["*"])).unwrap();
        assert_eq!(shown(&any.answer_fields(None)), "Access-Control-Allow-Origin: *");
        assert_eq!(any.vary(false), None);
    }

    #[test]
    fn mistakes_are_refused() {
        for (of, key, part) in [
            (policy(&[]), "origins", "at least one"),
            (policy(&["*", "https://a.example"]), "origins", "alone"),
            (snapshot::Cors { credentials: true, ..policy(&["*"]) }, "origins", "credentials"),
            (policy(&["a.example"]), "origins", "is no origin"),
            (snapshot::Cors { methods: vec!["GET POST".into()], ..policy(&["null"]) }, "methods", "no token"),
            (snapshot::Cors { headers: Some(vec!["a:b".into()]), ..policy(&["null"]) }, "headers", "no token"),
            (
                snapshot::Cors { expose: vec!["*".into()], credentials: true, ..policy(&["null"]) },
                "expose",
                "list them",
            ),
        ] {
            let (at, message) = Cors::compile(&of).unwrap_err();
            assert!(at == key && message.contains(part), "{at}: {message}");
        }
    }
}
