//! TLS where it was not built in: the program that a wheel brings along needs none.

use std::convert::Infallible;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

/// Nothing can be trusted here.
#[derive(Debug, Clone)]
pub struct Trust(Infallible);

impl Trust {
    /// # Errors
    /// Always: how it is built in.
    pub fn new(_: &str, _: &str) -> Result<Self, String> {
        Err("--tls is not built in: cargo build --release -p fastgate-loadgen --features tls".to_owned())
    }
}

/// TLS that no connection has.
#[derive(Debug)]
pub(super) struct Tls(Infallible);

impl Tls {
    pub(super) fn new(trust: &Trust) -> Option<Self> {
        match trust.0 {}
    }

    pub(super) fn read(&mut self, _: &OwnedFd, _: &mut [u8]) -> Result<usize, Errno> {
        match self.0 {}
    }

    pub(super) fn write(&mut self, _: &OwnedFd, _: &[u8]) -> Result<usize, Errno> {
        match self.0 {}
    }

    pub(super) fn flush(&mut self, _: &OwnedFd) -> Result<(), Errno> {
        match self.0 {}
    }
}
