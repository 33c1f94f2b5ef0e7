//! The realtime client: thousands of WebSocket subscribers that check every sequence number, and their publishers.
//!
//! Subscribers live on threads of their own (each with its own descriptor table where one table is too small); the main
//! thread reads commands, publishes, and answers with what was counted. A publication names its room, its place in the
//! room's order and the moment it was sent: so loss, duplicates and changes of order are seen at each subscriber.

pub mod client;
mod counts;
mod payload;
pub mod plan;
mod publisher;
mod redis;
mod sequence;
mod shard;
mod shared;
mod subscriber;
