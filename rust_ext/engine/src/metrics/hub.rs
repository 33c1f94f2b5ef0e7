//! What a worker's part of the hub counts, and how it is shown.

use serde_json::{Map, Value, json};

use super::Counter;
use super::histogram::{Histogram, Sum};
use super::text::Text;
use crate::worker::Shared;

/// The codes that connections end with and that are counted apart; the last one stands for all others.
const CODES: [(u16, &str); 16] = [
    (1000, "1000"),
    (1001, "1001"),
    (1002, "1002"),
    (1003, "1003"),
    (1005, "1005"),
    (1006, "1006"),
    (1007, "1007"),
    (1008, "1008"),
    (1009, "1009"),
    (1011, "1011"),
    (1013, "1013"),
    (3001, "3001"),
    (3008, "3008"),
    (3012, "3012"),
    (3503, "3503"),
    (0, "other"),
];

/// Why a message did not reach a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Its queue was full, or did not move, and it was disconnected.
    Slow,
    /// The oldest one gave way.
    Oldest,
    /// A newer one of its channel came.
    Latest,
    /// It is no text.
    Encoding,
    /// A worker's inbox was full.
    Busy,
}

const DROPS: [(Lost, &str); 5] = [
    (Lost::Slow, "slow"),
    (Lost::Oldest, "drop_oldest"),
    (Lost::Latest, "latest_only"),
    (Lost::Encoding, "encoding"),
    (Lost::Busy, "busy"),
];

/// What one worker counts of its subscribers.
#[derive(Debug, Default)]
pub(crate) struct HubLine {
    /// WebSockets, and event streams, taken up and ended.
    pub(crate) opened: [Counter; 2],
    pub(crate) closed: [Counter; 2],
    /// Messages given to subscribers.
    pub(crate) deliveries: Counter,
    drops: [Counter; DROPS.len()],
    closes: [Counter; CODES.len()],
    /// Bytes that wait for subscribers; goes up and down.
    pub(crate) queued: Counter,
    /// From a publication to the last send of its fan-out here.
    pub(crate) lag: Histogram,
}

impl HubLine {
    /// Counts messages that did not reach a subscriber.
    pub(crate) fn dropped(&self, why: Lost, messages: u32) {
        self.drops[why as usize].add(u64::from(messages));
    }

    /// Counts one connection's end.
    pub(crate) fn close(&self, code: u16) {
        let at = CODES.iter().position(|(known, _)| *known == code).unwrap_or(CODES.len() - 1);
        self.closes[at].add(1);
    }

    /// Follows what waits for one subscriber.
    pub(crate) fn waits(&self, before: usize, after: usize) {
        self.queued.add((after as u64).wrapping_sub(before as u64));
    }
}

/// All workers together.
#[derive(Debug, Default)]
pub(crate) struct HubSum {
    /// WebSockets and event streams: taken up, and open.
    pub(crate) opened: [u64; 2],
    pub(crate) open: [u64; 2],
    pub(crate) deliveries: u64,
    pub(crate) drops: Vec<(&'static str, u64)>,
    pub(crate) closes: Vec<(&'static str, u64)>,
    pub(crate) queued: u64,
    pub(crate) channels: u64,
    pub(crate) subscriptions: u64,
    /// Publications by where they came from.
    pub(crate) publications: Vec<(&'static str, u64)>,
}

/// Adds up what the workers have counted.
pub(crate) fn sum(shared: &Shared) -> HubSum {
    let all = |of: &dyn Fn(&HubLine) -> u64| -> u64 {
        shared.workers.iter().map(|worker| of(&worker.metrics.hub)).fold(0, u64::wrapping_add)
    };
    // Read in this order one that ends meanwhile is not counted as one that never was.
    let closed = [0, 1].map(|kind| all(&|line| line.closed[kind].get()));
    let opened = [0, 1].map(|kind| all(&|line| line.opened[kind].get()));
    let (channels, subscriptions) = shared.hub.channels.counts();
    HubSum {
        opened,
        open: [opened[0].saturating_sub(closed[0]), opened[1].saturating_sub(closed[1])],
        deliveries: all(&|line| line.deliveries.get()),
        drops: DROPS.iter().map(|(why, name)| (*name, all(&|line| line.drops[*why as usize].get()))).collect(),
        closes: CODES.iter().enumerate().map(|(i, (_, name))| (*name, all(&|line| line.closes[i].get()))).collect(),
        queued: all(&|line| line.queued.get()),
        channels,
        subscriptions,
        publications: shared.hub.published(),
    }
}

/// The same as one JSON object; see `Engine::stats_json`.
pub(super) fn stats(shared: &Shared) -> Value {
    let sum = sum(shared);
    let named = |counts: Vec<(&'static str, u64)>| -> Map<String, Value> {
        counts.into_iter().filter(|(_, n)| *n > 0).map(|(name, n)| (name.to_owned(), n.into())).collect()
    };
    let mut lag = Sum::default();
    shared.workers.iter().for_each(|worker| lag.add(&worker.metrics.hub.lag));
    json!({
        "connections": {"websocket": sum.open[0], "sse": sum.open[1]},
        "connections_total": sum.opened[0] + sum.opened[1],
        "subscriptions": sum.subscriptions,
        "channels": sum.channels,
        "publications": named(sum.publications),
        "deliveries": sum.deliveries,
        "drops": named(sum.drops),
        "closes": named(sum.closes),
        "queued_bytes": sum.queued,
        "lag": {"p50_us": lag.quantile_us(0.5), "p99_us": lag.quantile_us(0.99)},
    })
}

/// Writes it.
pub(super) fn text(text: &mut Text, shared: &Shared) {
    const KINDS: [&str; 2] = ["websocket", "sse"];
    let sum = sum(shared);
    text.family("fastgate_realtime_connections", "gauge", "Subscribers connected, by transport.");
    for (kind, n) in KINDS.iter().zip(sum.open) {
        text.sample("fastgate_realtime_connections", &[("transport", kind)], n);
    }
    text.family("fastgate_realtime_connections_total", "counter", "Subscribers that have connected, by transport.");
    for (kind, n) in KINDS.iter().zip(sum.opened) {
        text.sample("fastgate_realtime_connections_total", &[("transport", kind)], n);
    }
    text.one("fastgate_realtime_channels", "gauge", "Channels with members.", sum.channels);
    text.one("fastgate_realtime_subscriptions", "gauge", "Members of channels.", sum.subscriptions);
    text.family("fastgate_realtime_publications_total", "counter", "Publications taken for delivery, by source.");
    for (source, n) in sum.publications {
        text.sample("fastgate_realtime_publications_total", &[("source", source)], n);
    }
    let help = "Messages given to subscribers.";
    text.one("fastgate_realtime_deliveries_total", "counter", help, sum.deliveries);
    text.family("fastgate_realtime_drops_total", "counter", "Messages that did not reach a subscriber, by reason.");
    for (reason, n) in sum.drops {
        text.sample("fastgate_realtime_drops_total", &[("reason", reason)], n);
    }
    let help = "Subscribers' connections that ended, by close code; 1006 ended without one.";
    text.family("fastgate_realtime_closes_total", "counter", help);
    for (code, n) in sum.closes.into_iter().filter(|(_, n)| *n > 0) {
        text.sample("fastgate_realtime_closes_total", &[("code", code)], n);
    }
    text.one("fastgate_realtime_queued_bytes", "gauge", "Bytes that wait for subscribers.", sum.queued);
    let mut lag = Sum::default();
    shared.workers.iter().for_each(|worker| lag.add(&worker.metrics.hub.lag));
    let name = "fastgate_realtime_lag_seconds";
    text.family(name, "histogram", "Time from a publication to the last send of its fan-out on a worker.");
    text.plain_histogram(name, &lag);
}
