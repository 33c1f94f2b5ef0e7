//! A JWS of any form (RFC 7515 §7): compact, flattened and general JSON, with content beside it (appendix F) or unencoded
//! (RFC 7797).

use std::borrow::Cow;

use super::jws::{Header, Members, header_text, members, split};
use super::{Algorithm, Algorithms, KeySet, Refused, base64url};
use crate::json::{self, Kind, Raw};

/// Most signatures of one JWS.
const MAX_SIGNATURES: usize = 16;

/// What is asked of a JWS.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    /// Algorithms accepted, of those that the keys are for.
    pub algorithms: Algorithms,
    /// The content, where it is not part of the JWS.
    pub detached: Option<&'a [u8]>,
    /// Every signature must verify; else one that does is enough.
    pub every: bool,
    /// Most bytes of the JWS.
    pub max_bytes: usize,
}

/// A signature that verified.
#[derive(Debug, PartialEq, Eq)]
pub struct Signed {
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// The text of the protected header.
    pub protected: Option<String>,
    /// The text of the unprotected header.
    pub unprotected: Option<String>,
}

/// A JWS that verified.
#[derive(Debug, PartialEq, Eq)]
pub struct Verified {
    /// The content; none where it was passed beside the JWS.
    pub payload: Option<Vec<u8>>,
    /// The signatures that verified, at least one.
    pub signatures: Vec<Signed>,
}

/// Verifies a JWS in its compact form, or in one of its JSON forms where it begins with `{`.
///
/// # Errors
/// [`Refused`]: what is wrong with it; of several signatures, with the first.
pub fn verify(jws: &[u8], keys: &KeySet, demand: &Demand<'_>) -> Result<Verified, Refused> {
    if jws.len() > demand.max_bytes {
        return Err(Refused::TooLong);
    }
    if jws.trim_ascii_start().starts_with(b"{") { json_form(jws, keys, demand) } else { compact(jws, keys, demand) }
}

fn compact(jws: &[u8], keys: &KeySet, demand: &Demand<'_>) -> Result<Verified, Refused> {
    let segments = split(jws)?;
    let text = header_text(segments.header)?;
    let header = Header::parse(&text)?;
    let unencoded_text = |byte: &u8| (0x20..0x7f).contains(byte);
    if header.unencoded && !segments.payload.iter().all(unencoded_text) {
        return Err(Refused::Content("an unencoded payload is of printable ASCII here"));
    }
    let inline = if demand.detached.is_some() && segments.payload.is_empty() { None } else { Some(segments.payload) };
    let content = Content::of(inline, demand.detached, header.unencoded)?;
    check(&header, segments.header, segments.signature, &content, keys, demand)?;
    let algorithm = header.algorithm;
    let signatures = vec![Signed { algorithm, protected: String::from_utf8(text).ok(), unprotected: None }];
    Ok(Verified { payload: content.payload, signatures })
}

/// The content, and what of it is signed.
struct Content<'a> {
    payload: Option<Vec<u8>>,
    signed: Cow<'a, [u8]>,
}

impl<'a> Content<'a> {
    fn of(inline: Option<&'a [u8]>, detached: Option<&'a [u8]>, unencoded: bool) -> Result<Self, Refused> {
        match (inline, detached) {
            (Some(_), Some(_)) => Err(Refused::Content("it has a payload, and another beside it")),
            (None, None) => Err(Refused::Content("it has no payload, and none beside it")),
            (None, Some(content)) if unencoded => Ok(Self { payload: None, signed: content.into() }),
            (None, Some(content)) => {
                let mut signed = Vec::new();
                base64url::encode_into(content, &mut signed);
                Ok(Self { payload: None, signed: signed.into() })
            }
            (Some(payload), None) if unencoded => Ok(Self { payload: Some(payload.to_vec()), signed: payload.into() }),
            (Some(text), None) => {
                let payload = base64url::decode(text).ok_or(Refused::Encoding("the payload"))?;
                Ok(Self { payload: Some(payload), signed: text.into() })
            }
        }
    }
}

/// One signature over a header as it was sent, and the content.
fn check(
    header: &Header<'_>,
    protected: &[u8],
    signature: &[u8],
    content: &Content<'_>,
    keys: &KeySet,
    demand: &Demand<'_>,
) -> Result<(), Refused> {
    let signature = base64url::decode(signature).ok_or(Refused::Encoding("the signature"))?;
    if !demand.algorithms.contains(header.algorithm) {
        return Err(Refused::Unwanted);
    }
    let chosen = keys.choose(header.algorithm, header.kid.as_deref())?;
    let mut signed = Vec::with_capacity(protected.len() + 1 + content.signed.len());
    signed.extend_from_slice(protected);
    signed.push(b'.');
    signed.extend_from_slice(&content.signed);
    keys.verify(chosen, &signed, &signature)
}

/// One entry of `signatures`, or the flattened form itself.
#[derive(Default)]
struct Entry<'a> {
    protected: Option<Cow<'a, str>>,
    header: Option<Raw<'a>>,
    signature: Option<Cow<'a, str>>,
}

impl<'a> Entry<'a> {
    /// Takes a member; whether it is one of an entry.
    fn take(&mut self, name: &str, value: Raw<'a>) -> Result<bool, Refused> {
        match name {
            "protected" => self.protected = Some(value.string().ok_or(Refused::Shape("protected is no text"))?),
            "signature" => self.signature = Some(value.string().ok_or(Refused::Shape("signature is no text"))?),
            "header" if value.kind() != Kind::Object => return Err(Refused::Shape("header is no object")),
            "header" => self.header = Some(value),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn json_form(jws: &[u8], keys: &KeySet, demand: &Demand<'_>) -> Result<Verified, Refused> {
    let top = json::parse(jws).map_err(|invalid| Refused::Header(Some(invalid)))?;
    let mut payload = None;
    let mut flattened = Entry::default();
    let mut is_flattened = false;
    let mut entries = None;
    for (name, value) in top.members().ok_or(Refused::Shape("it is no object"))? {
        match &*name {
            "payload" => payload = Some(value.string().ok_or(Refused::Shape("payload is no text"))?),
            "signatures" => entries = Some(value.items().ok_or(Refused::Shape("signatures is no list"))?),
            name => is_flattened |= flattened.take(name, value)?,
        }
    }
    let entries = match entries {
        None => vec![flattened],
        Some(_) if is_flattened => return Err(Refused::Shape("it is both general and flattened")),
        Some(items) if items.is_empty() || items.len() > MAX_SIGNATURES => {
            return Err(Refused::Shape("it has 1 to 16 signatures"));
        }
        Some(items) => items.into_iter().map(entry).collect::<Result<_, _>>()?,
    };
    let texts: Vec<_> = entries.iter().map(protected_text).collect::<Result<_, _>>()?;
    let headers: Vec<_> = entries.iter().zip(&texts).map(|(entry, text)| joined(entry, text.as_deref())).collect();
    let mut content: Option<(bool, Content<'_>)> = None;
    let mut signatures = Vec::new();
    let mut first = None;
    for ((entry, text), header) in entries.iter().zip(&texts).zip(headers) {
        let signature = entry.signature.as_deref().ok_or(Refused::Shape("signature is missing"))?;
        let judged = header.and_then(|header| {
            let content = match &content {
                // RFC 7797 §3: the same for every signature.
                Some((unencoded, _)) if *unencoded != header.unencoded => return Err(Refused::Critical),
                Some((_, content)) => content,
                None => {
                    let read = Content::of(payload.as_deref().map(str::as_bytes), demand.detached, header.unencoded)?;
                    &content.insert((header.unencoded, read)).1
                }
            };
            let protected = entry.protected.as_deref().unwrap_or_default();
            check(&header, protected.as_bytes(), signature.as_bytes(), content, keys, demand)?;
            Ok(header.algorithm)
        });
        match judged {
            Ok(algorithm) => signatures.push(Signed {
                algorithm,
                protected: text.as_deref().map(|text| String::from_utf8_lossy(text).into_owned()),
                unprotected: entry.header.map(|header| header.text().to_owned()),
            }),
            // Signatures for others may be of algorithms and keys that are not known here; a malformed one is for nobody.
            Err(why) if demand.every || !about_others(&why) => return Err(why),
            Err(why) => first = first.or(Some(why)),
        }
    }
    match content {
        Some((_, content)) if !signatures.is_empty() => Ok(Verified { payload: content.payload, signatures }),
        _ => Err(first.unwrap_or(Refused::Signature)),
    }
}

fn about_others(why: &Refused) -> bool {
    use Refused::{Algorithm, Ambiguous, KeyAlgorithm, Signature, UnknownKey, Unwanted};
    matches!(why, Algorithm | Ambiguous | KeyAlgorithm | Signature | UnknownKey | Unwanted)
}

fn entry(item: Raw<'_>) -> Result<Entry<'_>, Refused> {
    let mut entry = Entry::default();
    for (name, value) in item.members().ok_or(Refused::Shape("a signature is no object"))? {
        entry.take(&name, value)?;
    }
    Ok(entry)
}

fn protected_text(entry: &Entry<'_>) -> Result<Option<Vec<u8>>, Refused> {
    match entry.protected.as_deref() {
        None => Ok(None),
        Some("") => Err(Refused::Shape("protected is empty")),
        Some(segment) => header_text(segment.as_bytes()).map(Some),
    }
}

fn joined<'a>(entry: &Entry<'a>, protected: Option<&'a [u8]>) -> Result<Header<'a>, Refused> {
    let protected: Option<Members<'a>> = protected.map(members).transpose()?;
    Header::joined(protected, entry.header.and_then(Raw::members))
}
