//! The HTTP publish API, sans-I/O: who may publish, and what a request body says.

mod body;
mod key;
#[cfg(test)]
mod tests;

pub use body::{Publication, Refused, call_at, parse};
pub use key::{Keys, credential};

/// Largest publication, in bytes, from outside the process or on its way there.
pub const MAX_PUBLICATION: usize = 1024 * 1024;

/// Largest one from a client that stays within the process, in bytes; its endpoint's `max_message` bounds it before.
pub const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// Most channels of one broadcast.
pub const MAX_CHANNELS: usize = 1_000;

/// Largest body of a request: a publication in base64, and what stands around it.
pub const MAX_BODY: usize = MAX_PUBLICATION / 2 * 3;
