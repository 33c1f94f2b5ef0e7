//! The header of a JWS and its compact form (RFC 7515 §4, §7.1), strictly.

use std::borrow::Cow;

use super::algorithm::Algorithm;
use super::{Refused, base64url};
use crate::json::{self, Kind, Raw};

/// Most bytes of a token in a request.
pub const MAX_TOKEN: usize = 16 * 1024;

/// Most bytes of a header, decoded.
pub const MAX_HEADER: usize = 4 * 1024;

/// The segments of a compact JWS.
#[derive(Debug, Clone, Copy)]
pub struct Segments<'a> {
    /// The header, encoded.
    pub header: &'a [u8],
    /// The payload, encoded.
    pub payload: &'a [u8],
    /// The signature, encoded.
    pub signature: &'a [u8],
    /// What is signed: header, dot, payload.
    pub signed: &'a [u8],
}

/// Cuts a compact JWS at its two dots.
///
/// # Errors
/// [`Refused::Shape`], [`Refused::Encrypted`].
pub fn split(token: &[u8]) -> Result<Segments<'_>, Refused> {
    let mut dots = memchr::memchr_iter(b'.', token);
    match (dots.next(), dots.next(), dots.count()) {
        (Some(first), Some(second), 0) => Ok(Segments {
            header: &token[..first],
            payload: &token[first + 1..second],
            signature: &token[second + 1..],
            signed: &token[..second],
        }),
        (Some(_), Some(_), 2) => Err(Refused::Encrypted),
        _ => Err(Refused::Shape("it is not three segments")),
    }
}

/// A header's text from its segment.
pub(super) fn header_text(segment: &[u8]) -> Result<Vec<u8>, Refused> {
    if segment.len() > MAX_HEADER.div_ceil(3) * 4 {
        return Err(Refused::Header(None));
    }
    let text = base64url::decode(segment).ok_or(Refused::Encoding("the header"))?;
    if text.len() > MAX_HEADER { Err(Refused::Header(None)) } else { Ok(text) }
}

/// What a JOSE header says; every other member is read and left alone: `jku`, `jwk`, `x5u` and `x5c` are never followed.
#[derive(Debug)]
pub struct Header<'a> {
    /// `alg`.
    pub algorithm: Algorithm,
    /// `kid`.
    pub kid: Option<Cow<'a, str>>,
    /// `typ`.
    pub typ: Option<Cow<'a, str>>,
    /// `b64` is false: the payload is signed as it is (RFC 7797).
    pub unencoded: bool,
}

impl<'a> Header<'a> {
    /// Reads the text of a protected header.
    ///
    /// # Errors
    /// [`Refused`]: the first thing that is wrong.
    pub fn parse(text: &'a [u8]) -> Result<Self, Refused> {
        Self::joined(Some(members(text)?), None)
    }

    /// The header of a protected and an unprotected part (RFC 7515 §4, §7.2.1).
    pub(super) fn joined(protected: Option<Members<'a>>, unprotected: Option<Members<'a>>) -> Result<Self, Refused> {
        let (protected, unprotected) = (protected.unwrap_or_default(), unprotected.unwrap_or_default());
        if protected.iter().any(|(name, _)| unprotected.iter().any(|(other, _)| name == other)) {
            return Err(Refused::Shape("a member is in both headers"));
        }
        for (name, _) in &unprotected {
            match &**name {
                "crit" => return Err(Refused::Member("crit")),
                "b64" => return Err(Refused::Member("b64")),
                _ => {}
            }
        }
        let (mut algorithm, mut kid, mut typ) = (None, None, None);
        let (mut critical, mut encoded) = (None, None);
        for (name, value) in protected.iter().chain(&unprotected) {
            match &**name {
                "alg" => algorithm = Some(value.string().ok_or(Refused::Member("alg"))?),
                "kid" => kid = Some(value.string().ok_or(Refused::Member("kid"))?),
                "typ" => typ = Some(value.string().ok_or(Refused::Member("typ"))?),
                "cty" if value.kind() != Kind::String => return Err(Refused::Member("cty")),
                "crit" => critical = Some(*value),
                "b64" if value.kind() != Kind::Bool => return Err(Refused::Member("b64")),
                "b64" => encoded = Some(value.text() == "true"),
                "enc" => return Err(Refused::Encrypted),
                _ => {}
            }
        }
        if let Some(critical) = critical {
            // The one extension that is understood; a list has it once, and nothing else.
            match critical.items().as_deref() {
                Some([name]) if name.string().as_deref() == Some("b64") && encoded.is_some() => {}
                _ => return Err(Refused::Critical),
            }
        } else if encoded == Some(false) {
            return Err(Refused::Critical);
        }
        let algorithm = algorithm.ok_or(Refused::Member("alg"))?;
        let algorithm = Algorithm::named(&algorithm).ok_or(Refused::Algorithm)?;
        Ok(Self { algorithm, kid, typ, unencoded: encoded == Some(false) })
    }
}

/// The members of an object.
pub(super) type Members<'a> = Vec<(Cow<'a, str>, Raw<'a>)>;

pub(super) fn members(text: &[u8]) -> Result<Members<'_>, Refused> {
    let raw = json::parse(text).map_err(|invalid| Refused::Header(Some(invalid)))?;
    raw.members().ok_or(Refused::Header(None))
}
