//! Diagnostic lines: workers put them in a bounded queue, one thread writes them. A worker never writes itself.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use crate::host::{Host, Level};

/// Lines that may wait; beyond it a line is dropped and counted.
const QUEUE: usize = 1024;

/// Where lines go in.
#[derive(Debug, Clone)]
pub(crate) struct Log(SyncSender<(Level, String)>);

impl Log {
    /// The two ends of the queue.
    pub(crate) fn new() -> (Self, Receiver<(Level, String)>) {
        let (sender, receiver) = sync_channel(QUEUE);
        (Self(sender), receiver)
    }

    /// Adds a line; `false` when it was dropped.
    pub(crate) fn line(&self, level: Level, message: impl Into<String>) -> bool {
        !matches!(self.0.try_send((level, message.into())), Err(TrySendError::Full(_)))
    }
}

/// Hands lines to the host until every sender is gone.
pub(crate) fn run(lines: Receiver<(Level, String)>, host: &Arc<dyn Host>) {
    for (level, message) in lines {
        host.log(level, &message);
    }
}
