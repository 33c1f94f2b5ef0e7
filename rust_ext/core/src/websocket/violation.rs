//! What a peer did wrong, and the close code for it.

use std::fmt;

/// A breach of the protocol: the connection fails with its code, and its receiver takes no more bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Violation {
    /// A reserved bit that no extension gave a meaning (RFC 6455 §5.2).
    ReservedBit,
    /// An opcode without a meaning (RFC 6455 §5.2).
    UnknownOpcode,
    /// A frame from a client without a mask (RFC 6455 §5.1).
    Unmasked,
    /// A frame from a server with a mask (RFC 6455 §5.1).
    Masked,
    /// A length in more bytes than it needs, or one above 2^63-1 (RFC 6455 §5.2).
    Length,
    /// A control frame that is a fragment (RFC 6455 §5.5).
    FragmentedControl,
    /// A control frame of more than 125 bytes (RFC 6455 §5.5).
    LongControl,
    /// A continuation of nothing (RFC 6455 §5.4).
    UnexpectedContinuation,
    /// A new message before the last one ended (RFC 6455 §5.4).
    InterruptedMessage,
    /// A close frame of one byte: half a code (RFC 6455 §5.5.1).
    ShortClose,
    /// A close code that must not be sent (RFC 6455 §7.4).
    CloseCode,
    /// Text that is not UTF-8 (RFC 6455 §8.1).
    Text,
    /// The reason of a close frame is not UTF-8 (RFC 6455 §5.5.1).
    CloseReason,
    /// A message that does not decompress (RFC 7692 §7.2.2).
    Compression,
    /// More bytes than a message may have (RFC 6455 §7.4.1).
    TooLarge,
}

impl Violation {
    /// The code the connection closes with (RFC 6455 §7.4.1).
    pub fn code(self) -> u16 {
        match self {
            Self::Text | Self::CloseReason | Self::Compression => 1007,
            Self::TooLarge => 1009,
            _ => 1002,
        }
    }

    /// What to tell the peer; fits a close frame.
    pub fn reason(self) -> &'static str {
        match self {
            Self::ReservedBit => "a reserved bit is set",
            Self::UnknownOpcode => "unknown opcode",
            Self::Unmasked => "a client's frame must be masked",
            Self::Masked => "a server's frame must not be masked",
            Self::Length => "a frame's length must be minimal and below 2^63",
            Self::FragmentedControl => "a control frame must not be fragmented",
            Self::LongControl => "a control frame has at most 125 bytes",
            Self::UnexpectedContinuation => "a continuation without a message",
            Self::InterruptedMessage => "a message began before the last one ended",
            Self::ShortClose => "a close frame has no byte or at least two",
            Self::CloseCode => "this close code must not be sent",
            Self::Text => "text must be UTF-8",
            Self::CloseReason => "the reason of a close must be UTF-8",
            Self::Compression => "the message does not decompress",
            Self::TooLarge => "the message is too large",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason(), self.code())
    }
}

impl std::error::Error for Violation {}
