//! Logs: diagnostic lines, the access log and the audit trail. Workers put both into bounded queues, two threads write them; a worker
//! never writes to a file or a standard stream itself.

pub(crate) mod access;
mod audit;
mod control;
mod diagnostic;
mod sink;
pub(crate) mod tunnel;
mod writer;

pub(crate) use audit::Trail;
pub(crate) use diagnostic::{Limits, Log};
pub(crate) use writer::Writer;
