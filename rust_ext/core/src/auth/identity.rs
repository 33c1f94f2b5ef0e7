//! Who a request comes from, as every later phase sees it.

use std::sync::Arc;

use serde_json::{Map, Value};

/// The claims of an identity, as they were in its token.
pub type Claims = Map<String, Value>;

/// Who a request comes from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Identity {
    /// How it was proved: `jwt`, `api_key`, `basic`, `signature`, `mtls`, `introspection`, `ext_auth`, or `anonymous`.
    pub method: &'static str,
    /// Who it is, in the words of whoever vouches for it.
    pub subject: Option<Box<str>>,
    /// The consumer of the config that it is.
    pub consumer: Option<Arc<str>>,
    /// The consumer's place in the snapshot.
    pub consumer_index: Option<u32>,
    /// The API key's name.
    pub key: Option<Arc<str>>,
    /// The tenant, as its consumer or its claims say; a tenant policy may say more.
    pub tenant: Option<Arc<str>>,
    /// Roles.
    pub roles: Box<[Box<str>]>,
    /// Groups: its claims' and its consumer's.
    pub groups: Box<[Box<str>]>,
    /// Scopes.
    pub scopes: Box<[Box<str>]>,
    /// Claims; none where nothing was claimed.
    pub claims: Arc<Claims>,
}

impl Identity {
    /// The claim of that path.
    pub fn claim(&self, path: &str) -> Option<&Value> {
        claim(&self.claims, path)
    }

    /// Whether it is nobody in particular: no credential was shown.
    pub fn is_anonymous(&self) -> bool {
        self.method == "anonymous"
    }
}

/// The claim of a path: a claim of exactly that name, or member by member at its dots.
pub fn claim<'a>(claims: &'a Claims, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    // A name may hold dots itself (`https://example.com/roles`): the longest one that is there goes first.
    let mut end = path.len();
    while let Some(dot) = path[..end].rfind('.') {
        if let Some(Value::Object(inner)) = claims.get(&path[..dot])
            && let Some(value) = claim(inner, &path[dot + 1..])
        {
            return Some(value);
        }
        end = dot;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_found_by_its_path() {
        let claims: Claims = serde_json::from_str(
            r#"{"a":{"b":{"c":1}},"a.b":{"d":2},"https://e.example/roles":["x"],"x.y":3,"x":{"y":4}}"#,
        )
        .unwrap();
        let find = |path| claim(&claims, path).cloned();
        assert_eq!(find("a.b.c"), Some(1.into()));
        assert_eq!(find("a.b.d"), Some(2.into()));
        assert_eq!(find("x.y"), Some(3.into()), "a whole name wins");
        assert_eq!(find("https://e.example/roles"), Some(vec![Value::from("x")].into()));
        for none in ["", ".", "a..b", "a.b.c.d", "a.", ".a", "b"] {
            assert_eq!(find(none), None, "{none}");
        }
    }
}
