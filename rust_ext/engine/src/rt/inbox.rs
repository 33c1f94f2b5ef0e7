//! Messages from other threads to a worker: a queue and one wake-up.

use std::sync::{Mutex, PoisonError};

/// A queue that any thread fills and one task empties. Its bound is its users': each message answers something the
/// receiving worker asked for, or is one of the control thread's few commands.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    queue: Mutex<Vec<T>>,
    bell: tokio::sync::Notify,
}

impl<T> Inbox<T> {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { queue: Mutex::new(Vec::new()), bell: tokio::sync::Notify::new() }
    }

    /// Adds messages; the receiver is woken once for all that waits.
    pub(crate) fn send(&self, messages: impl IntoIterator<Item = T>) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).extend(messages);
        self.bell.notify_one();
    }

    /// Takes what waits, without waiting for more.
    pub(crate) fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for messages and takes all of them.
    pub(crate) async fn receive(&self) -> Vec<T> {
        loop {
            let waiting = self.take();
            if !waiting.is_empty() {
                return waiting;
            }
            self.bell.notified().await;
        }
    }
}
