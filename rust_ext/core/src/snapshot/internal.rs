//! The internal listeners of a snapshot: where the engine itself says how it is.

use serde::{Deserialize, Serialize};

/// One internal listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Internal {
    /// `admin` or `metrics`, for messages.
    pub name: String,
    /// `ADDR:PORT` (IPv6 in brackets) or `unix:/path`.
    pub bind: String,
    /// The user wrote it: a taken port is an error. Else it is a warning, and the next free one is used.
    pub written: bool,
    /// What it answers.
    pub serves: InternalServes,
    /// Requests are counted by tenant.
    #[serde(default)]
    pub tenants: bool,
}

/// What an internal listener answers, besides `/livez` and `/readyz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InternalServes {
    /// `/healthz`.
    Admin,
    /// `/metrics`.
    Metrics,
}
