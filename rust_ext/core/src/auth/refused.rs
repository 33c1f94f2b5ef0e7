//! Why a token is refused: for logs and for callers of the primitives, never for a client of the gateway.

use std::fmt;

use crate::json::Invalid;

/// Why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// More bytes than are looked at.
    TooLong,
    /// Not the segments of a JWS.
    Shape(&'static str),
    /// A part that is no canonical base64url.
    Encoding(&'static str),
    /// A header that is no JSON object, strictly read.
    Header(Option<Invalid>),
    /// A member of the wrong kind, or not where it may stand.
    Member(&'static str),
    /// An algorithm that is not known; `none` is none of them.
    Algorithm,
    /// An algorithm that is not among those asked for.
    Unwanted,
    /// Critical members that are not understood, or a list of them that is none (RFC 7515 §4.1.11).
    Critical,
    /// A JWE.
    Encrypted,
    /// No key of that `kid`, or none at all.
    UnknownKey,
    /// Several keys fit.
    Ambiguous,
    /// The key is not for that algorithm.
    KeyAlgorithm,
    /// The signature does not verify.
    Signature,
    /// The content is there twice, or cannot be where it is.
    Content(&'static str),
    /// A `typ` that is not accepted.
    Type,
    /// A payload that is no JSON object, strictly read.
    Claims(Option<Invalid>),
    /// A claim of the wrong kind.
    Claim(&'static str),
    /// A claim that must be there.
    Missing(Box<str>),
    /// `exp` has passed.
    Expired,
    /// `nbf` has not come.
    NotYet,
    /// `iat` has not come.
    Future,
    /// `iat` is too long ago.
    TooOld,
    /// Another `iss`.
    Issuer,
    /// Another `aud`.
    Audience,
    /// Revoked by `jti` or `sub`.
    Revoked,
    /// A key or a key set that cannot be used.
    Key(Box<str>),
}

impl Refused {
    /// A short name that stays the same.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Shape(_) => "shape",
            Self::Encoding(_) => "encoding",
            Self::Header(_) => "header",
            Self::Member(_) => "header_member",
            Self::Algorithm => "algorithm_unknown",
            Self::Unwanted => "algorithm_unwanted",
            Self::Critical => "critical",
            Self::Encrypted => "encrypted",
            Self::UnknownKey => "key_unknown",
            Self::Ambiguous => "key_ambiguous",
            Self::KeyAlgorithm => "key_algorithm",
            Self::Signature => "signature",
            Self::Content(_) => "content",
            Self::Type => "type",
            Self::Claims(_) => "claims",
            Self::Claim(_) => "claim",
            Self::Missing(_) => "claim_missing",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::Future => "issued_in_future",
            Self::TooOld => "too_old",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Revoked => "revoked",
            Self::Key(_) => "key",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "more bytes than are looked at",
            Self::Shape(what) | Self::Content(what) => what,
            Self::Encoding(part) => return write!(f, "{part} is not base64url without padding"),
            Self::Header(None) => "the header is no JSON object of at most 4 KiB",
            Self::Header(Some(invalid)) => return write!(f, "the header is not strict JSON: {invalid}"),
            Self::Member(name) => return write!(f, "the header's {name} is of the wrong kind or in the wrong place"),
            Self::Algorithm => "the header's alg is not known",
            Self::Unwanted => "the header's alg is not one that is accepted",
            Self::Critical => "the header's crit lists something that is not understood",
            Self::Encrypted => "it is encrypted (JWE)",
            Self::UnknownKey => "no key of its kid",
            Self::Ambiguous => "several keys fit it",
            Self::KeyAlgorithm => "the key is not for its alg",
            Self::Signature => "the signature does not verify",
            Self::Type => "its typ is not accepted",
            Self::Claims(None) => "its payload is no JSON object",
            Self::Claims(Some(invalid)) => return write!(f, "its payload is not strict JSON: {invalid}"),
            Self::Claim(name) => return write!(f, "its claim {name} is of the wrong kind"),
            Self::Missing(name) => return write!(f, "its claim {name} is missing"),
            Self::Expired => "it has expired",
            Self::NotYet => "it is not valid yet",
            Self::Future => "it was issued in the future",
            Self::TooOld => "it was issued too long ago",
            Self::Issuer => "its issuer is another",
            Self::Audience => "its audience is another",
            Self::Revoked => "it was revoked",
            Self::Key(what) => what,
        })
    }
}
