//! The one door to C: the floor proxy.
#![allow(unsafe_code)]

use std::net::SocketAddrV4;
use std::os::fd::{IntoRawFd, OwnedFd};

unsafe extern "C" {
    fn floor_run(listener: i32, ip: u32, port: u16) -> i32;
}

/// Relays between `listener` (non-blocking, listening) and `origin` on this thread; returns only on a failure of epoll.
#[must_use]
pub fn floor(listener: OwnedFd, origin: SocketAddrV4) -> i32 {
    // SAFETY: the descriptor is open, listening and given away; the other arguments are plain numbers. `floor_run`
    // keeps static state, which is sound because nothing else calls it: the binary does so once, from its main thread.
    unsafe { floor_run(listener.into_raw_fd(), u32::from(*origin.ip()), origin.port()) }
}
