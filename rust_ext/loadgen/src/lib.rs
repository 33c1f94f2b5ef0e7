//! The load side of the benchmarks: a client that checks every answer, an origin that costs next to nothing, and the
//! floor proxy every gateway is measured against; for the hub, subscribers that check every sequence number, and a floor.
//!
//! Nothing here is part of the gateway; the engine never uses this crate.

pub mod args;
pub mod chunked;
pub mod histogram;
pub mod load;
pub mod net;
pub mod origin;
pub mod pattern;
pub mod realtime;
mod sys;
pub mod websocket;

pub use sys::{floor, hub_floor};
