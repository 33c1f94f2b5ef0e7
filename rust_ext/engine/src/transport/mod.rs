//! The seam between protocol code and the thing that carries bytes.
//!
//! A transport is polled for readiness, then tried: no call waits, no call owns a buffer. TLS is a kind over the
//! thread's buffers (`docs/decisions/0010`).

#[cfg(feature = "simulation")]
pub(crate) mod memory;
pub(crate) mod records;
pub(crate) mod tls;

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

pub(crate) use crate::rt::Readiness;
use crate::rt::Socket;
use tls::TlsStream;

/// What every carrier of bytes offers.
pub(crate) trait Transport {
    /// Waits until the way is open.
    fn poll_ready(&self, cx: &mut Context<'_>, way: Readiness) -> Poll<io::Result<()>>;
    /// Whether something waits to be read; costs no call and registers nobody.
    fn is_readable(&self) -> bool;
    /// Reads what is there: 0 is the end, `WouldBlock` nothing yet. A short read spends the readiness.
    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize>;
    /// Writes as much as fits, the pieces in order; a short write spends the readiness.
    fn try_writev(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Whether [`Transport::try_sendfile`] works: the kernel may put a file's bytes on the wire as they are.
    fn sends_files(&self) -> bool {
        false
    }
    /// Sends from a file, as much as fits; fewer bytes also where the file ends. The caller knows that they are in
    /// memory.
    fn try_sendfile(&self, _file: &OwnedFd, _at: u64, _count: usize) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Waits until what was accepted has left the process; a kind that seals it may keep a part of it.
    fn poll_flushed(&self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
    /// Ends our direction.
    fn shutdown(&self) -> io::Result<()>;
    /// Makes the close that follows an abrupt one: what was sent is not everything.
    fn reset_at_close(&self);
}

/// A connection's carrier, chosen when it is opened and matched statically from then on.
#[derive(Debug)]
pub(crate) enum Stream {
    /// A TCP or Unix stream.
    Socket(Socket),
    /// One with TLS on it; boxed, so that the others do not carry its size.
    Tls(Box<TlsStream>),
    /// One end of an in-memory pair.
    #[cfg(feature = "simulation")]
    Memory(memory::End),
}

impl Stream {
    /// Whether it is encrypted.
    #[inline]
    pub(crate) fn is_secure(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// The socket itself, before anything was read through it.
    pub(crate) fn socket(&self) -> Option<&Socket> {
        match self {
            Self::Socket(socket) => Some(socket),
            _ => None,
        }
    }

    /// The TLS on it, if there is any.
    #[inline]
    pub(crate) fn tls(&self) -> Option<&TlsStream> {
        match self {
            Self::Tls(tls) => Some(tls),
            _ => None,
        }
    }

    /// Whether an idle connection is as it was left: nothing waits to be read that nobody asked for.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        match self {
            Self::Tls(tls) => tls.is_quiet(),
            stream => !stream.is_readable(),
        }
    }
}

impl Transport for Stream {
    #[inline]
    fn poll_ready(&self, cx: &mut Context<'_>, way: Readiness) -> Poll<io::Result<()>> {
        match self {
            Self::Socket(socket) => socket.poll_ready(cx, way),
            Self::Tls(tls) => tls.poll_ready(cx, way),
            #[cfg(feature = "simulation")]
            Self::Memory(end) => end.poll_ready(cx, way),
        }
    }

    #[inline]
    fn is_readable(&self) -> bool {
        match self {
            Self::Socket(socket) => socket.is_readable(),
            Self::Tls(tls) => tls.is_readable(),
            #[cfg(feature = "simulation")]
            Self::Memory(end) => end.is_readable(),
        }
    }

    #[inline]
    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => socket.try_read(buf),
            Self::Tls(tls) => tls.try_read(buf),
            #[cfg(feature = "simulation")]
            Self::Memory(end) => end.try_read(buf),
        }
    }

    #[inline]
    fn try_writev(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => socket.try_writev(pieces),
            Self::Tls(tls) => tls.try_writev(pieces),
            #[cfg(feature = "simulation")]
            Self::Memory(end) => end.try_writev(pieces),
        }
    }

    fn sends_files(&self) -> bool {
        matches!(self, Self::Socket(_))
    }

    fn try_sendfile(&self, file: &OwnedFd, at: u64, count: usize) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => socket.try_sendfile(file, at, count),
            Self::Tls(tls) => tls.try_sendfile(file, at, count),
            #[cfg(feature = "simulation")]
            Self::Memory(end) => end.try_sendfile(file, at, count),
        }
    }

    fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Tls(tls) => tls.poll_flushed(cx),
            _ => Poll::Ready(()),
        }
    }

    fn reset_at_close(&self) {
        match self {
            // A socket that cannot be told is closed all the same.
            Self::Socket(socket) => drop(socket.reset_at_close()),
            Self::Tls(tls) => tls.reset_at_close(),
            #[cfg(feature = "simulation")]
            Self::Memory(end) => end.reset_at_close(),
        }
    }

    fn shutdown(&self) -> io::Result<()> {
        match self {
            Self::Socket(socket) => socket.shutdown(),
            Self::Tls(tls) => tls.shutdown(),
            #[cfg(feature = "simulation")]
            Self::Memory(end) => end.shutdown(),
        }
    }
}
