//! Consumers, their keys, and where security decisions are recorded.

use serde::{Deserialize, Serialize};

use super::{Limit, Policies};
use crate::snapshot::LogTarget;

/// Somebody who uses the gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consumer {
    /// The name in the config.
    pub name: String,
    /// Its groups.
    pub groups: Vec<String>,
    /// Its roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Its tenant.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Names of client certificates that are its own: a SPIFFE ID, a DNS name, a mail address or a subject.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// Its keys.
    pub api_keys: Vec<ApiKey>,
    /// Its limits: each replaces the route's of that name, the others are added.
    pub limits: Vec<Limit>,
    /// Its other policies, in the place of the route's: `require`, `concurrency` and `ip`.
    pub policies: Option<Box<Policies>>,
}

/// An API key, known by its digest alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The name in the config.
    pub name: String,
    /// What is stored of it.
    pub digest: KeyDigest,
    /// Unix milliseconds.
    pub expires_ms: Option<u64>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// Limits of its own, besides its consumer's.
    pub limits: Vec<Limit>,
}

/// What is stored of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyDigest {
    /// SHA-256, 64 lower-case hexadecimal digits.
    Sha256(String),
    /// HMAC-SHA-256 under the pepper of that name.
    HmacSha256 {
        /// The name in `key_pepper`.
        pepper: String,
        /// 64 lower-case hexadecimal digits.
        digest: String,
    },
}

/// The trail of security decisions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Where its lines go.
    pub to: LogTarget,
}
