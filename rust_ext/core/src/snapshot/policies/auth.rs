//! How a client proves who it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::snapshot::SecretString;

/// Ways to prove it; the first whose credential is present counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// At least one.
    pub any_of: Vec<AuthMethod>,
    /// The consumer of a request that shows no credential of any of them; `None`: such a request is refused.
    pub anonymous: Option<String>,
    /// Failed credentials allowed from one address (IPv6: one /64) in `failures_ms`.
    pub failures: u32,
    /// Milliseconds.
    pub failures_ms: u64,
}

/// One way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// A JSON Web Token (RFC 7519).
    Jwt(Box<Jwt>),
    /// An API key.
    ApiKey(ApiKeys),
    /// Basic credentials (RFC 7617).
    Basic(Basic),
    /// A signed request (RFC 9421).
    Signature(Signature),
    /// A client certificate.
    Mtls(Mtls),
    /// Token introspection (RFC 7662).
    Introspection(Introspection),
    /// A service that is asked.
    ExtAuth(ExtAuth),
}

/// Where a token is looked for, in this order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenPlaces {
    /// A header; `Authorization` carries it behind `Bearer `.
    pub header: Option<String>,
    /// A cookie.
    pub cookie: Option<String>,
    /// A query parameter.
    pub query: Option<String>,
}

/// Where a key set comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySource {
    /// A JWK set (RFC 7517) or PEM keys, as text.
    Inline(SecretString),
    /// A file of one; read again when it changes.
    File(String),
    /// A URL of a JWK set.
    Url(String),
    /// `jwks_uri` of the issuer's `/.well-known/openid-configuration`.
    Discovery,
}

/// JSON Web Tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// `iss`, compared exactly; `None`: any (only with keys of its own).
    pub issuer: Option<String>,
    /// `aud`, one of them; `None`: any.
    pub audience: Option<Vec<String>>,
    /// The keys.
    pub keys: KeySource,
    /// Algorithms accepted; `None`: those that fit the keys.
    pub algorithms: Option<Vec<String>>,
    /// Values of `typ` accepted besides none, `JWT` and `at+jwt`; compared without case.
    pub types: Vec<String>,
    /// Difference of clocks that is forgiven.
    pub skew_ms: u64,
    /// The oldest token accepted, by `iat`.
    pub max_age_ms: Option<u64>,
    /// Claims that must be there.
    pub required_claims: Vec<String>,
    /// Where the token stands.
    pub token: TokenPlaces,
    /// Headers for the target, by claim path.
    pub headers: BTreeMap<String, String>,
    /// The path of the claim that lists roles.
    pub roles_from: Option<String>,
    /// The path of the claim that lists scopes.
    pub scopes_from: Option<String>,
    /// The path of the claim that lists groups.
    pub groups_from: Option<String>,
    /// The path of the claim that names the consumer.
    pub consumer_from: Option<String>,
    /// How revoked tokens are known.
    pub revocation: Option<Revocation>,
}

/// How revoked tokens are known: by `jti` or `sub`, in this process and, where there is a store, in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Revocations are shared through the store.
    pub store: bool,
}

/// API keys: those of the consumers and those of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeys {
    /// A header; `Authorization` carries it behind `Bearer ` or `ApiKey `.
    pub header: Option<String>,
    /// A query parameter.
    pub query: Option<String>,
    /// A file of keys; read again when it changes.
    pub keys_file: Option<String>,
}

/// Basic credentials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// A file of `NAME:HASH` lines (argon2id); read again when it changes.
    pub users_file: String,
    /// The realm in `WWW-Authenticate`.
    pub realm: String,
}

/// Signed requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Keys by `keyid`: PEM or JWK text; secrets for HMAC.
    pub keys: BTreeMap<String, SecretString>,
    /// Components that a signature must cover.
    pub components: Vec<String>,
    /// The oldest signature accepted, by `created`.
    pub max_age_ms: u64,
    /// Difference of clocks that is forgiven.
    pub skew_ms: u64,
    /// Each must have a nonce, which counts once.
    #[serde(default)]
    pub nonce: bool,
}

/// The verified client certificate of the connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mtls {
    /// What becomes the subject: `spiffe`, `dns`, `email` or `subject`; the first that the certificate has.
    pub identity: Vec<String>,
    /// Headers for the target, by what the certificate says: one of these, or `fingerprint`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// Token introspection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Introspection {
    /// The endpoint.
    pub url: String,
    /// The client this gateway is.
    pub client_id: Option<String>,
    /// Its secret.
    pub client_secret: Option<SecretString>,
    /// Where the token stands.
    pub token: TokenPlaces,
    /// How long an old answer may stand in while the endpoint is down.
    pub max_stale_ms: Option<u64>,
    /// The endpoint may be in a private network.
    #[serde(default)]
    pub allow_private: bool,
    /// Until an answer is there.
    pub timeout_ms: u64,
    /// A PEM file of the CAs to trust instead of the system's.
    pub ca: Option<String>,
}

/// A service that is asked whether a request may pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtAuth {
    /// Where it is asked.
    pub url: String,
    /// Request headers that it is sent.
    pub send: Vec<String>,
    /// Headers of its answer that the target gets; a client's own are removed.
    pub take: Vec<String>,
    /// Whether `Set-Cookie` of a refusal reaches the client.
    pub set_cookie: bool,
    /// Bytes of the body that are held and sent; 0: none.
    pub body: u64,
    /// Until an answer is there.
    pub timeout_ms: u64,
    /// The header of its answer that names the subject.
    #[serde(default)]
    pub subject_from: Option<String>,
    /// A PEM file of the CAs to trust instead of the system's.
    pub ca: Option<String>,
}
