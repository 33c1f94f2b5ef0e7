//! What changes between the two sides of an exchange (RFC 9110 §7.6): who the client is, which fields are passed on,
//! and the heads that are written anew from the parsed value.

mod address;
mod answer;
mod edits;
mod extra;
mod origin;
mod request_head;
mod response_head;
mod run;
mod stream_head;

pub use address::{Client, client_address, request_id};
pub use answer::{Answer, Content, status_phrase, write_answer};
pub use edits::{CompiledEdits, Edit, EditError, NO_EDITS};
pub(crate) use edits::{Edits, is_value, line};
pub(crate) use extra::By;
pub use extra::Extra;
pub use origin::OriginPolicy;
pub(crate) use origin::{Allowed, allowed, listed};
pub use request_head::{Outgoing, write_request_head};
pub(crate) use response_head::connection;
pub use response_head::{Incoming, passes, write_interim_head, write_response_head};
pub use stream_head::{StreamHead, StreamKind, write_stream_head};

#[cfg(test)]
mod tests;
