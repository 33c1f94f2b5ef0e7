//! JSON Web Tokens (RFC 7519, RFC 8725): a signed token opened once, and judged by a policy at every use.

use std::sync::Arc;

use serde_json::Value;

use super::algorithm::{Algorithm, Algorithms};
use super::identity::Claims;
use super::jwk::{Chosen, KeySet};
use super::jws::{Header, MAX_TOKEN, header_text, split};
use super::{Refused, base64url};
use crate::json;

/// Longest difference of clocks that a policy may forgive.
pub const MAX_SKEW_MS: i64 = 60_000;

/// A token whose signature verified, its claims parsed. Whether it holds now and here, [`Rules::judge`] says.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// The algorithm of its signature.
    pub algorithm: Algorithm,
    /// `typ` of its header.
    pub typ: Option<Arc<str>>,
    /// Every claim.
    pub claims: Arc<Claims>,
    issuer: Option<Box<str>>,
    audience: Vec<Box<str>>,
    /// Milliseconds since 1970, as the next three.
    expires: Option<i64>,
    not_before: Option<i64>,
    issued: Option<i64>,
}

/// What a header said, so that tokens of one issuer need not have theirs read again and again. Only headers of tokens
/// that verified are kept.
#[derive(Debug, Default)]
pub struct HeaderMemo {
    entries: Vec<Seen>,
    next: usize,
}

#[derive(Debug, Clone)]
struct Seen {
    generation: u64,
    segment: Box<[u8]>,
    algorithm: Algorithm,
    chosen: Chosen,
    typ: Option<Arc<str>>,
}

impl HeaderMemo {
    const ENTRIES: usize = 8;

    fn find(&self, generation: u64, segment: &[u8]) -> Option<&Seen> {
        self.entries.iter().find(|seen| seen.generation == generation && *seen.segment == *segment)
    }

    fn keep(&mut self, seen: Seen) {
        match self.entries.get_mut(self.next) {
            Some(entry) => *entry = seen,
            None => self.entries.push(seen),
        }
        self.next = (self.next + 1) % Self::ENTRIES;
    }
}

impl Token {
    /// Verifies a token's signature, then reads its claims.
    ///
    /// # Errors
    /// [`Refused`]: the first thing that is wrong.
    pub fn open(token: &[u8], keys: &KeySet, accepted: Algorithms, memo: &mut HeaderMemo) -> Result<Self, Refused> {
        if token.len() > MAX_TOKEN {
            return Err(Refused::TooLong);
        }
        let segments = split(token)?;
        let known = memo.find(keys.generation(), segments.header);
        let new = if known.is_none() { Some(read_header(segments.header, keys)?) } else { None };
        let (algorithm, chosen) = match (known, &new) {
            (Some(seen), _) | (None, Some(seen)) => (seen.algorithm, seen.chosen),
            (None, None) => return Err(Refused::Header(None)),
        };
        if !accepted.contains(algorithm) {
            return Err(Refused::Unwanted);
        }
        let mut bytes = Vec::with_capacity(token.len());
        if !base64url::decode_into(segments.signature, &mut bytes) {
            return Err(Refused::Encoding("the signature"));
        }
        keys.verify(chosen, segments.signed, &bytes)?;
        bytes.clear();
        if !base64url::decode_into(segments.payload, &mut bytes) {
            return Err(Refused::Encoding("the payload"));
        }
        let Value::Object(claims) = json::build(&bytes).map_err(|invalid| Refused::Claims(Some(invalid)))? else {
            return Err(Refused::Claims(None));
        };
        let typ = match new {
            Some(seen) => {
                let typ = seen.typ.clone();
                memo.keep(seen);
                typ
            }
            None => memo.find(keys.generation(), segments.header).and_then(|seen| seen.typ.clone()),
        };
        Self::of(algorithm, typ, claims)
    }

    /// A token of these claims, the registered ones of the kinds they must have (RFC 7519 §4.1).
    fn of(algorithm: Algorithm, typ: Option<Arc<str>>, claims: Claims) -> Result<Self, Refused> {
        for name in ["sub", "jti"] {
            text(&claims, name)?;
        }
        Ok(Self {
            algorithm,
            typ,
            issuer: text(&claims, "iss")?.map(Box::from),
            audience: audience(&claims)?,
            expires: date(&claims, "exp")?,
            not_before: date(&claims, "nbf")?,
            issued: date(&claims, "iat")?,
            claims: Arc::new(claims),
        })
    }

    /// `sub`.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.claims.get("sub").and_then(Value::as_str)
    }

    /// `jti`.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.claims.get("jti").and_then(Value::as_str)
    }

    /// When it was issued, in milliseconds since 1970.
    #[must_use]
    pub fn issued_ms(&self) -> Option<i64> {
        self.issued
    }

    /// When it ends, in milliseconds since 1970.
    #[must_use]
    pub fn expires_ms(&self) -> Option<i64> {
        self.expires
    }
}

fn read_header(segment: &[u8], keys: &KeySet) -> Result<Seen, Refused> {
    let text = header_text(segment)?;
    let header = Header::parse(&text)?;
    if header.unencoded {
        return Err(Refused::Critical);
    }
    Ok(Seen {
        generation: keys.generation(),
        segment: segment.into(),
        algorithm: header.algorithm,
        chosen: keys.choose(header.algorithm, header.kid.as_deref())?,
        typ: header.typ.as_deref().map(Arc::from),
    })
}

/// The `kid` of a token that nobody has verified: what a key set may be fetched again for.
#[must_use]
pub fn claimed_kid(token: &[u8]) -> Option<String> {
    let text = header_text(split(token).ok()?.header).ok()?;
    Some(Header::parse(&text).ok()?.kid?.into_owned())
}

fn text<'a>(claims: &'a Claims, name: &'static str) -> Result<Option<&'a str>, Refused> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refused::Claim(name)),
    }
}

fn audience(claims: &Claims) -> Result<Vec<Box<str>>, Refused> {
    match claims.get("aud") {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one.as_str().into()]),
        Some(Value::Array(all)) => {
            all.iter().map(|one| one.as_str().map(Box::from).ok_or(Refused::Claim("aud"))).collect()
        }
        Some(_) => Err(Refused::Claim("aud")),
    }
}

/// Seconds since 1970 as a finite number that is not negative, a fraction allowed.
fn date(claims: &Claims, name: &'static str) -> Result<Option<i64>, Refused> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    match value.as_f64() {
        // What is some 300,000 years away need not be told apart.
        Some(seconds) if seconds >= 0.0 => Ok(Some((seconds.min(1e13) * 1000.0) as i64)),
        _ => Err(Refused::Claim(name)),
    }
}

/// What a policy asks of a token.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// `iss`; `None`: any.
    pub issuer: Option<Box<str>>,
    /// `aud` has one of them; `None`: any.
    pub audience: Option<Box<[Box<str>]>>,
    /// Algorithms accepted.
    pub algorithms: Algorithms,
    /// Values of `typ` accepted besides none, `JWT` and `at+jwt`.
    pub types: Box<[Box<str>]>,
    /// Difference of clocks that is forgiven, at most [`MAX_SKEW_MS`].
    pub skew_ms: i64,
    /// The oldest token accepted, by `iat`. Without it a token must have `exp`.
    pub max_age_ms: Option<i64>,
    /// Claims that must be there.
    pub required: Box<[Box<str>]>,
}

impl Rules {
    /// Whether a token is good for this policy at this time, by wall clock.
    ///
    /// # Errors
    /// [`Refused`]: the first thing that is wrong.
    pub fn judge(&self, token: &Token, now_ms: i64) -> Result<(), Refused> {
        if !self.algorithms.contains(token.algorithm) {
            return Err(Refused::Unwanted);
        }
        if token.typ.as_deref().is_some_and(|typ| !self.accepts_type(typ)) {
            return Err(Refused::Type);
        }
        if let Some(issuer) = &self.issuer {
            match token.issuer.as_deref() {
                None => return Err(Refused::Missing("iss".into())),
                Some(of) if *of != **issuer => return Err(Refused::Issuer),
                Some(_) => {}
            }
        }
        if let Some(audience) = &self.audience
            && !token.audience.iter().any(|of| audience.contains(of))
        {
            return Err(Refused::Audience);
        }
        self.judge_time(token, now_ms)?;
        match self.required.iter().find(|name| token.claims.get(&***name).is_none_or(Value::is_null)) {
            Some(missing) => Err(Refused::Missing(missing.clone())),
            None => Ok(()),
        }
    }

    fn judge_time(&self, token: &Token, now_ms: i64) -> Result<(), Refused> {
        match (token.expires, self.max_age_ms) {
            (None, None) => return Err(Refused::Missing("exp".into())),
            (Some(expires), _) if expires + self.skew_ms <= now_ms => return Err(Refused::Expired),
            _ => {}
        }
        if token.not_before.is_some_and(|not_before| not_before - self.skew_ms > now_ms) {
            return Err(Refused::NotYet);
        }
        if token.issued.is_some_and(|issued| issued - self.skew_ms > now_ms) {
            return Err(Refused::Future);
        }
        match (self.max_age_ms, token.issued) {
            (Some(_), None) => Err(Refused::Missing("iat".into())),
            (Some(age), Some(issued)) if issued + age + self.skew_ms < now_ms => Err(Refused::TooOld),
            _ => Ok(()),
        }
    }

    /// RFC 7515 §4.1.9: `application/` may be left out, and case does not count.
    fn accepts_type(&self, typ: &str) -> bool {
        let short = |typ: &str| match typ.split_at_checked(12) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") && !rest.contains('/') => {
                rest.to_owned()
            }
            _ => typ.to_owned(),
        };
        let fast = |typ: &str| typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("at+jwt");
        if fast(typ) {
            return true;
        }
        let typ = short(typ);
        fast(&typ) || self.types.iter().any(|accepted| short(accepted).eq_ignore_ascii_case(&typ))
    }
}
