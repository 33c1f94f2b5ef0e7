//! The WebSocket codec for both sides (RFC 6455, and permessage-deflate, RFC 7692): strict, incremental, sans-I/O.
//!
//! Received bytes stay where they are: a message that came whole is unmasked in place and lent out, and a connection
//! holds memory only while a message or a frame of it is split.

mod close;
mod deflate;
mod extension;
mod handshake;
mod head;
mod mask;
mod receiver;
mod violation;
mod write;

pub use close::{MAX_REASON, is_close_code};
pub use deflate::Deflater;
pub use extension::{MalformedExtensions, negotiate_deflate};
pub use handshake::websocket_accept;
pub(crate) use handshake::{is_key, sha1};
pub use head::{Head, MAX_CONTROL, MAX_HEAD, Opcode};
pub use mask::apply_mask;
pub use receiver::Receiver;
pub use violation::Violation;
pub use write::{write_close, write_compressed, write_frame, write_masked_frame};

/// Which end of a connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes masked frames only, sends unmasked ones (RFC 6455 §5.1).
    Server,
    /// Takes unmasked frames only, sends masked ones.
    Client,
}

/// What holds for the frames of a connection; one value serves all connections that agreed on the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// This end.
    pub role: Role,
    /// Bytes of a message, after decompression.
    pub max_message: usize,
    /// Compressed messages are taken: the connection agreed on permessage-deflate.
    pub deflate: bool,
}

/// What a peer said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole message; valid UTF-8 unless it is binary.
    Message {
        /// Binary, not text.
        binary: bool,
        /// Its bytes.
        data: &'a [u8],
    },
    /// To be answered by a pong with the same bytes.
    Ping(&'a [u8]),
    /// An answer to a ping, or a sign of life.
    Pong(&'a [u8]),
    /// The last frame of this direction; whatever follows it is not to be read.
    Close {
        /// One that may be sent; `None`: none was given.
        code: Option<u16>,
        /// Text for people.
        reason: &'a str,
    },
}

#[cfg(test)]
mod tests;
