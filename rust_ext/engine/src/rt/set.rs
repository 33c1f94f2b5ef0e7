//! Many sockets behind one descriptor of the reactor: an epoll set of its owner's own, for connections without a task.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::Timespec;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::socket::read_would_block;

/// Events taken in one call.
const BATCH: usize = 256;

/// What is known of one socket of a set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    /// What it was added with.
    pub(crate) key: u64,
    /// Bytes or the end of the stream can be read.
    pub(crate) readable: bool,
    /// Bytes can be written.
    pub(crate) writable: bool,
    /// The peer sends no more, or the connection is gone.
    pub(crate) ended: bool,
}

/// A set of sockets, registered once each and told of by edge: whoever is told reads or writes until there is no more.
#[derive(Debug)]
pub(crate) struct Set(AsyncFd<OwnedFd>);

impl Set {
    /// An empty one.
    pub(crate) fn new() -> io::Result<Self> {
        let set = epoll::create(CreateFlags::CLOEXEC)?;
        #[expect(deprecated, reason = "sound for OwnedFd")]
        AsyncFd::with_interest(set, Interest::READABLE).map(Self)
    }

    /// Adds a socket; what is ready already is told at once.
    pub(crate) fn add(&self, socket: &impl AsFd, key: u64) -> io::Result<()> {
        let all = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(self.0.get_ref(), socket, EventData::new_u64(key), all)?)
    }

    /// Takes a socket out that lives on elsewhere; one that closes leaves by itself.
    pub(crate) fn remove(&self, socket: &impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(self.0.get_ref(), socket)?)
    }

    /// Waits until a socket has something to tell.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read_ready(cx).map_ok(|mut guard| guard.retain_ready())
    }

    /// Takes what there is to tell, up to a few hundred events, without waiting.
    pub(crate) fn take(&self, events: &mut Vec<Event>) -> io::Result<()> {
        events.clear();
        let result = self.0.try_io(Interest::READABLE, |set| {
            let mut raw = Vec::with_capacity(BATCH);
            let none = Timespec { tv_sec: 0, tv_nsec: 0 };
            let n = epoll::wait(set, rustix::buffer::spare_capacity(&mut raw), Some(&none))?;
            events.extend(raw.iter().map(|event| {
                let flags = event.flags;
                Event {
                    key: event.data.u64(),
                    readable: flags.contains(EventFlags::IN),
                    writable: flags.contains(EventFlags::OUT),
                    ended: flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR),
                }
            }));
            // Fewer than fit: there is no more, the reactor will say when there is.
            if n < BATCH { Err(read_would_block()) } else { Ok(()) }
        });
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result,
        }
    }
}
