//! Logs: diagnostic lines and the access log. Workers put both into bounded queues, two threads write them; a worker
//! never writes to a file or a standard stream itself.

pub(crate) mod access;
mod control;
mod diagnostic;
mod sink;
pub(crate) mod tunnel;
mod writer;

pub(crate) use diagnostic::{Limits, Log};
pub(crate) use writer::Writer;
