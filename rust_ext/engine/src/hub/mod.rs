//! The hub: subscribers by channel, one shard a worker, and what carries publications to them.
//!
//! What all workers share stands in [`Hub`]: which workers have members of which channel, and the broker that connects
//! processes. A publication gets its place in its channel's order under one lock, together with its place in the inbox
//! of every worker that has members; from there on workers share nothing but its bytes.

mod broker;
mod channels;
mod drain;
mod endpoint;
mod fanout;
mod frames;
mod listing;
mod moving;
mod ping;
mod publication;
mod queue;
mod reading;
pub(crate) mod redis;
mod session;
mod shard;
mod slab;
mod table;
mod upgrade;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

pub(crate) use broker::Broker;
pub use channels::Delivered;
pub(crate) use channels::{Channels, Parcel, Post};
pub(crate) use drain::run as drain;
pub(crate) use endpoint::Endpoint;
pub(crate) use listing::{Command, Whom, command, read as session_of};
pub(crate) use moving::{HubState, Move, adopt, go};
pub(crate) use publication::{Publication, Sender};
pub(crate) use shard::{Shard, enter};
pub(crate) use upgrade::{Entrance, serve};

pub(crate) use fastgate_core::publish::{MAX_MESSAGE, MAX_PUBLICATION};

use crate::publish;
use crate::worker::WorkerShared;

/// Why a publication was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishError {
    /// The channel's name is empty, longer than 255 bytes, or has a control character in it.
    Channel,
    /// More than 1 MiB (16 MiB from a client to others of this process).
    TooLarge,
    /// A worker's inbox is full: nobody got it.
    Busy,
}

impl std::fmt::Display for PublishError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Channel => "a channel's name has 1 to 255 bytes and no control characters",
            Self::TooLarge => "a publication has at most 1048576 bytes",
            Self::Busy => "too many publications wait for delivery; try again later",
        })
    }
}

impl std::error::Error for PublishError {}

/// What all workers share of the hub.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    pub(crate) channels: Channels,
    /// What connects this process with others, once there is one.
    broker: RwLock<Option<Arc<dyn Broker>>>,
    /// Publications taken for delivery here that came from this process, and from clients.
    local: AtomicU64,
    clients: AtomicU64,
    /// What brokers have done, whichever they were.
    pub(crate) figures: redis::Figures,
}

impl Hub {
    /// Goes over to another broker, or to none; every channel with members that wants one is subscribed there.
    pub(crate) fn connect(&self, broker: Option<Arc<dyn Broker>>) {
        *self.broker.write().unwrap_or_else(PoisonError::into_inner) = broker.clone();
        if let Some(broker) = broker {
            self.channels.resubscribe(&*broker);
        }
    }

    /// The broker, if there is one.
    pub(crate) fn broker(&self) -> Option<Arc<dyn Broker>> {
        self.broker.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether nobody would get a publication, known without a wait; `false`: somebody may.
    pub(crate) fn has_nobody(&self, channel: &str) -> bool {
        self.broker.try_read().is_ok_and(|broker| broker.is_none()) && self.channels.try_has(channel) == Some(false)
    }

    /// Counts a publication that nobody wants.
    pub(crate) fn to_nobody(&self) -> Delivered {
        self.local.fetch_add(1, Relaxed);
        Delivered::default()
    }

    /// Publishes: through the broker where the channel has one and it is there, else to this process alone.
    ///
    /// # Errors
    /// [`PublishError`]; nobody got it then.
    pub(crate) fn publish(
        &self,
        workers: &[WorkerShared],
        channel: &str,
        payload: &Arc<[u8]>,
        from: Option<Sender>,
        brokered: bool,
    ) -> Result<Delivered, PublishError> {
        // What a client says to others of this process passes no limit but its endpoint's.
        let most = if from.is_some() && !brokered { MAX_MESSAGE } else { MAX_PUBLICATION };
        publish::check(channel, payload, most)?;
        if brokered
            && let Some(broker) = self.broker()
            && broker.publish(channel, payload, from)
        {
            return Ok(Delivered::default());
        }
        let count = if from.is_some() { &self.clients } else { &self.local };
        count.fetch_add(1, Relaxed);
        self.channels.deliver(workers, channel, payload, from)
    }

    /// Publications taken for delivery here, by where they came from.
    pub(crate) fn published(&self) -> Vec<(&'static str, u64)> {
        let (local, clients) = (self.local.load(Relaxed), self.clients.load(Relaxed));
        let rest = self.channels.delivered().saturating_sub(local).saturating_sub(clients);
        vec![("local", local), ("client", clients), ("redis", rest)]
    }
}
