//! What publisher and subscribers share: how much of each room was published, and how much has arrived.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Counters of one client.
#[derive(Debug)]
pub(super) struct Shared {
    begun: Instant,
    rooms: Box<[Room]>,
    received: AtomicU64,
    wanted: AtomicU64,
    last: AtomicU64,
    publisher: Thread,
}

#[derive(Debug, Default)]
struct Room {
    published: AtomicU64,
    members: AtomicU32,
}

impl Shared {
    /// For so many rooms; the current thread is the one that waits for deliveries.
    pub(super) fn new(rooms: usize) -> Self {
        Self {
            begun: Instant::now(),
            rooms: (0..rooms).map(|_| Room::default()).collect(),
            received: AtomicU64::new(0),
            wanted: AtomicU64::new(u64::MAX),
            last: AtomicU64::new(0),
            publisher: std::thread::current(),
        }
    }

    /// Nanoseconds since the client began.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// How many rooms there are.
    pub(super) fn rooms(&self) -> u32 {
        u32::try_from(self.rooms.len()).unwrap_or(u32::MAX)
    }

    /// Publications of a room so far: the number of its next one.
    pub(super) fn published(&self, room: u32) -> u64 {
        self.rooms[room as usize].published.load(SeqCst)
    }

    /// Counts a publication before it is sent; how many subscribers are to get it.
    pub(super) fn publish(&self, room: u32) -> u64 {
        let room = &self.rooms[room as usize];
        room.published.fetch_add(1, SeqCst);
        u64::from(room.members.load(SeqCst))
    }

    /// A subscriber whose deliveries count joined.
    pub(super) fn join(&self, room: u32) {
        self.rooms[room as usize].members.fetch_add(1, SeqCst);
    }

    /// A subscriber whose deliveries count left.
    pub(super) fn leave(&self, room: u32) {
        self.rooms[room as usize].members.fetch_sub(1, SeqCst);
    }

    /// Deliveries so far.
    pub(super) fn received(&self) -> u64 {
        self.received.load(SeqCst)
    }

    /// When the last delivery came.
    pub(super) fn last(&self) -> u64 {
        self.last.load(SeqCst)
    }

    /// Deliveries that came at or before `at`; wakes the publisher once all have come that it waits for.
    pub(super) fn delivered(&self, count: u64, at: u64) {
        self.last.fetch_max(at, Relaxed);
        if self.received.fetch_add(count, SeqCst) + count >= self.wanted.load(SeqCst) {
            self.publisher.unpark();
        }
    }

    /// Waits until so many deliveries have come in all; `false`: they have not within `limit`.
    pub(super) fn wait(&self, wanted: u64, limit: Duration) -> bool {
        self.wanted.store(wanted, SeqCst);
        let end = Instant::now() + limit;
        while self.received() < wanted {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::park_timeout(left);
        }
        self.wanted.store(u64::MAX, SeqCst);
        self.received() >= wanted
    }
}
