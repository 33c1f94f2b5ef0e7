//! An in-memory pair of transports, for the simulation: the test decides what passes, how much of it and when.

use std::cell::RefCell;
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
    (End { incoming: one.clone(), outgoing: other.clone() }, End { incoming: other, outgoing: one })
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
}

impl Drop for End {
    fn drop(&mut self) {
        let mut outgoing = self.outgoing.borrow_mut();
        outgoing.ended = true;
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
        for (to, from) in buf.iter_mut().zip(pipe.bytes.drain(..n)) {
            *to = from;
        }
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
        let mut pipe = self.outgoing.borrow_mut();
        pipe.ended = true;
        pipe.wake();
        Ok(())
    }
}
