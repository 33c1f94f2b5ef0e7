//! How policies end a request: what the client is told, and what only the operator is.

use crate::fault::FaultKind;

/// A request that a policy refuses.
#[derive(Debug)]
pub(crate) struct Denial {
    pub(crate) kind: FaultKind,
    /// The policy, by its name in the config.
    pub(crate) policy: &'static str,
    /// Why: for the log and the audit trail, never for the client, and never a secret.
    pub(crate) reason: String,
    /// Fields of the answer.
    pub(crate) fields: Vec<(&'static str, Vec<u8>)>,
}

impl Denial {
    /// A refusal of that kind.
    pub(crate) fn new(kind: FaultKind, policy: &'static str, reason: impl Into<String>) -> Self {
        Self { kind, policy, reason: reason.into(), fields: Vec::new() }
    }

    /// With a field in its answer.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

/// An answer that a policy gives: a preflight's, or that of a service that was asked.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    /// The policy, by its name in the config.
    pub(crate) policy: &'static str,
}
