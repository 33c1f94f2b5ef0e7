//! Counts that span workers, released by dropping.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::worker::Shared;

/// One client connection in the process's count.
#[derive(Debug)]
pub(crate) struct Counted(Option<Arc<Shared>>);

impl Counted {
    /// Counts one more, unless that would be more than `max`.
    pub(crate) fn up_to(shared: &Arc<Shared>, max: u32) -> Option<Self> {
        shared.connections.fetch_update(Relaxed, Relaxed, |open| (open < max).then_some(open + 1)).ok()?;
        Some(Self(Some(shared.clone())))
    }

    /// Takes over a connection that another worker has counted.
    pub(crate) fn already(shared: &Arc<Shared>) -> Self {
        Self(Some(shared.clone()))
    }

    /// Leaves the count to whoever takes the connection over.
    pub(crate) fn hand_over(mut self) {
        self.0 = None;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.connections.fetch_sub(1, Relaxed);
        }
    }
}
