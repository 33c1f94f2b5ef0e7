//! Limits that several processes share through Redis: the script that counts, who asks for how much, and when nobody asks.
//!
//! Everything is judged by the server's clock in one script, so that processes whose clocks differ count the same.

mod breaker;
mod lease;
mod name;
pub mod revoked;
mod rule;
mod script;
mod secret;

#[cfg(test)]
mod tests;

pub use breaker::{Breaker, Turn};
pub use lease::{Lease, Taken};
pub use name::name;
pub use rule::{Answer, Rule};
pub use script::Script;
pub use secret::secret;
