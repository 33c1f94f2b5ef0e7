//! The load client: one thread, one epoll set, every answer checked.

pub mod answer;
mod client;
pub mod plan;
mod report;

pub use client::Client;
