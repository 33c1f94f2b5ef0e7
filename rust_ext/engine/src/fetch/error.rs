//! Why a call came to nothing.

use std::fmt;

use fastgate_core::fetch::Forbidden;
use fastgate_core::http1::Reason;

/// Why a call came to nothing. Its text is for logs: it names no secret and nothing of what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FetchError {
    /// As many calls as may be are under way.
    Busy,
    /// The name does not resolve.
    Resolve(String),
    /// None of its addresses may be asked (class A2).
    Address(Forbidden),
    /// No connection could be opened.
    Connect(String),
    /// The handshake failed.
    Tls(String),
    /// The connection ended before the answer did.
    Closed,
    /// The answer is no valid HTTP.
    Protocol(&'static str),
    /// The answer is larger than it may be.
    TooLarge,
    /// It did not come in time.
    Timeout,
    /// What should be sent may not stand in a request.
    Field,
}

impl FetchError {
    /// Every name that [`FetchError::name`] gives.
    pub(crate) const NAMES: [&'static str; 10] =
        ["busy", "resolve", "address", "connect", "tls", "closed", "protocol", "too_large", "timeout", "field"];

    /// Its place among them.
    pub(crate) fn index(&self) -> usize {
        match self {
            Self::Busy => 0,
            Self::Resolve(_) => 1,
            Self::Address(_) => 2,
            Self::Connect(_) => 3,
            Self::Tls(_) => 4,
            Self::Closed => 5,
            Self::Protocol(_) => 6,
            Self::TooLarge => 7,
            Self::Timeout => 8,
            Self::Field => 9,
        }
    }
}

impl From<Reason> for FetchError {
    fn from(reason: Reason) -> Self {
        Self::Protocol(reason.name())
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("too many calls are under way"),
            Self::Resolve(why) => f.write_str(why),
            Self::Address(why) => write!(f, "it resolves to {why}"),
            Self::Connect(why) => write!(f, "no connection: {why}"),
            Self::Tls(why) => write!(f, "TLS: {why}"),
            Self::Closed => f.write_str("the connection ended before the answer did"),
            Self::Protocol(reason) => write!(f, "the answer is no valid HTTP ({reason})"),
            Self::TooLarge => f.write_str("the answer is larger than it may be"),
            Self::Timeout => f.write_str("it did not answer in time"),
            Self::Field => f.write_str("a value to send holds a control character"),
        }
    }
}
