//! The one door to C, the floor proxy and the floor of the hub, and to calls that have no safe form.
#![allow(unsafe_code)]

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

use rustix::thread::{UnshareFlags, unshare_unsafe};

unsafe extern "C" {
    fn floor_run(listener: i32, ip: u32, port: u16) -> i32;
    fn hub_floor_run(listeners: *const i32, count: i32, fault: i32, every: u32) -> i32;
}

/// Gives the calling thread a descriptor table of its own, as long as the limit allows.
///
/// What it held open before keeps its number in its own table; the caller opens nothing for it in another one.
pub(crate) fn private_descriptors() -> io::Result<()> {
    // SAFETY: the thread starts with a copy of the table, so every descriptor that it can reach keeps its number;
    // what it opens later stays on this thread.
    Ok(unsafe { unshare_unsafe(UnshareFlags::FILES) }?)
}

/// Lets the kernel choose the port of a bound address when it connects, not before.
pub(crate) fn bind_address_no_port(fd: &OwnedFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    let size = libc::socklen_t::try_from(size_of_val(&on)).unwrap_or(4);
    // SAFETY: the descriptor is open, and the pointer is to a local of the size that is told.
    let done = unsafe {
        libc::setsockopt(fd.as_raw_fd(), libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, (&raw const on).cast(), size)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Serves WebSocket rooms on these listeners, one thread with an own descriptor table each where there are several;
/// `fault` of `every` deliveries is wrong (0: none). Returns only on a failure.
#[must_use]
pub fn hub_floor(listeners: Vec<OwnedFd>, fault: i32, every: u32) -> i32 {
    let listeners: Vec<i32> = listeners.into_iter().map(IntoRawFd::into_raw_fd).collect();
    let count = i32::try_from(listeners.len()).unwrap_or(i32::MAX);
    // SAFETY: the descriptors are open, listening and given away, and the array outlives the call, which reads `count`
    // of it. `hub_floor_run` keeps static state, which is sound because nothing else calls it.
    unsafe { hub_floor_run(listeners.as_ptr(), count, fault, every) }
}

/// Relays between `listener` (non-blocking, listening) and `origin` on this thread; returns only on a failure of epoll.
#[must_use]
pub fn floor(listener: OwnedFd, origin: SocketAddrV4) -> i32 {
    // SAFETY: the descriptor is open, listening and given away; the other arguments are plain numbers. `floor_run`
    // keeps static state, which is sound because nothing else calls it: the binary does so once, from its main thread.
    unsafe { floor_run(listener.into_raw_fd(), u32::from(*origin.ip()), origin.port()) }
}
