//! What subscribers count, and how it is told.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::histogram::Histogram;

/// What is wrong with a server, or with this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// A publication that did not come.
    Lost,
    /// One that came twice.
    Duplicate,
    /// One that came after a later one.
    Reordered,
    /// One of another room.
    Foreign,
    /// Bytes that nobody published.
    Corrupt,
    /// A frame that RFC 6455 does not allow a server.
    Protocol,
    /// The connection was refused or ended before the handshake was done.
    Refused,
    /// Another answer than 101, or a wrong `Sec-WebSocket-Accept`.
    Handshake,
    /// A handshake that took too long.
    Timeout,
    /// A connection that ended, with or without a close frame, though nobody asked for it.
    Ended,
    /// A publisher's connection that failed, or an answer that refused a publication.
    Publisher,
}

impl Fault {
    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// What became of subscribers that did not read for a while.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Slow {
    /// The server ended the connection.
    pub(super) closed: u64,
    /// It got everything after all.
    pub(super) complete: u64,
    /// It lost publications and was told how many.
    pub(super) told: u64,
    /// It lost publications and nothing said so.
    pub(super) silent: u64,
}

/// Counts since they were last taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    /// Connections that stand now.
    pub(super) open: u64,
    /// Handshakes done.
    pub(super) opened: u64,
    /// From the start of a connection to its 101, in nanoseconds.
    pub(super) handshake: Histogram,
    /// From the sending of a publication to its arrival, in nanoseconds.
    pub(super) latency: Histogram,
    /// Pings answered.
    pub(super) pings: u64,
    /// Drops that notices of the server told.
    pub(super) told: u64,
    /// Close frames by code.
    pub(super) closes: BTreeMap<u16, u64>,
    pub(super) faults: BTreeMap<Fault, u64>,
    pub(super) slow: Slow,
}

impl Counts {
    /// Counts a fault so many times.
    pub(super) fn fault(&mut self, fault: Fault, count: u64) {
        if count > 0 {
            *self.faults.entry(fault).or_default() += count;
        }
    }

    /// Adds those of another thread.
    pub(super) fn add(&mut self, other: &Self) {
        self.open += other.open;
        self.opened += other.opened;
        self.handshake.add(&other.handshake);
        self.latency.add(&other.latency);
        self.pings += other.pings;
        self.told += other.told;
        for (code, count) in &other.closes {
            *self.closes.entry(*code).or_default() += count;
        }
        for (fault, count) in &other.faults {
            self.fault(*fault, *count);
        }
        self.slow.closed += other.slow.closed;
        self.slow.complete += other.slow.complete;
        self.slow.told += other.slow.told;
        self.slow.silent += other.slow.silent;
    }

    /// Faults of all kinds.
    pub(super) fn errors(&self) -> u64 {
        self.faults.values().sum()
    }

    /// The counts.
    pub(super) fn json(&self) -> Map<String, Value> {
        let faults = self.faults.iter().filter(|(_, count)| **count > 0);
        let faults: BTreeMap<_, _> = faults.map(|(fault, count)| (fault.name(), count)).collect();
        let closes: BTreeMap<_, _> = self.closes.iter().map(|(code, count)| (code.to_string(), count)).collect();
        let Slow { closed, complete, told, silent } = self.slow;
        let value = json!({
            "open": self.open,
            "opened": self.opened,
            "handshake_us": times(&self.handshake),
            "latency_us": times(&self.latency),
            "received": self.latency.count(),
            "pings": self.pings,
            "told": self.told,
            "closes": closes,
            "errors": self.errors(),
            "faults": faults,
            "slow": {"closed": closed, "complete": complete, "told": told, "silent": silent},
        });
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}

/// A histogram in microseconds.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(super) fn times(histogram: &Histogram) -> Value {
    let micros = |nanos: u64| nanos as f64 / 1_000.0;
    json!({
        "p50": micros(histogram.quantile(0.5)),
        "p90": micros(histogram.quantile(0.9)),
        "p99": micros(histogram.quantile(0.99)),
        "p99.9": micros(histogram.quantile(0.999)),
        "max": micros(histogram.max()),
        "mean": micros(histogram.mean()),
    })
}
