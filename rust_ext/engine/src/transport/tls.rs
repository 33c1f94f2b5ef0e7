//! A socket that speaks TLS, over the thread's cipher buffers.

use std::cell::{Cell, OnceCell, RefCell};
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Transport;
use super::records::{Records, Side, Wire};
use crate::rt::{Readiness, Socket};
use crate::tls::{Facts, Policy};

/// A TCP or Unix stream with TLS on it.
pub(crate) struct TlsStream {
    socket: Socket,
    records: RefCell<Records>,
    /// A server's rules for the handshake, until it is through.
    policy: Cell<Option<Arc<Policy>>>,
    /// The close that follows is an abrupt one.
    abrupt: Cell<bool>,
    /// What a server knows of its client from then on.
    facts: OnceCell<Facts>,
}

impl std::fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsStream").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl Wire for Socket {
    fn receive(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.try_read(buf)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_writev(&[IoSlice::new(bytes)])
    }

    fn end(&self) -> io::Result<()> {
        self.shutdown()
    }
}

impl TlsStream {
    /// A connection that begins; `received`: bytes of it that were read already.
    pub(crate) fn new(socket: Socket, side: Side, received: Vec<u8>, policy: Option<Arc<Policy>>) -> Self {
        let records = RefCell::new(Records::new(side, received));
        Self { socket, records, policy: Cell::new(policy), abrupt: Cell::new(false), facts: OnceCell::new() }
    }

    /// A server's rules, given up by who asks.
    pub(crate) fn take_policy(&self) -> Option<Arc<Policy>> {
        self.policy.take()
    }

    /// Reads and throws away up to `most` bytes until the peer has ended, once our direction has.
    pub(crate) fn poll_discard(&self, cx: &mut Context<'_>, most: &mut u64) -> Poll<()> {
        loop {
            // What cannot be sent any more is not waited for.
            let _ = self.poll_push(cx);
            match self.socket.poll_ready(cx, Readiness::Read) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => match Records::discard(&self.socket) {
                    Ok(n) if n > 0 && (n as u64) < *most => *most -= n as u64,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    _ => return Poll::Ready(()),
                },
            }
        }
    }

    /// What a server knows of its client; none before the handshake is through.
    pub(crate) fn facts(&self) -> Option<&Facts> {
        self.facts.get()
    }

    /// Settles that.
    pub(crate) fn settle(&self, facts: Facts) {
        drop(self.facts.set(facts));
    }

    /// Looks at what the library knows.
    pub(crate) fn with_state<T>(&self, look: impl FnOnce(&rustls::CommonState) -> T) -> T {
        look(self.records.borrow().state())
    }

    /// Moves the handshake on.
    ///
    /// # Errors
    /// Those of [`Records::read`]; the peer was sent an alert where one is due.
    pub(crate) fn poll_handshake(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.records.borrow_mut().begin(&self.socket)?;
        loop {
            let ready = self.poll_ready(cx, Readiness::Read);
            if self.records.borrow().established() {
                return Poll::Ready(Ok(()));
            }
            match ready? {
                Poll::Pending => return Poll::Pending,
                // A buffer without room: what comes behind the handshake waits for its reader.
                Poll::Ready(()) => match self.try_read(&mut []) {
                    Ok(_) if self.records.borrow().established() => return Poll::Ready(Ok(())),
                    Ok(_) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Poll::Ready(Err(error)),
                },
            }
        }
    }

    /// Says that nothing follows, before a close that is not abrupt (RFC 8446 §6.1). It is tried once.
    #[inline(never)]
    pub(crate) fn farewell(&self) {
        if !self.abrupt.get() {
            let _ = self.shutdown();
        }
    }

    /// The descriptor, which this thread's reactor forgets, and the records.
    pub(crate) fn into_parts(self) -> (OwnedFd, Records) {
        (self.socket.into_inner(), self.records.into_inner())
    }

    /// Whether nothing came that nobody asked for; session tickets and key updates are taken in.
    #[inline(never)]
    pub(crate) fn is_quiet(&self) -> bool {
        if !self.is_readable() {
            return true;
        }
        let nothing = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        self.try_read(&mut []).as_ref().is_err_and(nothing) && !self.is_readable()
    }

    /// Sends what waits; `true` when nothing is left. Registers a wake-up otherwise.
    fn poll_push(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut records = self.records.borrow_mut();
        while records.has_tail() {
            match self.socket.poll_ready(cx, Readiness::Write)? {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => match records.push(&self.socket) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => result?,
                },
            }
        }
        Poll::Ready(Ok(()))
    }
}

// Out of line: inlined, they would push the plain socket's calls out of the functions that serve it.
impl Transport for TlsStream {
    #[inline(never)]
    fn poll_ready(&self, cx: &mut Context<'_>, way: Readiness) -> Poll<io::Result<()>> {
        let pushed = self.poll_push(cx)?;
        match way {
            Readiness::Read if self.records.borrow().has_plaintext() => Poll::Ready(Ok(())),
            Readiness::Read => self.socket.poll_ready(cx, way),
            Readiness::Write if pushed.is_pending() => Poll::Pending,
            Readiness::Write => self.socket.poll_ready(cx, way),
        }
    }

    #[inline(never)]
    fn is_readable(&self) -> bool {
        self.records.borrow().has_plaintext() || self.socket.is_readable()
    }

    #[inline(never)]
    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.records.borrow_mut().read(buf, &self.socket)
    }

    #[inline(never)]
    fn try_writev(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.records.borrow_mut().write(pieces, &self.socket)
    }

    #[inline(never)]
    fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<()> {
        // What cannot be sent any more is not waited for.
        self.poll_push(cx).map(drop)
    }

    #[inline(never)]
    fn shutdown(&self) -> io::Result<()> {
        self.records.borrow_mut().shutdown(&self.socket)
    }

    #[inline(never)]
    fn reset_at_close(&self) {
        self.abrupt.set(true);
        // A socket that cannot be told is closed all the same.
        drop(self.socket.reset_at_close());
    }
}
