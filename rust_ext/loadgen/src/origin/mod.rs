//! The origin: one thread, one epoll set, answers rendered once. It says what the path asks for (`answer::Asked`),
//! checks that request content is the pattern, and counts.

pub mod answer;
mod connection;
pub mod request;
mod tunnel;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use connection::{Connection, Next, Shared};

use crate::net::{self, Address, Event, Poll};

/// Read at once; a gateway's 64 KiB body and its head fit.
const BUFFER: usize = 256 * 1024;
const LISTENERS: u64 = u64::MAX - 16;
const STDIN: u64 = u64::MAX;

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    connection: Option<Connection>,
}

/// A running origin.
#[derive(Debug)]
pub struct Origin {
    poll: Poll,
    listeners: Vec<OwnedFd>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    delays: BinaryHeap<Reverse<(Instant, u64)>>,
    shared: Shared,
    buffer: Vec<u8>,
}

impl Origin {
    /// Listens on every address and returns the addresses it got.
    ///
    /// # Errors
    /// The address and what the system said.
    pub fn new(addresses: &[Address]) -> Result<(Self, Vec<Address>), String> {
        let poll = Poll::new().map_err(|e| format!("no epoll: {e}"))?;
        let (mut listeners, mut bound) = (Vec::new(), Vec::new());
        for (i, address) in addresses.iter().enumerate() {
            let (fd, got) = net::listen(address).map_err(|e| format!("cannot listen on {address}: {e}"))?;
            poll.add(&fd, LISTENERS + i as u64).map_err(|e| format!("cannot poll {address}: {e}"))?;
            listeners.push(fd);
            bound.push(got);
        }
        let origin = Self {
            poll,
            listeners,
            slots: Vec::new(),
            free: Vec::new(),
            delays: BinaryHeap::new(),
            shared: Shared::default(),
            buffer: vec![0; BUFFER],
        };
        Ok((origin, bound))
    }

    /// Serves until stdin ends (with `stop_with_stdin`) or the process is ended; returns the counters as JSON.
    ///
    /// # Errors
    /// What the system said when it could not wait or poll.
    pub fn run(mut self, stop_with_stdin: bool) -> io::Result<String> {
        if stop_with_stdin {
            self.poll.add(std::io::stdin(), STDIN)?;
        }
        let mut events: Vec<Event> = Vec::new();
        loop {
            let timeout = self.delays.peek().map(|Reverse((due, _))| due.saturating_duration_since(Instant::now()));
            self.poll.wait(timeout, &mut events)?;
            for event in &events {
                match event.token {
                    STDIN => {
                        let mut byte = [0; 256];
                        if event.readable && matches!(rustix::io::read(std::io::stdin(), &mut byte), Ok(0)) {
                            return Ok(self.shared.stats());
                        }
                    }
                    token @ LISTENERS.. => self.accept(usize::try_from(token - LISTENERS).unwrap_or(0))?,
                    token => self.with(token, |connection, buffer, shared| connection.ready(*event, buffer, shared)),
                }
            }
            self.wake_delayed();
        }
    }

    fn accept(&mut self, listener: usize) -> io::Result<()> {
        // Out of descriptors: the connection waits in the backlog until the next one comes.
        while let Ok(Some(fd)) = net::accept(&self.listeners[listener]) {
            let index = self.free.pop().unwrap_or_else(|| {
                self.slots.push(Slot::default());
                self.slots.len() - 1
            });
            let slot = &mut self.slots[index];
            self.poll.add(&fd, u64::from(slot.generation) << 32 | index as u64)?;
            slot.connection = Some(Connection::new(fd));
            self.shared.connections += 1;
        }
        Ok(())
    }

    /// Runs `step` on the connection of a token, if it is still there, and does what it asks for.
    fn with(&mut self, token: u64, step: impl FnOnce(&mut Connection, &mut [u8], &mut Shared) -> Next) {
        let index = (token & 0xffff_ffff) as usize;
        let Some(slot) = self.slots.get_mut(index).filter(|slot| u64::from(slot.generation) == token >> 32) else {
            return;
        };
        let Some(connection) = &mut slot.connection else { return };
        match step(connection, &mut self.buffer, &mut self.shared) {
            Next::Wait => {}
            Next::Delay(ms) => self.delays.push(Reverse((Instant::now() + Duration::from_millis(ms), token))),
            Next::Close => {
                slot.connection = None;
                slot.generation = (slot.generation + 1) & 0x7fff_ffff;
                self.free.push(index);
            }
        }
    }

    fn wake_delayed(&mut self) {
        while let Some(Reverse((due, token))) = self.delays.peek().copied() {
            if due > Instant::now() {
                break;
            }
            self.delays.pop();
            self.with(token, Connection::wake);
        }
    }
}
