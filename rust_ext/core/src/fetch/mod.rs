//! What the gateway itself asks over HTTP: where it may ask, what it says, how long an answer holds. Sans-I/O.

mod freshness;
mod reach;
mod request;
mod url;

pub use freshness::max_age;
pub use reach::{Forbidden, Reach};
pub use request::{BadField, Verb, write_request};
pub use url::{Host, Url};
