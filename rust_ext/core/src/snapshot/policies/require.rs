//! What an identity must have.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Everything in it must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Require {
    /// Roles.
    pub roles: Option<Names>,
    /// Scopes.
    pub scopes: Option<Names>,
    /// Groups.
    pub groups: Option<Names>,
    /// Claims by path.
    pub claims: BTreeMap<String, ClaimRule>,
    /// Request methods allowed; empty: every one.
    pub methods: Vec<String>,
    /// A CEL expression that must be true.
    pub expression: Option<String>,
}

/// Names asked for; both parts must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// At least one of them; empty: no demand.
    pub any: Vec<String>,
    /// All of them.
    pub all: Vec<String>,
}

/// What a claim must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimRule {
    /// There (`true`) or not there (`false`).
    Present(bool),
    /// One of these values, as text, number or boolean; of a list, any of its items.
    OneOf(Vec<serde_json::Value>),
}

/// The tenant of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// The header that names it; `None`: the claim alone.
    pub header: Option<String>,
    /// Peers that may set it.
    pub trusted_from: Vec<IpNet>,
    /// The path of the claim that it must equal, or that names it where there is no header.
    pub must_equal: Option<String>,
}
