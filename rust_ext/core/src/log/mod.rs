//! Lines of the access log: formats compiled once, values escaped so that no byte of a request can forge a line, and
//! secrets left out.
//!
//! A line is made in two steps, because a request's head does not outlive its sending: [`Format::begin`] writes what
//! the head says into a block, [`Format::finish`] puts the block and what the end says into the log's buffer.

pub mod audit;
mod format;
mod line;
mod redact;
mod text;
mod time;

#[cfg(test)]
mod tests;

pub use format::{Format, NAMES};
pub use line::{Begin, End};
pub use redact::Redact;
pub use text::{LONGEST, json_string};
pub use time::Stamp;
