//! RESP3, the protocol of Redis (github.com/redis/redis-specifications): replies and pushes in, commands out.
//!
//! Only what a pub/sub client meets is read; what is left out (streamed strings, attributes) is refused as malformed,
//! because Redis sends it to nobody who did not ask.

mod decode;
mod encode;
mod server;
mod slot;

pub use decode::{Decoder, Limits, Malformed, Node, Step};
pub use encode::{array, bulk, bulk_of, command};
pub use server::Server;
pub use slot::{SLOTS, slot};
