//! Who a simulated request comes from, read from JSON; a client's is found out by the engine.

use fastgate_core::auth::Identity;
use serde_json::{Map, Value};

const METHODS: [&str; 8] = ["jwt", "api_key", "basic", "signature", "mtls", "introspection", "ext_auth", "anonymous"];

/// Reads `{"method", "subject", "consumer", "key", "tenant", "roles", "groups", "scopes", "claims"}`; all but the first
/// may be left out.
pub fn read(json: &[u8]) -> Result<Identity, String> {
    let mut given: Map<String, Value> = serde_json::from_slice(json).map_err(|error| format!("identity: {error}"))?;
    let mut text = |name: &str| match given.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!("identity: {name} is {other}: it must be a string")),
    };
    let word = text("method")?.unwrap_or_default();
    let Some(method) = METHODS.into_iter().find(|method| *method == word) else {
        return Err(format!("identity: method is {word:?}: it must be one of {}", METHODS.join(", ")));
    };
    let (subject, consumer, key, tenant) = (text("subject")?, text("consumer")?, text("key")?, text("tenant")?);
    let mut names = |name: &str| match given.remove(name) {
        None => Ok(Box::default()),
        Some(value) => serde_json::from_value(value).map_err(|error| format!("identity: {name}: {error}")),
    };
    let (roles, groups, scopes) = (names("roles")?, names("groups")?, names("scopes")?);
    let claims = match given.remove("claims") {
        None => Map::new(),
        Some(value) => serde_json::from_value(value).map_err(|error| format!("identity: claims: {error}"))?,
    };
    if let Some(name) = given.keys().next() {
        return Err(format!("identity: it has no {name:?}"));
    }
    Ok(Identity {
        method,
        subject: subject.map(Into::into),
        consumer: consumer.map(Into::into),
        consumer_index: None,
        key: key.map(Into::into),
        tenant: tenant.map(Into::into),
        roles,
        groups,
        scopes,
        claims: claims.into(),
    })
}
