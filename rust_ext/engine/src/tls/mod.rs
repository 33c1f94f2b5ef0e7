//! TLS of listeners: certificates by name, client certificates, resumption, and what a connection's handshake settled.
//!
//! [`Served`] is the TLS of one listener for as long as its settings stay; its files are read again when they change,
//! and a connection keeps what it was opened with until its next request asks whether that still holds.

mod certificates;
mod facts;
mod handshake;
mod policy;
mod served;
mod validity;

pub(crate) use facts::{Client, Facts};
pub(crate) use handshake::{begin, greet, judge};
pub(crate) use policy::Policy;
pub(crate) use served::{Served, Sources, redirect};
pub(crate) use validity::{Validity, validity};
