//! A publication: its bytes, shared by all who deliver it.

use std::sync::Arc;

/// Who sent a publication from within the hub: a session of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sender {
    /// The worker's index.
    pub(crate) worker: u16,
    /// The session's place in that worker's shard.
    pub(crate) slot: u32,
    /// Which session of that place.
    pub(crate) generation: u32,
    /// Whether it gets its own publication too.
    pub(crate) echo: bool,
}

/// One publication on its way to a worker's members.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) channel: Arc<str>,
    pub(crate) payload: Arc<[u8]>,
    /// Its place in the channel's order, from 1, for as long as the channel has members in this process.
    pub(crate) offset: u64,
    /// When it was published, in nanoseconds of the monotonic clock.
    pub(crate) at: u64,
    pub(crate) from: Option<Sender>,
}
