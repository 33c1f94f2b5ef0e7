//! Keys that verify: JWK sets (RFC 7517), single JWKs and PEM, parsed once. The algorithm comes from the key.

use aws_lc_rs::rsa::{PublicEncryptingKey, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, VerificationAlgorithm,
};
use aws_lc_rs::{hmac, signature};
use serde_json::Value;

use super::algorithm::{Algorithm, Algorithms};
use super::identity::Claims;
use super::{Refused, base64url, pem};
use crate::json;

/// Most keys of a set.
pub const MAX_KEYS: usize = 64;

/// Most bytes of a set's text.
pub const MAX_SET: usize = 256 * 1024;

/// Longest secret, in bytes.
const MAX_SECRET: usize = 4096;

/// A key ready for one algorithm.
#[derive(Debug)]
enum Verifier {
    Public(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

/// A key, with the algorithms it is for.
#[derive(Debug)]
pub struct Key {
    kid: Option<Box<str>>,
    verifiers: Vec<(Algorithm, Verifier)>,
}

/// A key of a set and one of its algorithms, for [`KeySet::verify`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    key: u8,
    verifier: u8,
}

/// Keys, parsed.
#[derive(Debug)]
pub struct KeySet {
    generation: u64,
    keys: Vec<Key>,
    skipped: Vec<String>,
}

impl KeySet {
    /// Reads a JWK set, one JWK, or PEM public keys. `generation` is to be another for each set that is made.
    ///
    /// A key of a set that cannot verify a signature is left out (RFC 7517 §5) and named in [`skipped`](Self::skipped);
    /// `secrets`: whether there may be symmetric keys, as in no set that is published.
    ///
    /// # Errors
    /// A sentence: the text cannot be read, has more than [`MAX_KEYS`] keys, or no key that can be used.
    pub fn parse(text: &[u8], generation: u64, secrets: bool) -> Result<Self, String> {
        if text.len() > MAX_SET {
            return Err(format!("a key set has at most {} KiB", MAX_SET / 1024));
        }
        let mut set = Self { generation, keys: Vec::new(), skipped: Vec::new() };
        if text.trim_ascii_start().starts_with(b"{") {
            set.jwks(text, secrets)?;
        } else {
            let text = std::str::from_utf8(text).map_err(|_| "neither PEM nor JSON")?;
            for (label, der) in pem::blocks(text)? {
                set.keys.push(Key { kid: None, verifiers: public_key(label, &der)? });
            }
            if set.keys.is_empty() {
                return Err("neither a PEM public key nor a JWK nor a JWK set".to_owned());
            }
        }
        if set.keys.len() + set.skipped.len() > MAX_KEYS {
            return Err(format!("a key set has at most {MAX_KEYS} keys"));
        }
        if set.keys.is_empty() {
            let why = if set.skipped.is_empty() { "it is empty".to_owned() } else { set.skipped.join("; ") };
            return Err(format!("no key that can be used: {why}"));
        }
        Ok(set)
    }

    /// The set of one secret, for the HMAC algorithms that it is long enough for.
    ///
    /// # Errors
    /// A sentence: the secret is shorter than 256 bits or longer than 4 KiB.
    pub fn secret(secret: &[u8], generation: u64) -> Result<Self, String> {
        let keys = vec![Key { kid: None, verifiers: secret_key(secret, None)? }];
        Ok(Self { generation, keys, skipped: Vec::new() })
    }

    /// All keys of some sets.
    ///
    /// # Errors
    /// A sentence: together they have none, or more than [`MAX_KEYS`].
    pub fn merged(sets: impl IntoIterator<Item = Self>, generation: u64) -> Result<Self, String> {
        let mut all = Self { generation, keys: Vec::new(), skipped: Vec::new() };
        for set in sets {
            all.keys.extend(set.keys);
            all.skipped.extend(set.skipped);
        }
        match all.keys.len() {
            0 => Err("there is no key".to_owned()),
            1..=MAX_KEYS => Ok(all),
            _ => Err(format!("a key set has at most {MAX_KEYS} keys")),
        }
    }

    fn jwks(&mut self, text: &[u8], secrets: bool) -> Result<(), String> {
        let Value::Object(top) = json::build(text).map_err(|invalid| format!("no strict JSON: {invalid}"))? else {
            return Err("a key set is a JSON object".to_owned());
        };
        let Some(keys) = top.get("keys") else {
            self.keys.push(jwk(&top, secrets)?);
            return Ok(());
        };
        let keys = keys.as_array().ok_or("keys is no list")?;
        if keys.len() > MAX_KEYS {
            return Err(format!("a key set has at most {MAX_KEYS} keys"));
        }
        for (at, key) in keys.iter().enumerate() {
            match key.as_object().ok_or_else(|| "it is no object".to_owned()).and_then(|key| jwk(key, secrets)) {
                Ok(key) => self.keys.push(key),
                Err(why) => self.skipped.push(format!("key {at}: {why}")),
            }
        }
        Ok(())
    }

    /// A number that no other set has.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Never: a set has a key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Keys that were left out, and why.
    #[must_use]
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// Whether some key has that `kid`.
    #[must_use]
    pub fn has(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// Every algorithm of every key.
    #[must_use]
    pub fn algorithms(&self) -> Algorithms {
        self.keys.iter().flat_map(|key| key.verifiers.iter().map(|(algorithm, _)| *algorithm)).collect()
    }

    /// The one key for a token: of its `kid`, else without one; it must be for the algorithm, and the only such.
    ///
    /// # Errors
    /// [`Refused::UnknownKey`], [`Refused::KeyAlgorithm`] or [`Refused::Ambiguous`].
    pub fn choose(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<Chosen, Refused> {
        // A key without a name may have signed a token that names one; a key with another name has not.
        let wanted = match kid {
            Some(kid) if self.has(kid) => Some(Some(kid)),
            Some(_) => Some(None),
            None => None,
        };
        let mut found = Err(Refused::UnknownKey);
        for (at, key) in self.keys.iter().enumerate() {
            if wanted.is_some_and(|wanted| key.kid.as_deref() != wanted) {
                continue;
            }
            match key.verifiers.iter().position(|(of, _)| *of == algorithm) {
                Some(_) if found.is_ok() => return Err(Refused::Ambiguous),
                Some(verifier) => found = Ok(Chosen { key: at as u8, verifier: verifier as u8 }),
                None if found.is_err() => found = Err(Refused::KeyAlgorithm),
                None => {}
            }
        }
        found
    }

    /// Verifies a signature.
    ///
    /// # Errors
    /// [`Refused::Signature`].
    pub fn verify(&self, chosen: Chosen, signed: &[u8], signature: &[u8]) -> Result<(), Refused> {
        let verifiers = self.keys.get(usize::from(chosen.key)).map(|key| key.verifiers.as_slice()).unwrap_or_default();
        let verified = match verifiers.get(usize::from(chosen.verifier)) {
            Some((_, Verifier::Public(key))) => key.verify_sig(signed, signature).is_ok(),
            Some((_, Verifier::Secret(key))) => hmac::verify(key, signed, signature).is_ok(),
            None => false,
        };
        if verified { Ok(()) } else { Err(Refused::Signature) }
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn hmac_algorithm(algorithm: Algorithm) -> Option<(hmac::Algorithm, usize)> {
    Some(match algorithm {
        Algorithm::Hs256 => (hmac::HMAC_SHA256, 32),
        Algorithm::Hs384 => (hmac::HMAC_SHA384, 48),
        Algorithm::Hs512 => (hmac::HMAC_SHA512, 64),
        _ => return None,
    })
}

const CURVES: [(&str, Algorithm, usize, &dyn VerificationAlgorithm); 3] = [
    ("P-256", Algorithm::Es256, 32, &ECDSA_P256_SHA256_FIXED),
    ("P-384", Algorithm::Es384, 48, &ECDSA_P384_SHA384_FIXED),
    ("P-521", Algorithm::Es512, 66, &ECDSA_P521_SHA512_FIXED),
];

/// A text member of a JWK.
fn text<'a>(key: &'a Claims, name: &str) -> Result<Option<&'a str>, String> {
    match key.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{name} is no text")),
    }
}

fn bytes(key: &Claims, name: &str) -> Result<Vec<u8>, String> {
    let text = text(key, name)?.ok_or_else(|| format!("{name} is missing"))?;
    base64url::decode(text.as_bytes()).ok_or_else(|| format!("{name} is not base64url without padding"))
}

/// One JWK that verifies signatures (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2). Private members are not looked at.
fn jwk(key: &Claims, secrets: bool) -> Result<Key, String> {
    let kid = text(key, "kid")?.map(Box::from);
    if text(key, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err("its use is not sig".to_owned());
    }
    if let Some(operations) = key.get("key_ops") {
        let operations = operations.as_array().ok_or("key_ops is no list")?;
        // A private JWK says `sign`; its public half is what verifies.
        if !operations.iter().any(|operation| operation == "verify" || operation == "sign") {
            return Err("its key_ops have no verify".to_owned());
        }
    }
    let only = match text(key, "alg")? {
        None => None,
        Some(name) => Some(Algorithm::named(name).ok_or_else(|| format!("its alg {name:?} is not known"))?),
    };
    let verifiers = match text(key, "kty")?.ok_or("kty is missing")? {
        "RSA" => rsa_jwk(key)?,
        "EC" => ec_jwk(key)?,
        "OKP" => okp_jwk(key)?,
        "oct" if !secrets => return Err("a secret is never part of a published key set".to_owned()),
        "oct" => secret_key(&bytes(key, "k")?, only)?,
        other => return Err(format!("its kty {other:?} is not known")),
    };
    let verifiers: Vec<_> =
        verifiers.into_iter().filter(|(algorithm, _)| only.is_none_or(|only| only == *algorithm)).collect();
    match only {
        Some(only) if verifiers.is_empty() => Err(format!("its alg {only} does not fit its kty or crv")),
        _ => Ok(Key { kid, verifiers }),
    }
}

type Verifiers = Vec<(Algorithm, Verifier)>;

fn rsa_jwk(key: &Claims) -> Result<Verifiers, String> {
    let (n, e) = (bytes(key, "n")?, bytes(key, "e")?);
    for (name, number) in [("n", &n), ("e", &e)] {
        if number.first().is_none_or(|byte| *byte == 0) {
            return Err(format!("{name} begins with a zero, or is empty"));
        }
    }
    let exponent = e.iter().try_fold(0_u64, |all, byte| Some(all.checked_mul(256)? | u64::from(*byte)));
    rsa_size(n.len() * 8 - n[0].leading_zeros() as usize)?;
    if n[n.len() - 1] % 2 == 0 || !exponent.is_some_and(|e| e % 2 == 1 && (3..1 << 33).contains(&e)) {
        return Err("it is no RSA key: n and e are odd, e is from 3 to 33 bits".to_owned());
    }
    let components = PublicKeyComponents { n, e };
    rsa(|parameters| components.to_parsed_public_key(parameters).ok())
}

fn rsa_size(bits: usize) -> Result<(), String> {
    match bits {
        2048..=8192 => Ok(()),
        _ => Err(format!("an RSA key of {bits} bits: 2048 to 8192 are accepted")),
    }
}

fn rsa(parsed: impl Fn(&'static RsaParameters) -> Option<ParsedPublicKey>) -> Result<Verifiers, String> {
    let all = Algorithm::RSA.iter().filter_map(|algorithm| {
        Some(parsed(rsa_parameters(*algorithm)?).map(|key| (*algorithm, Verifier::Public(key))))
    });
    all.collect::<Option<_>>().ok_or_else(|| "it is no RSA key".to_owned())
}

fn ec_jwk(key: &Claims) -> Result<Verifiers, String> {
    let name = text(key, "crv")?.ok_or("crv is missing")?;
    let curve = CURVES.iter().find(|(known, ..)| *known == name);
    let (_, algorithm, size, parameters) = curve.ok_or_else(|| format!("its crv {name:?} is not known"))?;
    let mut point = vec![4];
    for coordinate in ["x", "y"] {
        let value = bytes(key, coordinate)?;
        if value.len() != *size {
            return Err(format!("{coordinate} has {} bytes, on {name} it has {size}", value.len()));
        }
        point.extend_from_slice(&value);
    }
    let parsed = ParsedPublicKey::new(*parameters, point).map_err(|_| format!("it is no point on {name}"))?;
    Ok(vec![(*algorithm, Verifier::Public(parsed))])
}

fn okp_jwk(key: &Claims) -> Result<Verifiers, String> {
    match text(key, "crv")?.ok_or("crv is missing")? {
        "Ed25519" => {}
        other => return Err(format!("its crv {other:?} is not known")),
    }
    let x = bytes(key, "x")?;
    if x.len() != signature::ED25519_PUBLIC_KEY_LEN {
        return Err(format!("x has {} bytes, on Ed25519 it has 32", x.len()));
    }
    let parsed = ParsedPublicKey::new(&ED25519, x).map_err(|_| "it is no Ed25519 key")?;
    Ok(vec![(Algorithm::EdDsa, Verifier::Public(parsed))])
}

/// A secret, for `only` or for all that it is long enough for (RFC 7518 §3.2).
fn secret_key(secret: &[u8], only: Option<Algorithm>) -> Result<Verifiers, String> {
    if secret.len() > MAX_SECRET {
        return Err(format!("a secret has at most {MAX_SECRET} bytes"));
    }
    let verifiers: Verifiers = Algorithm::HMAC
        .into_iter()
        .filter_map(|algorithm| {
            let (of, least) = hmac_algorithm(algorithm)?;
            (secret.len() >= least).then(|| (algorithm, Verifier::Secret(Box::new(hmac::Key::new(of, secret)))))
        })
        .collect();
    let bits = secret.len() * 8;
    match only.filter(|algorithm| algorithm.is_symmetric()) {
        _ if verifiers.is_empty() => Err(format!("a secret of {bits} bits: at least 256 are needed")),
        Some(only) if !verifiers.iter().any(|(of, _)| *of == only) => {
            Err(format!("a secret of {bits} bits is too short for {only}"))
        }
        _ => Ok(verifiers),
    }
}

/// A public key of a PEM block.
fn public_key(label: &str, der: &[u8]) -> Result<Verifiers, String> {
    match label {
        "PUBLIC KEY" => {
            for (_, algorithm, _, parameters) in CURVES {
                if let Ok(parsed) = ParsedPublicKey::new(parameters, der) {
                    return Ok(vec![(algorithm, Verifier::Public(parsed))]);
                }
            }
            if der.len() != signature::ED25519_PUBLIC_KEY_LEN
                && let Ok(parsed) = ParsedPublicKey::new(&ED25519, der)
            {
                return Ok(vec![(Algorithm::EdDsa, Verifier::Public(parsed))]);
            }
            let key = PublicEncryptingKey::from_der(der)
                .map_err(|_| "a public key that is none of RSA (2048 bits or more), P-256, P-384, P-521 and Ed25519")?;
            rsa_size(key.key_size_bits())?;
            rsa(|parameters| ParsedPublicKey::new(parameters, der).ok())
        }
        "RSA PUBLIC KEY" => {
            let bits = RsaParameters::public_modulus_len(der).map_err(|_| "it is no RSA key")?;
            rsa_size(bits as usize)?;
            rsa(|parameters| ParsedPublicKey::new(parameters, der).ok())
        }
        label if label.ends_with("PRIVATE KEY") => Err("it is a private key: only the public one is needed".to_owned()),
        label => Err(format!("a PEM block {label}: PUBLIC KEY and RSA PUBLIC KEY are accepted")),
    }
}
