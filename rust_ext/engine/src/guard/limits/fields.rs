//! What a client is told of its limits: `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10),
//! `Retry-After` (RFC 9110 §10.2.3), and `X-RateLimit-*` where that is asked for.

use std::fmt::Write;

use fastgate_core::limit::Verdict;
use fastgate_core::snapshot::policies::{Limit, Window};

use super::super::{Ask, Denial};

/// What is always the same of one limit.
#[derive(Debug)]
pub(super) struct Fields {
    name: Box<str>,
    /// `"burst";q=200;w=2`.
    policy: Box<str>,
    most: u64,
    /// With answers that pass, too.
    always: bool,
    legacy: bool,
}

impl Fields {
    pub(super) fn new(limit: &Limit) -> Self {
        let seconds = |ms: u64| ms.div_ceil(1_000).max(1);
        let (most, window) = match limit.window {
            // What can be had at once, and how long that takes to come back.
            Window::Flowing => {
                let ms = u128::from(limit.window_ms) * u128::from(limit.burst) / u128::from(limit.count.max(1));
                (limit.burst, seconds(u64::try_from(ms).unwrap_or(u64::MAX)))
            }
            _ => (limit.count, seconds(limit.window_ms)),
        };
        let policy = format!("\"{}\";q={most};w={window}", limit.name).into();
        let (always, legacy) = (limit.headers, limit.legacy_headers);
        Self { name: limit.name.as_str().into(), policy, most, always, legacy }
    }

    /// A refusal says all of it.
    pub(super) fn refused(&self, denial: Denial, verdict: &Verdict) -> Denial {
        let mut denial = denial
            .with("Retry-After", seconds(verdict.retry_ns).to_string())
            .with("RateLimit-Policy", self.policy.as_bytes())
            .with("RateLimit", self.now(verdict));
        if self.legacy {
            for (name, value) in self.legacy(verdict) {
                denial = denial.with(name, value.to_string());
            }
        }
        denial
    }

    fn now(&self, verdict: &Verdict) -> String {
        format!("\"{}\";r={};t={}", self.name, verdict.remaining, seconds(verdict.reset_ns))
    }

    fn legacy(&self, verdict: &Verdict) -> [(&'static str, u64); 3] {
        [
            ("X-RateLimit-Limit", self.most),
            ("X-RateLimit-Remaining", verdict.remaining),
            ("X-RateLimit-Reset", seconds(verdict.reset_ns)),
        ]
    }
}

fn seconds(ns: u64) -> u64 {
    ns.div_ceil(1_000_000_000).max(1)
}

/// What answers that pass say; nothing unless some limit wants it.
#[derive(Default)]
pub(super) struct Told {
    policies: String,
    now: String,
    /// The one that is nearest to its end.
    legacy: Option<[(&'static str, u64); 3]>,
}

impl Told {
    pub(super) fn add(&mut self, fields: &Fields, verdict: &Verdict) {
        if fields.always {
            let comma = if self.now.is_empty() { "" } else { ", " };
            // A string takes all that is written to it.
            let _ = write!(self.policies, "{comma}{}", fields.policy);
            let _ = write!(self.now, "{comma}{}", fields.now(verdict));
        }
        if fields.legacy && self.legacy.is_none_or(|[_, (_, left), _]| verdict.remaining < left) {
            self.legacy = Some(fields.legacy(verdict));
        }
    }

    pub(super) fn put(self, ask: &Ask<'_>) {
        for (name, value) in self.fields() {
            ask.extra(|extra| extra.add(name, &value));
        }
    }

    /// The fields; none where no limit wants any.
    pub(super) fn fields(self) -> Vec<(&'static str, Vec<u8>)> {
        let mut fields = Vec::new();
        if !self.now.is_empty() {
            fields.push(("RateLimit-Policy", self.policies.into_bytes()));
            fields.push(("RateLimit", self.now.into_bytes()));
        }
        let legacy = self.legacy.into_iter().flatten();
        fields.extend(legacy.map(|(name, value)| (name, value.to_string().into_bytes())));
        fields
    }
}
