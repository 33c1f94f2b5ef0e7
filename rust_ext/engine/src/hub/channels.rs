//! Which workers have members of which channel: sharded tables with one lock each.
//!
//! Lock order: a shard of this table, then a worker's inbox or the broker's queue; never the other way round.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::moving::{Arrival, Expected};
use super::slab::Key;
use super::{Broker, Publication, PublishError, Sender};
use crate::clock;
use crate::rt::Inbox;
use crate::worker::WorkerShared;

/// Tables, each with a lock of its own.
const SHARDS: usize = 64;

/// Bytes of payload that may wait in one worker's inbox.
const INBOX_BYTES: usize = 64 * 1024 * 1024;

/// What one waiting publication counts for besides its payload.
const OVERHEAD: usize = 128;

/// Who got a publication.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Members in this process; 0 where the broker carries it.
    pub members: u32,
}

/// A channel has as many members as its endpoint allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// What reaches a worker in the order of its channels.
#[derive(Debug)]
pub(crate) enum Parcel {
    Publication(Arc<Publication>),
    /// A session leaves a channel for another worker's: what came before is for it, what follows is not.
    Depart(Key, Arc<str>),
    /// A session of another worker joins a channel: what follows is for it.
    Expect(Arc<Expected>, Arc<str>),
    /// An expected session's socket.
    Arrive(Box<Arrival>),
    /// An expected session will not come.
    Forget(u64),
}

impl Parcel {
    /// What a publication counts for.
    pub(crate) fn weigh(publication: &Publication) -> usize {
        publication.payload.len() + OVERHEAD
    }

    /// What it counts for.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Publication(publication) => Self::weigh(publication),
            Self::Depart(..) | Self::Expect(..) | Self::Arrive(_) | Self::Forget(_) => OVERHEAD,
        }
    }
}

/// Where a worker's publications wait: a queue bounded by bytes.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) inbox: Inbox<Parcel>,
    waiting: AtomicUsize,
}

impl Post {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { inbox: Inbox::new(), waiting: AtomicUsize::new(0) }
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.waiting.load(Relaxed) + bytes <= INBOX_BYTES
    }

    /// Puts something in.
    pub(crate) fn put(&self, parcel: Parcel) {
        self.waiting.fetch_add(parcel.weight(), Relaxed);
        self.inbox.send([parcel]);
    }

    /// The worker has done with something of that weight.
    pub(crate) fn done(&self, weight: usize) {
        self.waiting.fetch_sub(weight, Relaxed);
    }
}

#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    /// Members in this process, and how many of them each worker has; workers without any are not listed.
    members: u32,
    workers: Vec<(usize, u32)>,
    offset: u64,
    brokered: bool,
}

type Table = HashMap<Arc<str>, Entry>;

/// All channels that have members in this process.
#[derive(Debug)]
pub(crate) struct Channels {
    shards: Box<[Mutex<Table>]>,
    hasher: RandomState,
    delivered: AtomicU64,
}

impl Default for Channels {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            delivered: AtomicU64::new(0),
        }
    }
}

impl Channels {
    fn place(&self, channel: &str) -> usize {
        usize::try_from(self.hasher.hash_one(channel) % SHARDS as u64).unwrap_or(0)
    }

    fn shard(&self, channel: &str) -> MutexGuard<'_, Table> {
        self.shards[self.place(channel)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One member more on a worker; the channel's shared name. `max` 0: no limit.
    ///
    /// # Errors
    /// [`Full`].
    pub(crate) fn join(
        &self,
        broker: Option<&dyn Broker>,
        worker: usize,
        channel: &str,
        max: u32,
        brokered: bool,
    ) -> Result<Arc<str>, Full> {
        let mut shard = self.shard(channel);
        if !shard.contains_key(channel) {
            let name: Arc<str> = channel.into();
            let entry = Entry { name: name.clone(), members: 0, workers: Vec::new(), offset: 0, brokered: false };
            shard.insert(name, entry);
        }
        let Some(entry) = shard.get_mut(channel) else { return Err(Full) };
        if max > 0 && entry.members >= max {
            return Err(Full);
        }
        entry.members += 1;
        match entry.workers.iter_mut().find(|(index, _)| *index == worker) {
            Some((_, members)) => *members += 1,
            None => entry.workers.push((worker, 1)),
        }
        if brokered && !entry.brokered {
            entry.brokered = true;
            if let Some(broker) = broker {
                broker.subscribe(&entry.name);
            }
        }
        Ok(entry.name.clone())
    }

    /// One member fewer on a worker.
    pub(crate) fn leave(&self, broker: Option<&dyn Broker>, worker: usize, channel: &str) {
        let mut shard = self.shard(channel);
        let Some(entry) = shard.get_mut(channel) else { return };
        let Some(at) = entry.workers.iter().position(|(index, _)| *index == worker) else { return };
        entry.members -= 1;
        entry.workers[at].1 -= 1;
        if entry.workers[at].1 == 0 {
            entry.workers.swap_remove(at);
        }
        if entry.members == 0 {
            if let (true, Some(broker)) = (entry.brokered, broker) {
                broker.unsubscribe(&entry.name);
            }
            shard.remove(channel);
        }
    }

    /// A member goes from one worker to another; both are told at the same place of the channel's order.
    pub(crate) fn transfer(
        &self,
        workers: &[WorkerShared],
        channel: &str,
        (from, depart): (usize, Parcel),
        (to, arrive): (usize, Parcel),
    ) {
        let mut shard = self.shard(channel);
        let Some(entry) = shard.get_mut(channel) else { return };
        if let Some(at) = entry.workers.iter().position(|(index, _)| *index == from) {
            entry.workers[at].1 -= 1;
            if entry.workers[at].1 == 0 {
                entry.workers.swap_remove(at);
            }
        }
        match entry.workers.iter_mut().find(|(index, _)| *index == to) {
            Some((_, members)) => *members += 1,
            None => entry.workers.push((to, 1)),
        }
        workers[from].post.put(depart);
        workers[to].post.put(arrive);
    }

    /// Puts a publication into the inbox of every worker with members: in the same order on all of them.
    ///
    /// # Errors
    /// [`PublishError::Busy`] when one of these inboxes is full; nobody got it then.
    pub(crate) fn deliver(
        &self,
        workers: &[WorkerShared],
        channel: &str,
        payload: &Arc<[u8]>,
        from: Option<Sender>,
    ) -> Result<Delivered, PublishError> {
        self.delivered.fetch_add(1, Relaxed);
        let mut shard = self.shard(channel);
        let Some(entry) = shard.get_mut(channel) else { return Ok(Delivered::default()) };
        let bytes = payload.len() + OVERHEAD;
        if !entry.workers.iter().all(|(worker, _)| workers[*worker].post.has_room(bytes)) {
            return Err(PublishError::Busy);
        }
        entry.offset += 1;
        let (channel, payload) = (entry.name.clone(), payload.clone());
        let at = clock::monotonic_ns();
        let publication = Arc::new(Publication { channel, payload, offset: entry.offset, at, from });
        for (worker, _) in &entry.workers {
            workers[*worker].post.put(Parcel::Publication(publication.clone()));
        }
        Ok(Delivered { members: entry.members })
    }

    /// Publications taken, whoever got them.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Relaxed)
    }

    /// Subscribes every channel that wants the broker there, for one that is new.
    pub(crate) fn resubscribe(&self, broker: &dyn Broker) {
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.values().filter(|entry| entry.brokered).for_each(|entry| broker.subscribe(&entry.name));
        }
    }

    /// Channels with members, and members, in this process.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let counts = self.shards.iter().map(|shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            (shard.len() as u64, shard.values().map(|entry| u64::from(entry.members)).sum::<u64>())
        });
        counts.fold((0, 0), |(channels, members), (c, m)| (channels + c, members + m))
    }

    /// The same, known without a wait; `None`: its table is in use.
    pub(crate) fn try_has(&self, channel: &str) -> Option<bool> {
        Some(self.shards[self.place(channel)].try_lock().ok()?.contains_key(channel))
    }

    /// Whether a channel has a member in this process.
    #[cfg(test)]
    pub(crate) fn has(&self, channel: &str) -> bool {
        self.shard(channel).contains_key(channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Recorder(Mutex<Vec<String>>);

    impl Broker for Recorder {
        fn subscribe(&self, channel: &Arc<str>) {
            self.0.lock().unwrap().push(format!("+{channel}"));
        }

        fn unsubscribe(&self, channel: &Arc<str>) {
            self.0.lock().unwrap().push(format!("-{channel}"));
        }

        fn publish(&self, _: &str, _: &Arc<[u8]>, _: Option<Sender>) -> bool {
            false
        }
    }

    #[test]
    fn the_broker_hears_of_first_and_last_members_only() {
        let (channels, broker) = (Channels::default(), Recorder::default());
        for worker in [0, 1, 1] {
            channels.join(Some(&broker), worker, "a", 0, true).unwrap();
        }
        channels.join(Some(&broker), 0, "local", 0, false).unwrap();
        assert_eq!(channels.counts(), (2, 4));
        for worker in [1, 0, 1] {
            channels.leave(Some(&broker), worker, "a");
        }
        channels.leave(Some(&broker), 0, "local");
        // One that is not there leaves nothing behind.
        channels.leave(Some(&broker), 0, "a");
        assert_eq!(*broker.0.lock().unwrap(), ["+a", "-a"]);
        assert_eq!(channels.counts(), (0, 0));
    }

    #[test]
    fn a_channel_takes_as_many_members_as_it_may() {
        let channels = Channels::default();
        channels.join(None, 0, "a", 2, false).unwrap();
        channels.join(None, 1, "a", 2, false).unwrap();
        assert_eq!(channels.join(None, 1, "a", 2, false), Err(Full));
        channels.leave(None, 0, "a");
        channels.join(None, 1, "a", 2, false).unwrap();
    }
}
