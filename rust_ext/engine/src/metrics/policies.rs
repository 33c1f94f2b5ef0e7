//! What policies decided: who was asked for, by method and outcome; tokens remembered; limits; tenants; what they read.

use std::sync::atomic::Ordering::Relaxed;

use super::book::OTHER;
use super::text::Text;
use super::{Counter, Fold, report};
use crate::fault::FaultKind;
use crate::guard::limits::Family;
use crate::worker::Shared;

/// How somebody proves who it is, or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    ApiKey,
    Basic,
    Jwt,
    Introspection,
    ExtAuth,
    Mtls,
    Signature,
    /// No credential, which the policy allows.
    Anonymous,
    /// No credential, and one is needed.
    Nothing,
}

/// Their labels, in the same order.
const PROOFS: [&str; 9] =
    ["api_key", "basic", "jwt", "introspection", "ext_auth", "mtls", "signature", "anonymous", "none"];

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted,
    Refused,
    /// Its address has failed too often.
    Limited,
    /// Nobody could say.
    Unavailable,
}

const OUTCOMES: [&str; 4] = ["accepted", "refused", "limited", "unavailable"];

impl From<FaultKind> for Outcome {
    fn from(kind: FaultKind) -> Self {
        match kind {
            FaultKind::RateLimited => Self::Limited,
            FaultKind::PolicyUnavailable | FaultKind::ConcurrencyLimited => Self::Unavailable,
            _ => Self::Refused,
        }
    }
}

/// One worker's counts of the policy `auth`.
#[derive(Debug, Default)]
pub(crate) struct AuthLine([[Counter; OUTCOMES.len()]; PROOFS.len()]);

impl AuthLine {
    /// Counts one request.
    #[inline]
    pub(crate) fn count(&self, proof: Proof, outcome: Outcome) {
        self.0[proof as usize][outcome as usize].add(1);
    }
}

/// One worker's counts of tokens that verified and are remembered.
#[derive(Debug, Default)]
pub(crate) struct TokenLine {
    /// Tokens that were found, and those that were not.
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    /// What is held now.
    pub(crate) tokens: Counter,
    pub(crate) bytes: Counter,
}

/// How policies ended with a request whose tenant is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TenantOutcome {
    Passed,
    Denied,
    Limited,
}

const TENANT_OUTCOMES: [&str; 3] = ["passed", "denied", "limited"];

/// One worker's counts of one tenant.
#[derive(Debug, Default)]
pub(crate) struct TenantLine([Counter; TENANT_OUTCOMES.len()]);

impl TenantLine {
    /// Counts one request.
    pub(crate) fn count(&self, outcome: TenantOutcome) {
        self.0[outcome as usize].add(1);
    }

    /// By outcome, as [`TENANT_OUTCOMES`].
    pub(super) fn counts(&self) -> [u64; TENANT_OUTCOMES.len()] {
        self.0.each_ref().map(Counter::get)
    }
}

impl Fold for TenantLine {
    fn absorb(&self, other: &Self) {
        self.0.iter().zip(other.counts()).for_each(|(own, theirs)| own.add(theirs));
    }
}

/// The families.
pub(super) fn text(text: &mut Text, shared: &Shared) {
    security(text, shared);
    auth(text, shared);
    tokens(text, shared);
    limits(text, shared);
    tenants(text, shared);
    fetches(text, shared);
}

/// Records of the audit trail, and policies' files.
fn security(text: &mut Text, shared: &Shared) {
    let written = shared.writer.audit_written.load(Relaxed);
    text.one("fastgate_audit_records_total", "counter", "Records of the audit trail that were written.", written);
    text.family("fastgate_audit_dropped_total", "counter", "Records of the audit trail that are lost, by reason.");
    let (full, failed) = (shared.trail.dropped.load(Relaxed), shared.writer.audit_failed.load(Relaxed));
    for (reason, n) in [("queue_full", full), ("sink_failed", failed)] {
        text.sample("fastgate_audit_dropped_total", &[("reason", reason)], n);
    }
    let (swapped, refused) = shared.registry.guards.watchlist.counts();
    text.family("fastgate_file_reloads_total", "counter", "Files of policies and TLS that changed, by result.");
    text.sample("fastgate_file_reloads_total", &[("result", "success")], swapped);
    text.sample("fastgate_file_reloads_total", &[("result", "failure")], refused);
}

/// Who was asked for; a method that nobody used has no line.
fn auth(text: &mut Text, shared: &Shared) {
    let name = "fastgate_auth_requests_total";
    text.family(name, "counter", "Requests to routes with auth, by method and outcome; none: no credential was shown.");
    for (i, method) in PROOFS.iter().enumerate() {
        let sums = std::array::from_fn::<u64, { OUTCOMES.len() }, _>(|j| {
            shared.workers.iter().map(|worker| worker.metrics.auth.0[i][j].get()).sum()
        });
        if sums.iter().all(|sum| *sum == 0) {
            continue;
        }
        for (outcome, sum) in OUTCOMES.iter().zip(sums) {
            text.sample(name, &[("method", method), ("outcome", outcome)], sum);
        }
    }
}

/// Tokens that are remembered, once there were any.
fn tokens(text: &mut Text, shared: &Shared) {
    let sum =
        |of: fn(&TokenLine) -> &Counter| shared.workers.iter().map(|one| of(&one.metrics.tokens).get()).sum::<u64>();
    let (hits, misses) = (sum(|line| &line.hits), sum(|line| &line.misses));
    if hits + misses == 0 {
        return;
    }
    let name = "fastgate_jwt_cache_requests_total";
    text.family(name, "counter", "Tokens looked for among those that verified, by result.");
    text.sample(name, &[("result", "hit")], hits);
    text.sample(name, &[("result", "miss")], misses);
    let help = "Tokens remembered, all workers together.";
    text.one("fastgate_jwt_cache_tokens", "gauge", help, sum(|line| &line.tokens));
    let help = "Bytes held for them, as reckoned.";
    text.one("fastgate_jwt_cache_bytes", "gauge", help, sum(|line| &line.bytes));
}

/// What limits decided, for as long as a config has them.
fn limits(text: &mut Text, shared: &Shared) {
    let mut begun = None;
    shared.registry.guards.limits.show(|family, labels, value| {
        let (name, kind, help) = match family {
            Family::Decisions => ("fastgate_limit_decisions_total", "counter", "Requests by limit and its decision."),
            Family::Keys => ("fastgate_limit_keys", "gauge", "Keys that have a count."),
            Family::Overflow => {
                ("fastgate_limit_overflow_total", "counter", "Decisions on the count of a network, for want of room.")
            }
        };
        if begun != Some(family) {
            text.family(name, kind, help);
            begun = Some(family);
        }
        text.sample(name, labels, value);
    });
}

/// Requests by tenant, where the config wants that.
fn tenants(text: &mut Text, shared: &Shared) {
    let tenants = report::tenants(shared);
    if tenants.is_empty() {
        return;
    }
    let name = "fastgate_tenant_requests_total";
    let help = format!("Requests whose tenant is known, by what policies decided; {OTHER}: tenants without a place.");
    text.family(name, "counter", &help);
    for (tenant, counts) in tenants {
        for (outcome, n) in TENANT_OUTCOMES.iter().zip(counts) {
            text.sample(name, &[("tenant", &tenant), ("outcome", outcome)], n);
        }
    }
}

/// What the gateway itself asks.
fn fetches(text: &mut Text, shared: &Shared) {
    let name = "fastgate_fetch_total";
    text.family(name, "counter", "Requests of the gateway's own, by purpose and result.");
    for (purpose, result, n) in shared.registry.guards.fetcher.figures.all() {
        text.sample(name, &[("purpose", purpose), ("result", result)], n);
    }
    let key_sets = &shared.registry.guards.key_sets;
    let (sets, empty) = key_sets.counts();
    if sets == 0 {
        return;
    }
    text.one("fastgate_jwks_sources", "gauge", "Key sets that are fetched.", sets);
    let help = "Key sets of which no fetch has brought a key yet.";
    text.one("fastgate_jwks_sources_without_keys", "gauge", help, empty);
    let name = "fastgate_jwks_refreshes_total";
    text.family(name, "counter", "Fetches of key sets: other keys came, the same ones, or none.");
    for (result, n) in key_sets.figures.refreshes() {
        text.sample(name, &[("result", result)], n);
    }
    let help = "Requests that were judged at once because too many wait for a fresh key.";
    text.one("fastgate_jwks_queue_full_total", "counter", help, key_sets.figures.full.load(Relaxed));
}
