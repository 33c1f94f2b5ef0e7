//! Which process a thing belongs to: a forked child inherits memory, but neither threads nor the right to use them.

use std::sync::Arc;

use crate::error::Error;

/// The process that made something.
#[derive(Clone, Copy)]
pub struct Owner(u32);

impl Owner {
    /// The process this runs in.
    pub fn here() -> Self {
        Self(std::process::id())
    }

    /// Whether this still is that process.
    pub fn is_here(self) -> bool {
        self.0 == std::process::id()
    }

    /// Refuses any other process.
    pub fn check(self) -> Result<(), Error> {
        if self.is_here() { Ok(()) } else { Err(Error::Forked { owner: self.0 }) }
    }
}

/// Keeps what belongs to the parent from ever being dropped in a child: its drop would wait for threads and write to
/// descriptors that are the parent's.
pub fn leave<T>(shared: Arc<T>) {
    let _ = Arc::into_raw(shared);
}
