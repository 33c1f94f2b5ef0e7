//! HTTP message signatures (RFC 9421): which signature of a request counts, what it covers, and whether it is fresh.
//!
//! Keys are the caller's: this part reads `Signature-Input` and `Signature`, makes the signature base and judges time,
//! coverage and nonces.

mod base;
mod replay;
#[cfg(test)]
mod tests;

use std::fmt;

use sfv::{BareItem, Dictionary, InnerList, ListEntry, Parser};

pub use base::{Components, Message};
pub use replay::Replay;

/// Signatures of one request that are looked at.
const MAX_SIGNATURES: usize = 4;
/// Components that one signature may cover.
const MAX_COMPONENTS: usize = 32;
/// Bytes of a key's id, and of a nonce.
const MAX_NAME: usize = 256;

/// The algorithms of RFC 9421 §6.2.2.
pub const ALGORITHMS: [&str; 6] =
    ["rsa-pss-sha512", "rsa-v1_5-sha256", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "ed25519", "hmac-sha256"];

/// Why no signature of a request counts: for the log, never for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// `Signature-Input` or `Signature` is no dictionary of the kind.
    Malformed,
    /// More than 4 signatures, or more than 32 components in one.
    TooMany,
    /// A signature without its input, or an input without its signature.
    Incomplete,
    /// `keyid` is missing or none that is known.
    UnknownKey,
    /// `alg` is not one of the key's.
    Algorithm,
    /// A component cannot be found in the request, or is of a kind that is not taken.
    Component,
    /// A component that must be covered is not.
    Uncovered,
    /// `created` is missing, in the future, or too old; or `expires` is past.
    Stale,
    /// `nonce` is missing or too long.
    Nonce,
    /// The nonce was there before.
    Replayed,
    /// No room for another nonce: it cannot be told whether it was there before.
    Full,
    /// The signature is not that of the key.
    Signature,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "Signature-Input or Signature cannot be read",
            Self::TooMany => "too many signatures or components",
            Self::Incomplete => "a signature without its input, or the other way round",
            Self::UnknownKey => "the keyid is not known",
            Self::Algorithm => "alg is not one of the key's",
            Self::Component => "a covered component is not there",
            Self::Uncovered => "a component that must be covered is not",
            Self::Stale => "created or expires is out of its time",
            Self::Nonce => "a nonce is missing or too long",
            Self::Replayed => "the nonce was there before",
            Self::Full => "no room for another nonce",
            Self::Signature => "the signature is not that of the key",
        })
    }
}

/// What a signature must be.
#[derive(Debug)]
pub struct Rules {
    /// What it must cover.
    pub components: Components,
    /// The oldest one, by `created`; milliseconds.
    pub max_age_ms: u64,
    /// Difference of clocks that is forgiven; milliseconds.
    pub skew_ms: u64,
    /// It must have a nonce, which counts once.
    pub nonce: bool,
}

/// Keys by their ids.
pub trait Keys {
    /// Whether there is a key of that id.
    fn knows(&self, id: &str) -> bool;

    /// Verifies a signature with the key of that id, for `alg` or, where there is none, for the key's only algorithm.
    ///
    /// # Errors
    /// [`Refusal::UnknownKey`], [`Refusal::Algorithm`] or [`Refusal::Signature`].
    fn verify(&self, id: &str, alg: Option<&str>, base: &[u8], signature: &[u8]) -> Result<(), Refusal>;
}

/// Whether a request claims to be signed at all.
pub fn is_signed(message: &dyn Message) -> bool {
    let mut found = false;
    message.field("signature-input", &mut |_| found = true);
    message.field("signature", &mut |_| found = true);
    found
}

/// The id of the key that has signed a request as the rules ask.
///
/// The signatures are tried in their order, those of unknown keys left out; the first that holds counts. A nonce is
/// kept only once its signature holds, so that nobody else can use up the room.
///
/// # Errors
/// Why the first of a known key does not count, if none does.
pub fn judge(
    message: &dyn Message,
    rules: &Rules,
    keys: &dyn Keys,
    now_ms: u64,
    replay: impl Fn(&str, &str, u64) -> Result<(), Refusal>,
) -> Result<String, Refusal> {
    let inputs = dictionary(message, "signature-input")?;
    let signatures = dictionary(message, "signature")?;
    if inputs.len() > MAX_SIGNATURES || signatures.len() > MAX_SIGNATURES {
        return Err(Refusal::TooMany);
    }
    if inputs.len() != signatures.len() || inputs.is_empty() {
        return Err(Refusal::Incomplete);
    }
    let mut refused = None;
    for (label, input) in &inputs {
        let ListEntry::InnerList(input) = input else { return Err(Refusal::Malformed) };
        let signature = match signatures.get(label) {
            Some(ListEntry::Item(item)) => match &item.bare_item {
                BareItem::ByteSequence(bytes) => bytes,
                _ => return Err(Refusal::Malformed),
            },
            Some(_) => return Err(Refusal::Malformed),
            None => return Err(Refusal::Incomplete),
        };
        let Some(keyid) = text(input, "keyid")?.filter(|id| id.len() <= MAX_NAME && keys.knows(id)) else { continue };
        match one(message, rules, keys, now_ms, &replay, input, signature, keyid) {
            Ok(()) => return Ok(keyid.to_owned()),
            Err(why) => refused = refused.or(Some(why)),
        }
    }
    Err(refused.unwrap_or(Refusal::UnknownKey))
}

#[expect(clippy::too_many_arguments, reason = "the parts of one signature and what it is judged with")]
fn one(
    message: &dyn Message,
    rules: &Rules,
    keys: &dyn Keys,
    now_ms: u64,
    replay: &impl Fn(&str, &str, u64) -> Result<(), Refusal>,
    input: &InnerList,
    signature: &[u8],
    keyid: &str,
) -> Result<(), Refusal> {
    if input.items.len() > MAX_COMPONENTS {
        return Err(Refusal::TooMany);
    }
    let until = fresh(input, rules, now_ms)?;
    let nonce = text(input, "nonce")?;
    if nonce.is_some_and(|nonce| nonce.len() > MAX_NAME) || (rules.nonce && nonce.is_none_or(str::is_empty)) {
        return Err(Refusal::Nonce);
    }
    let alg = text(input, "alg")?;
    if alg.is_some_and(|alg| !ALGORITHMS.contains(&alg)) {
        return Err(Refusal::Algorithm);
    }
    let base = base::make(message, input, &rules.components)?;
    keys.verify(keyid, alg, base.as_bytes(), signature)?;
    match nonce {
        Some(nonce) if rules.nonce => replay(keyid, nonce, until),
        _ => Ok(()),
    }
}

/// Judges `created` and `expires` (RFC 9421 §2.3); the time until which the signature would count, in milliseconds.
fn fresh(input: &InnerList, rules: &Rules, now_ms: u64) -> Result<u64, Refusal> {
    let time = |name| match input.params.get(name) {
        None => Ok(None),
        Some(BareItem::Integer(seconds)) => {
            let seconds = u64::try_from(i64::from(*seconds)).map_err(|_| Refusal::Stale)?;
            Ok(Some(seconds.saturating_mul(1_000)))
        }
        Some(_) => Err(Refusal::Malformed),
    };
    let created = time("created")?.ok_or(Refusal::Stale)?;
    let oldest = created.saturating_add(rules.max_age_ms);
    let until = time("expires")?.map_or(oldest, |expires| expires.min(oldest)).saturating_add(rules.skew_ms);
    if created > now_ms.saturating_add(rules.skew_ms) || now_ms > until {
        return Err(Refusal::Stale);
    }
    Ok(until)
}

fn text<'a>(input: &'a InnerList, name: &str) -> Result<Option<&'a str>, Refusal> {
    match input.params.get(name) {
        None => Ok(None),
        Some(BareItem::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(Refusal::Malformed),
    }
}

fn dictionary(message: &dyn Message, name: &str) -> Result<Dictionary, Refusal> {
    let joined = base::joined(message, name).ok_or(Refusal::Incomplete)?;
    Parser::new(&joined).parse().map_err(|_| Refusal::Malformed)
}
