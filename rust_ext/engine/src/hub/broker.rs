//! What connects the hubs of several processes.

use std::fmt;
use std::sync::Arc;

use super::Sender;

/// Carries publications between processes. No call waits: each leaves a note for the broker's own thread.
///
/// What it receives it hands to [`super::Channels::deliver`], its own publications too: that is how the processes of one
/// hub agree on the order of a channel.
pub(crate) trait Broker: Send + Sync + fmt::Debug {
    /// A channel got its first member in this process. Called under the channel's lock, so that order holds.
    fn subscribe(&self, channel: &Arc<str>);

    /// A channel lost its last member in this process. Called under the channel's lock.
    fn unsubscribe(&self, channel: &Arc<str>);

    /// Takes a publication to carry; `false`: it cannot now (the connection is down or its queue is full), and the
    /// caller delivers to this process alone.
    fn publish(&self, channel: &str, payload: &Arc<[u8]>, from: Option<Sender>) -> bool;

    /// Where it is, without secrets.
    fn place(&self) -> String {
        String::new()
    }

    /// Why it does not carry everything; `None`: it does.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// Channels with members here that it is not allowed to subscribe.
    fn denied(&self) -> usize {
        0
    }
}
