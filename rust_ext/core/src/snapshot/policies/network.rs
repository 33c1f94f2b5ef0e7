//! What is judged by where a request comes from, and what browsers are told.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Client addresses: the longest prefix wins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IpRules {
    /// Only these; with no entry in it and no file of it, all that are not denied.
    pub allow: Vec<IpNet>,
    /// None of these.
    pub deny: Vec<IpNet>,
    /// Files of further networks to allow; read again when they change.
    pub allow_files: Vec<String>,
    /// Files of further networks to deny.
    pub deny_files: Vec<String>,
}

/// Cross-origin requests (the Fetch standard's CORS protocol).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// Exact origins, `*.` and a suffix behind the scheme (`https://*.example.org`), `null`, or `*` alone.
    pub origins: Vec<String>,
    /// Methods allowed; empty: those of the route.
    pub methods: Vec<String>,
    /// Request headers allowed; `None`: those that a preflight asks for.
    pub headers: Option<Vec<String>>,
    /// Response headers shown to scripts.
    pub expose: Vec<String>,
    /// Cookies and credentials are allowed.
    pub credentials: bool,
    /// How long a browser may remember the answer.
    pub max_age_ms: Option<u64>,
}

/// Cross-site request forgery: unsafe methods need an origin of their own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Csrf {
    /// Origins allowed besides the own one.
    pub origins: Vec<String>,
}

/// Headers that make browsers stricter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityHeaders {
    /// Strict-Transport-Security, on TLS only.
    pub hsts: Option<Hsts>,
    /// On every answer, unless the origin sent one of that name.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// On the gateway's own answers.
    #[serde(default)]
    pub own: BTreeMap<String, String>,
}

/// Strict-Transport-Security (RFC 6797).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hsts {
    /// Seconds.
    pub max_age: u64,
    /// `includeSubDomains`.
    pub subdomains: bool,
    /// `preload`.
    pub preload: bool,
}
