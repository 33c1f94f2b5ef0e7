//! Counters: each worker owns its own, readers add them up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use fastgate_core::http1::Reason;

use crate::fault::FaultKind;

/// A counter with one writer, so that counting is a load and a store and no locked instruction.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the owning worker may.
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The current value, from any thread.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident),* $(,)?) => {
        /// What one worker counts.
        #[derive(Debug)]
        pub(crate) struct Metrics {
            $($(#[doc = $doc])* pub(crate) $name: Counter,)*
            /// Answers by status class, 1xx to 5xx.
            pub(crate) answers: [Counter; 5],
            /// Messages refused by the codec, by reason.
            pub(crate) refused: Vec<Counter>,
            /// Requests that ended in a fault of the gateway, the client or the upstream, by kind.
            pub(crate) faults: Vec<Counter>,
        }

        impl Metrics {
            /// All zero.
            pub(crate) fn new() -> Self {
                Self {
                    $($name: Counter::default(),)*
                    answers: Default::default(),
                    refused: Reason::ALL.iter().map(|_| Counter::default()).collect(),
                    faults: FaultKind::ALL.iter().map(|_| Counter::default()).collect(),
                }
            }

            fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get()),)*]
            }
        }
    };
}

counters! {
    /// Client connections accepted.
    accepted,
    /// Client connections ended.
    closed,
    /// Client connections turned away at `max_connections`.
    turned_away,
    /// Client connections passed on to another worker.
    passed_on,
    /// Requests whose head was accepted.
    requests,
    /// Requests that have ended, each exactly once.
    finished,
    /// Requests sent to an upstream, retries not counted.
    forwarded,
    /// Requests sent once more on a fresh connection.
    retried,
    /// Upstream connections opened.
    dialled,
    /// Upstream connections taken from the pool.
    reused,
    /// Connections that became tunnels.
    tunnels,
    /// Panics caught; each ended one connection.
    panics,
    /// Log lines dropped because the log thread's queue was full.
    log_dropped,
}

impl Metrics {
    /// Counts one answer by its status class.
    pub(crate) fn answered(&self, status: u16) {
        if let Some(counter) = self.answers.get(usize::from(status / 100).wrapping_sub(1)) {
            counter.add(1);
        }
    }

    /// Counts one refused message.
    pub(crate) fn refuse(&self, reason: Reason) {
        if let Some(counter) = Reason::ALL.iter().position(|r| *r == reason).and_then(|i| self.refused.get(i)) {
            counter.add(1);
        }
    }

    /// Counts one fault.
    pub(crate) fn fault(&self, kind: FaultKind) {
        self.faults[kind as usize].add(1);
    }
}

/// Adds up all workers' counters as JSON.
pub(crate) fn to_json<'a>(workers: impl Iterator<Item = &'a Metrics> + Clone, connections: u64) -> serde_json::Value {
    let mut out = serde_json::Map::new();
    for metrics in workers.clone() {
        for (name, n) in metrics.named() {
            let entry = out.entry(name).or_insert_with(|| 0.into());
            *entry = (entry.as_u64().unwrap_or(0) + n).into();
        }
    }
    let sum = |pick: &dyn Fn(&Metrics) -> u64| workers.clone().map(pick).sum::<u64>();
    let answers = (0..5).map(|i| (format!("{}xx", i + 1), sum(&|m| m.answers[i].get()).into())).collect();
    let refused = Reason::ALL.iter().enumerate().map(|(i, r)| (r.name(), sum(&|m| m.refused[i].get())));
    let faults = FaultKind::ALL.iter().map(|k| (k.name(), sum(&|m| m.faults[*k as usize].get())));
    out.insert("answers".into(), serde_json::Value::Object(answers));
    out.insert("refused".into(), non_zero(refused));
    out.insert("faults".into(), non_zero(faults));
    out.insert("connections".into(), connections.into());
    serde_json::Value::Object(out)
}

fn non_zero(counts: impl Iterator<Item = (&'static str, u64)>) -> serde_json::Value {
    counts
        .filter(|(_, n)| *n > 0)
        .map(|(name, n)| (name.to_owned(), n.into()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
