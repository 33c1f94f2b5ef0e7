//! The HTTP/1.1 codec for both sides (RFC 9110, RFC 9112): strict, incremental, sans-I/O.
//!
//! A head is parsed once into spans over the received bytes; everything later (routing, policies, logs, the writer of
//! the next head) reads the same parsed value. The bytes themselves stay with the caller and are passed to accessors.

mod chunked;
mod field;
mod host;
mod message;
mod names;
mod reason;
mod request;
mod request_line;
mod request_view;
mod response;
mod rules;
mod scan;
pub(crate) mod simd;
mod target;
mod trailers;
pub mod write;

pub use crate::websocket::websocket_accept;
pub use chunked::{ChunkedDecoder, Decoded};
pub use field::{Field, FieldKind};
pub use names::ReservedNames;
pub use reason::Reason;
pub use request::Request;
pub use response::Response;
pub use rules::RequestRules;
pub(crate) use scan::is_token;
pub use trailers::Trailers;

/// A range of a head's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

impl Span {
    /// From offsets; a head is far smaller than 4 GiB (its limit is a `u32`).
    #[inline]
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, len: end.wrapping_sub(start) as u32 }
    }

    /// The bytes it stands for; empty when `bytes` is not the head it was made from.
    #[inline]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end()).unwrap_or_default()
    }

    /// Offset behind the last byte.
    #[inline]
    pub fn end(self) -> usize {
        (self.start as usize).wrapping_add(self.len as usize)
    }
}

/// How far a head has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed; call again with the same bytes and more behind them.
    Incomplete,
    /// The head is complete; its length in bytes, the empty line included.
    Complete(usize),
}

/// The version of a message (RFC 9112 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// The method of a request (RFC 9110 §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// PATCH (RFC 5789)
    Patch,
    /// Any other; its bytes are with the request.
    Other,
}

impl Method {
    /// Whether the method asks for nothing but an answer (RFC 9110 §9.2.1); false for `Other`.
    pub fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options)
    }

    /// Whether repeating the request changes nothing more (RFC 9110 §9.2.2); false for `Other`.
    pub fn is_idempotent(self) -> bool {
        self.is_safe() || matches!(self, Self::Put | Self::Delete)
    }
}

/// How a request's body is delimited (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No body and no framing field.
    None,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// How a response's body is delimited (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseFraming {
    /// No body: 1xx, 204, 304, or an answer to HEAD.
    None,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The end of the connection ends the body.
    UntilClose,
}

#[cfg(test)]
mod tests;
