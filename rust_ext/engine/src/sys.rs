//! The one file of this crate with unsafe code: calls that have no safe form.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Gives the calling thread a descriptor table of its own.
///
/// The caller knows that from here on a descriptor number it holds means what it meant only if it was open before.
pub(crate) fn private_descriptors() -> io::Result<()> {
    // SAFETY: unshare takes a flag word and no pointers; numbers held by other threads keep their meaning in their
    // own table, and the calling thread starts with a copy of it.
    if unsafe { libc::unshare(libc::CLONE_FILES) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Closes a descriptor of the calling thread's private table that nothing on this thread refers to.
pub(crate) fn close_inherited(fd: i32) {
    // SAFETY: the number was listed from this thread's own table and belongs to a descriptor that another thread
    // owns in its own; no object of this thread holds it. A number that is closed already is an ignored error.
    unsafe { libc::close(fd) };
}

/// Bounds what the kernel takes for a peer before it is on its way (`TCP_NOTSENT_LOWAT`).
pub(crate) fn limit_unsent(socket: &impl AsFd, bytes: u32) -> io::Result<()> {
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    let size = size_of_val(&value) as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is borrowed for the time of the call, the pointer is to a local of the size that is said.
    let result =
        unsafe { libc::setsockopt(fd, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, (&raw const value).cast(), size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Nanoseconds of the monotonic clock; the standard library's form of it costs three times the instructions.
#[expect(clippy::cast_sign_loss, reason = "the monotonic clock counts from a start in the past")]
pub(crate) fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local that outlives the call; the clock exists on every platform we build for.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}

/// The signals that the bare engine answers to; blocked in every thread so that only [`wait_signal`] takes them.
const SIGNALS: [i32; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGUSR1];

/// Read the snapshot again.
pub const HANGUP: i32 = libc::SIGHUP;
/// Print the counters.
pub const USER: i32 = libc::SIGUSR1;

/// Wakes [`wait_signal`].
pub fn raise() {
    // SAFETY: kill takes two numbers; the signal is blocked everywhere and taken by `wait_signal` alone.
    unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
}

fn signal_set(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: sigset_t is plain data that sigemptyset initialises; the pointers are to a local of that type.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        set
    }
}

/// Blocks the signals above in this thread and in those it starts later.
pub fn block_signals() {
    let set = signal_set(&SIGNALS);
    // SAFETY: both pointers are valid or null for the time of the call.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
}

/// Blocks every signal in an engine thread: they belong to the main thread.
pub(crate) fn mask_all_signals() {
    // SAFETY: sigfillset initialises the local set; the pointers are valid for the time of the calls. Faults raised
    // by the thread itself (SIGSEGV and the like) are delivered although masked.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// Waits for one of the signals above.
#[must_use]
pub fn wait_signal() -> i32 {
    let set = signal_set(&SIGNALS);
    let mut signal = 0;
    // SAFETY: both pointers are to locals that outlive the call.
    unsafe { libc::sigwait(&raw const set, &raw mut signal) };
    signal
}
