//! The load side of the benchmarks: a client that checks every answer, an origin that costs next to nothing, and the
//! floor proxy every gateway is measured against.
//!
//! Nothing here is part of the gateway; the engine never uses this crate.

pub mod args;
pub mod chunked;
pub mod histogram;
pub mod load;
pub mod net;
pub mod origin;
pub mod pattern;
mod sys;
pub mod websocket;

pub use sys::floor;
