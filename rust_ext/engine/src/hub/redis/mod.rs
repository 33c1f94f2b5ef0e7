//! Redis as the broker: what one process publishes reaches the members of all that share the server or cluster.
//!
//! Workers leave notes at the [`Desk`] and never wait. A thread of its own (`fastgate-redis`), which neither DNS nor the
//! internal listeners can hold up, keeps one connection a server ([`link`]), on which it both subscribes and publishes:
//! so the replies say in which order the server took what was sent, and a publication that comes back is known to be
//! one's own without a mark in it ([`flight`]). What the server never gave back is delivered here when the connection
//! ends, so that members of this process miss nothing that was accepted from them.

mod cluster;
mod desk;
mod flight;
mod link;
mod report;
mod talk;
#[cfg(test)]
pub(crate) mod tests;
mod thread;

pub(crate) use report::Figures;
pub(crate) use thread::Redis;
