//! What a run measured, as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::answer::Fault;
use crate::histogram::Histogram;

/// The counts of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Latency of the answers that passed, in nanoseconds.
    pub latency: Histogram,
    /// Bytes of content of answers, or of echoes.
    pub content: u64,
    /// Faults by kind, warm-up included.
    pub faults: BTreeMap<Fault, u64>,
    /// Connections made anew because an answer or the peer ended the old one.
    pub reconnects: u64,
    /// Idle connections the peer ended.
    pub lost: u64,
    /// Length of the measured part.
    pub elapsed: Duration,
}

impl Report {
    /// Counts a fault.
    pub fn fault(&mut self, fault: Fault) {
        self.faults(fault, 1);
    }

    /// Counts faults of one kind.
    pub fn faults(&mut self, fault: Fault, count: u64) {
        if count > 0 {
            *self.faults.entry(fault).or_default() += count;
        }
    }

    /// Faults of all kinds.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.faults.values().sum()
    }

    /// The report.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub fn json(&self) -> Value {
        let micros = |nanos: u64| nanos as f64 / 1_000.0;
        let seconds = self.elapsed.as_secs_f64();
        let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];
        let mut latency: serde_json::Map<String, Value> = quantiles
            .iter()
            .map(|(name, share)| ((*name).to_owned(), micros(self.latency.quantile(*share)).into()))
            .collect();
        latency.insert("max".to_owned(), micros(self.latency.max()).into());
        latency.insert("mean".to_owned(), micros(self.latency.mean()).into());
        let faults: BTreeMap<_, _> = self.faults.iter().map(|(fault, count)| (fault.name(), count)).collect();
        json!({
            "requests": self.latency.count(),
            "seconds": seconds,
            "rate": if seconds > 0.0 { self.latency.count() as f64 / seconds } else { 0.0 },
            "content_bytes": self.content,
            "latency_us": latency,
            "errors": self.errors(),
            "faults": faults,
            "reconnects": self.reconnects,
            "lost": self.lost,
        })
    }
}
