//! Pure logic of the gateway, sans-I/O: bytes in, values and bytes out; clock and randomness are passed in.
//!
//! Nothing here opens a socket, starts a thread or reads a clock, so all of it can be fuzzed, property-tested and
//! simulated from a seed.
#![forbid(unsafe_code)]

pub mod auth;
pub mod backoff;
pub mod balance;
mod base64;
pub mod calendar;
pub mod certificate;
pub mod fetch;
pub mod files;
pub mod filter;
pub mod http1;
pub mod json;
pub mod limit;
pub mod log;
pub mod network;
pub mod publish;
pub mod resp;
pub mod route;
pub mod snapshot;
pub mod store;
pub mod websocket;
pub mod yaml;
