//! An in-memory pair of transports, for the simulation: the test decides what passes, how much of it and when.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::{Readiness, Transport};
use crate::rt::read_would_block;

/// One direction of a pair.
#[derive(Debug)]
struct Pipe {
    bytes: VecDeque<u8>,
    /// How many bytes fit before a write is short.
    capacity: usize,
    /// The writer will send no more.
    ended: bool,
    /// Both ends fail from here on.
    reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

type Shared = Rc<RefCell<Pipe>>;

/// One end of a pair.
#[derive(Debug)]
pub struct End {
    incoming: Shared,
    outgoing: Shared,
    /// Dropping it breaks the connection instead of ending it.
    abrupt: Cell<bool>,
}

impl End {
    fn new(incoming: Shared, outgoing: Shared) -> Self {
        Self { incoming, outgoing, abrupt: Cell::new(false) }
    }
}

/// What an end finds when it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Got {
    /// That many bytes.
    Bytes(usize),
    /// Nothing yet.
    Nothing,
    /// The other end will send no more.
    End,
    /// The connection broke.
    Reset,
}

/// A connected pair; each direction holds at most `capacity` bytes.
#[must_use]
pub fn pair(capacity: usize) -> (End, End) {
    let pipe = || {
        Rc::new(RefCell::new(Pipe {
            bytes: VecDeque::new(),
            capacity,
            ended: false,
            reset: false,
            reader: None,
            writer: None,
        }))
    };
    let (one, other) = (pipe(), pipe());
    (End::new(one.clone(), other.clone()), End::new(other, one))
}

impl End {
    /// Breaks the connection for both ends; what was not read yet is lost.
    pub fn reset(&self) {
        for pipe in [&self.incoming, &self.outgoing] {
            let mut pipe = pipe.borrow_mut();
            pipe.reset = true;
            pipe.bytes.clear();
            pipe.wake();
        }
    }

    /// Bytes that the other end has not read yet.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.outgoing.borrow().bytes.len()
    }

    /// Bytes that wait to be read here.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.incoming.borrow().bytes.len()
    }

    /// Bytes that a write takes at once.
    #[must_use]
    pub fn room(&self) -> usize {
        let pipe = self.outgoing.borrow();
        pipe.capacity - pipe.bytes.len()
    }

    /// Whether the other end was dropped, or the connection reset.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.outgoing.borrow().reset
    }

    /// Reads at most `most` bytes behind what `into` holds.
    pub fn take(&self, into: &mut Vec<u8>, most: usize) -> Got {
        let start = into.len();
        into.resize(start + most.min(self.waiting()).max(1), 0);
        let got = self.try_read(&mut into[start..]);
        into.truncate(start + *got.as_ref().unwrap_or(&0));
        match got {
            Ok(0) => Got::End,
            Ok(n) => Got::Bytes(n),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Got::Nothing,
            Err(_) => Got::Reset,
        }
    }

    /// Writes what fits; `None` when nobody will read it.
    pub fn put(&self, bytes: &[u8]) -> Option<usize> {
        match self.try_writev(&[IoSlice::new(bytes)]) {
            Ok(n) => Some(n),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(0),
            Err(_) => None,
        }
    }

    /// Ends our direction.
    pub fn finish(&self) {
        let mut pipe = self.outgoing.borrow_mut();
        pipe.ended = true;
        pipe.wake();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut outgoing = self.outgoing.borrow_mut();
        if self.abrupt.get() {
            outgoing.reset = true;
        } else if !outgoing.reset {
            outgoing.ended = true;
        }
        outgoing.wake();
        drop(outgoing);
        let mut incoming = self.incoming.borrow_mut();
        incoming.reset = true;
        incoming.wake();
    }
}

fn reset_error() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl Transport for End {
    fn poll_ready(&self, cx: &mut Context<'_>, way: Readiness) -> Poll<io::Result<()>> {
        match way {
            Readiness::Read => {
                let mut pipe = self.incoming.borrow_mut();
                if !pipe.bytes.is_empty() || pipe.ended || pipe.reset {
                    return Poll::Ready(Ok(()));
                }
                pipe.reader = Some(cx.waker().clone());
            }
            Readiness::Write => {
                let mut pipe = self.outgoing.borrow_mut();
                if pipe.bytes.len() < pipe.capacity || pipe.reset {
                    return Poll::Ready(Ok(()));
                }
                pipe.writer = Some(cx.waker().clone());
            }
        }
        Poll::Pending
    }

    fn is_readable(&self) -> bool {
        let pipe = self.incoming.borrow();
        !pipe.bytes.is_empty() || pipe.ended || pipe.reset
    }

    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut pipe = self.incoming.borrow_mut();
        if pipe.bytes.is_empty() {
            return if pipe.ended {
                Ok(0)
            } else if pipe.reset {
                Err(reset_error())
            } else {
                Err(read_would_block())
            };
        }
        let n = pipe.bytes.len().min(buf.len());
        let (front, back) = pipe.bytes.as_slices();
        let first = front.len().min(n);
        buf[..first].copy_from_slice(&front[..first]);
        buf[first..n].copy_from_slice(&back[..n - first]);
        pipe.bytes.drain(..n);
        if let Some(writer) = pipe.writer.take() {
            writer.wake();
        }
        Ok(n)
    }

    fn try_writev(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut pipe = self.outgoing.borrow_mut();
        if pipe.reset || pipe.ended {
            return Err(reset_error());
        }
        let room = pipe.capacity - pipe.bytes.len();
        if room == 0 && pieces.iter().any(|piece| !piece.is_empty()) {
            return Err(read_would_block());
        }
        let mut put = 0;
        for piece in pieces {
            let n = piece.len().min(room - put);
            pipe.bytes.extend(&piece[..n]);
            put += n;
        }
        if let Some(reader) = pipe.reader.take() {
            reader.wake();
        }
        Ok(put)
    }

    fn shutdown(&self) -> io::Result<()> {
        self.finish();
        Ok(())
    }

    fn reset_at_close(&self) {
        self.abrupt.set(true);
    }
}
