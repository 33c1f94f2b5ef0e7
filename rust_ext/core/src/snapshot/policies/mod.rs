//! Policies of a snapshot: what stands between a request and its action. Routes with the same policies share one entry.

mod auth;
mod consumers;
mod limits;
mod network;
mod require;
mod tls;

use serde::{Deserialize, Serialize};

pub use auth::{
    ApiKeys, Auth, AuthMethod, Basic, ExtAuth, Introspection, Jwt, KeySource, Mtls, Revocation, Signature, TokenPlaces,
};
pub use consumers::{ApiKey, Audit, Consumer, KeyDigest};
pub use limits::{Concurrency, Limit, Part, StoreFailure, Then, Window};
pub use network::{Cors, Csrf, Hsts, IpRules, SecurityHeaders};
pub use require::{ClaimRule, Names, Require, Tenant};
pub use tls::{Certificate, ClientAuth, ClientAuthMode, ListenerTls, ServiceTls, TlsVersion};

/// The policies of a route, each resolved from the level that is nearest to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policies {
    /// Who is asking.
    pub auth: Option<Auth>,
    /// What the identity must have.
    pub require: Option<Require>,
    /// Whose tenant's request it is.
    pub tenant: Option<Tenant>,
    /// Rates, all of which must hold.
    pub limits: Vec<Limit>,
    /// Requests at the same time.
    pub concurrency: Option<Concurrency>,
    /// Client addresses.
    pub ip: Option<IpRules>,
    /// Cross-origin requests.
    pub cors: Option<Cors>,
    /// Cross-site request forgery.
    pub csrf: Option<Csrf>,
    /// Headers that make browsers stricter.
    pub security_headers: Option<SecurityHeaders>,
    /// API keys and Basic credentials go on to the target.
    pub forward_credentials: bool,
}
