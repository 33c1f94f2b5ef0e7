//! Counters and times: each worker owns its own, readers add them up.

mod book;
mod histogram;
pub(crate) mod hub;
mod line;
pub(crate) mod policies;
pub(crate) mod process;
pub(crate) mod report;
mod tally;
mod text;
pub(crate) mod tls;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use fastgate_core::http1::Reason;

use crate::fault::FaultKind;

pub(crate) use book::{Book, Fold, MAX_TIMED, Places};
pub(crate) use histogram::Times;
pub(crate) use line::{ListenerLine, PoolLine, RouteLine};
pub(crate) use tally::{RouteSlot, Tally};
pub(crate) use text::metrics_text;

/// A counter with one writer, so that counting is a load and a store and no locked instruction.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the owning worker may.
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Sets what goes up and down; only the owning worker may.
    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
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
            /// Messages refused by the codec, by reason.
            pub(crate) refused: Vec<Counter>,
            /// Requests that ended in a fault of the gateway, the client or the upstream, by kind.
            pub(crate) faults: Vec<Counter>,
            /// What no route is asked for: refused messages, 404 and 405.
            pub(crate) unrouted: RouteLine,
            /// By route, those that were asked.
            pub(crate) routes: Book<RouteLine>,
            /// Times by service, those that were asked.
            pub(crate) services: Book<Times>,
            /// Times by route, those that want their own.
            pub(crate) route_times: Book<Times>,
            /// By listener.
            pub(crate) listeners: Book<ListenerLine>,
            /// Of its subscribers.
            pub(crate) hub: hub::HubLine,
            /// Of TLS handshakes with clients.
            pub(crate) tls: tls::TlsLine,
            /// Of who was asked for.
            pub(crate) auth: policies::AuthLine,
            /// Of tokens that are remembered.
            pub(crate) tokens: policies::TokenLine,
            /// By tenant, those that have a place.
            pub(crate) tenants: Book<policies::TenantLine>,
        }

        impl Metrics {
            /// All zero.
            pub(crate) fn new() -> Self {
                Self {
                    $($name: Counter::default(),)*
                    refused: Reason::ALL.iter().map(|_| Counter::default()).collect(),
                    faults: FaultKind::ALL.iter().map(|_| Counter::default()).collect(),
                    unrouted: RouteLine::default(),
                    routes: Book::default(),
                    services: Book::default(),
                    route_times: Book::default(),
                    listeners: Book::default(),
                    hub: hub::HubLine::default(),
                    tls: tls::TlsLine::default(),
                    auth: policies::AuthLine::default(),
                    tokens: policies::TokenLine::default(),
                    tenants: Book::default(),
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
    /// Tunnels that have ended.
    tunnels_closed,
    /// Connections ended for want of a PROXY protocol header, or of a peer that may send one.
    proxy_refused,
    /// Panics caught; each ended one connection.
    panics,
    /// Lines of the access log dropped because the queue of its thread was full.
    access_log_dropped,
    /// Log lines dropped because the log thread's queue was full.
    log_dropped,
}

impl Metrics {
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
