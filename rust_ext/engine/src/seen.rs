//! What the engine says of itself to the process it lives in: readiness, health, statistics, metrics.

use crate::engine::Engine;
use crate::{health, metrics};

impl Engine {
    /// Counts a reload that failed before there was a snapshot to apply.
    pub fn reload_failed(&self, reason: &str) {
        self.shared.reloaded(Some(reason.to_owned()));
    }

    /// Says whether it wants traffic, and why not. Once it drains or stops it stays unready.
    pub fn set_ready(&self, ready: bool, reason: &str) {
        self.shared.status.set_ready((!ready).then(|| reason.to_owned()));
    }

    /// Everything that is counted, all workers together, as a JSON object.
    #[must_use]
    pub fn stats_json(&self) -> String {
        metrics::report::stats(&self.shared).to_string()
    }

    /// How it is and why, as `/healthz` says it to a client on this machine.
    #[must_use]
    pub fn health_json(&self) -> String {
        health::health(&self.shared).1.to_string()
    }

    /// Everything that is measured, in the Prometheus text format 0.0.4.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        metrics::metrics_text(&self.shared)
    }
}
