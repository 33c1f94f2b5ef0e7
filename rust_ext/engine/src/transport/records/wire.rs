//! What carries records: a socket, whoever watches it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

/// What carries the records.
pub(crate) trait Wire {
    /// Reads what is there: 0 is the end, `WouldBlock` nothing yet.
    fn receive(&self, buf: &mut [u8]) -> io::Result<usize>;
    /// Writes what fits; `WouldBlock` where nothing does.
    fn send(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Ends our direction.
    fn end(&self) -> io::Result<()>;
}

/// A non-blocking socket that no reactor knows.
impl Wire for OwnedFd {
    fn receive(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::net::recv(self, buf, RecvFlags::DONTWAIT)?.0)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        match rustix::net::send(self, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => Err(io::ErrorKind::WouldBlock.into()),
            result => Ok(result?),
        }
    }

    fn end(&self) -> io::Result<()> {
        Ok(rustix::net::shutdown(self, rustix::net::Shutdown::Write)?)
    }
}
