//! The engine: sockets, worker threads, timers, pools and the life of a request.
//!
//! It uses `fastgate-core` for everything that can be decided without I/O and reaches Python only through
//! [`host::Host`]. `lifecycle.rs` is the place to begin reading.

mod about;
mod accept;
mod adopt;
mod answer;
mod asked;
mod background;
mod buffers;
mod carrier;
mod clock;
mod connection;
mod date;
mod deadlines;
mod descriptors;
mod dial;
mod direct;
mod dns;
mod engine;
mod exchange;
mod failure;
mod fault;
mod fetch;
mod files;
mod guard;
mod handed;
mod head;
mod health;
mod hooks;
pub mod host;
mod hub;
mod internal;
mod jwks;
mod lifecycle;
mod listen;
mod live;
mod log;
mod metrics;
#[cfg(feature = "planted")]
mod planted;
mod pool;
mod proxied;
mod publish;
mod redis;
mod revoke;
mod rt;
mod seen;
#[cfg(feature = "simulation")]
pub mod simulation;
mod start_error;
mod store;
mod subscribers;
mod sync;
mod sys;
mod target;
mod thread;
mod tls;
mod transport;
mod trust;
mod upstream_tls;
mod watched;
mod worker;

pub use engine::Engine;
pub use fastgate_core::snapshot::{Invalid, Snapshot};
pub use handed::Handed;
pub use hub::{Delivered, PublishError};
pub use revoke::By as RevokeBy;
pub use start_error::StartError;
pub use subscribers::Disconnect;

/// Signals of the bare engine's process.
pub mod signals {
    pub use crate::sys::{HANGUP, USER, block_signals, raise, wait_signal};
}
