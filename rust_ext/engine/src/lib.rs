//! The engine: sockets, worker threads, timers, pools and the life of a request.
//!
//! It uses `fastgate-core` for everything that can be decided without I/O and reaches Python only through
//! [`host::Host`]. `lifecycle.rs` is the place to begin reading.

mod about;
mod accept;
mod adopt;
mod answer;
mod background;
mod buffers;
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
mod files;
mod handed;
mod head;
mod health;
mod hooks;
pub mod host;
mod hub;
mod internal;
mod lifecycle;
mod listen;
mod live;
mod log;
mod metrics;
#[cfg(feature = "planted")]
mod planted;
mod pool;
mod publish;
mod rt;
mod seen;
#[cfg(feature = "simulation")]
pub mod simulation;
mod subscribers;
mod sync;
mod sys;
mod target;
mod thread;
mod transport;
mod worker;

pub use engine::{Engine, StartError};
pub use fastgate_core::snapshot::{Invalid, Snapshot};
pub use handed::Handed;
pub use hub::{Delivered, PublishError};
pub use subscribers::Disconnect;

/// Signals of the bare engine's process.
pub mod signals {
    pub use crate::sys::{HANGUP, USER, block_signals, raise, wait_signal};
}
