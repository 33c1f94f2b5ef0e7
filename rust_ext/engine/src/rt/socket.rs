//! A non-blocking socket whose readiness is remembered, so that no call is made to learn what is known.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Bytes or the end of the stream can be read.
    Read,
    /// Bytes can be written.
    Write,
}

/// A connected stream socket or a listening one, registered with this thread's reactor once and for all.
#[derive(Debug)]
pub(crate) struct Socket(AsyncFd<OwnedFd>);

/// The error of a call that would have to wait.
pub(crate) fn read_would_block() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}

impl Socket {
    /// Registers a descriptor that is already non-blocking.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        // The constructor that replaces it is unsafe for descriptors that change under it; an `OwnedFd` cannot.
        #[expect(deprecated, reason = "sound for OwnedFd")]
        AsyncFd::with_interest(fd, Interest::READABLE | Interest::WRITABLE).map(Self)
    }

    /// Waits until the way is open. The answer is remembered until a call finds otherwise.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>, way: Readiness) -> Poll<io::Result<()>> {
        let guard = match way {
            Readiness::Read => self.0.poll_read_ready(cx),
            Readiness::Write => self.0.poll_write_ready(cx),
        };
        guard.map_ok(|mut guard| guard.retain_ready())
    }

    /// Whether something waits to be read, without a call and without anyone being woken later.
    pub(crate) fn is_readable(&self) -> bool {
        self.0.try_io(Interest::READABLE, |_| Ok(())).is_ok()
    }

    /// Reads what is there. A short read takes the readiness as spent: the kernel will say when there is more.
    pub(crate) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut got = None;
        let result = self.0.try_io(Interest::READABLE, |fd| {
            let n = rustix::net::recv(fd, &mut *buf, rustix::net::RecvFlags::empty())?.0;
            got = Some(n);
            // The end of the stream stays readable; a full buffer may have left something behind.
            if n == 0 || n == buf.len() { Ok(n) } else { Err(read_would_block()) }
        });
        got.map_or(result, Ok)
    }

    /// Writes as much as fits, the pieces in order.
    pub(crate) fn try_writev(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut put = None;
        let result = self.0.try_io(Interest::WRITABLE, |fd| {
            let n = match pieces {
                [one] => rustix::net::send(fd, one, rustix::net::SendFlags::NOSIGNAL)?,
                many => rustix::net::sendmsg(
                    fd,
                    many,
                    &mut rustix::net::SendAncillaryBuffer::default(),
                    rustix::net::SendFlags::NOSIGNAL,
                )?,
            };
            put = Some(n);
            if n == total { Ok(n) } else { Err(read_would_block()) }
        });
        put.map_or(result, Ok)
    }

    /// Sends from a file: as much as fits, fewer bytes where the file ends, 0 where it has ended before.
    pub(crate) fn try_sendfile(&self, file: &OwnedFd, mut at: u64, count: usize) -> io::Result<usize> {
        let mut put = None;
        let result = self.0.try_io(Interest::WRITABLE, |fd| {
            let n = rustix::fs::sendfile(fd, file, Some(&mut at), count)?;
            put = Some(n);
            if n == count { Ok(n) } else { Err(read_would_block()) }
        });
        put.map_or(result, Ok)
    }

    /// Runs one call on the descriptor; `WouldBlock` spends the readiness.
    pub(crate) fn try_call<R>(
        &self,
        way: Readiness,
        call: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        let interest = match way {
            Readiness::Read => Interest::READABLE,
            Readiness::Write => Interest::WRITABLE,
        };
        self.0.try_io(interest, |fd| call(fd.as_fd()))
    }

    /// Runs one call on the descriptor whatever is remembered of its readiness.
    pub(crate) fn call_now<R>(&self, call: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>) -> io::Result<R> {
        call(self.0.get_ref().as_fd())
    }

    /// The descriptor, which this thread's reactor forgets.
    pub(crate) fn into_inner(self) -> OwnedFd {
        self.0.into_inner()
    }

    /// Makes closing send a reset, so that the peer cannot take what it has for everything.
    pub(crate) fn reset_at_close(&self) -> io::Result<()> {
        Ok(rustix::net::sockopt::set_socket_linger(self.0.get_ref(), Some(std::time::Duration::ZERO))?)
    }

    /// Ends our direction of the stream.
    pub(crate) fn shutdown(&self) -> io::Result<()> {
        Ok(rustix::net::shutdown(self.0.get_ref(), rustix::net::Shutdown::Write)?)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}
