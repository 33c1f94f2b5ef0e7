//! How often something went wrong.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::redis::Trouble;

/// What is counted, for as long as the process lives.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Connections opened after the first to the same server.
    pub(crate) reconnects: AtomicU64,
    /// Publications that came.
    pub(crate) received: AtomicU64,
    /// Publications that the server took.
    pub(crate) published: AtomicU64,
    /// Publications delivered here alone because the server refused them or the connection ended.
    pub(crate) returned: AtomicU64,
    /// Publications that came and were dropped: a worker's inbox was full, or more than 1 MiB.
    pub(crate) dropped: AtomicU64,
    /// Connections ended for bytes that are no RESP3 or answer nothing.
    pub(crate) malformed: AtomicU64,
    /// Connections ended because the server did not answer.
    pub(crate) silent: AtomicU64,
}

impl Figures {
    /// Counts the end of a connection.
    pub(super) fn ended(&self, trouble: &Trouble) {
        match trouble {
            Trouble::Malformed(_) | Trouble::Unexpected => self.malformed.fetch_add(1, Relaxed),
            Trouble::Silent => self.silent.fetch_add(1, Relaxed),
            _ => 0,
        };
    }
}
