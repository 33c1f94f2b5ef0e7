//! Tests of tokens, by the classes of the security design (J1 to J7), with keys made here.

mod cache;
mod keys;
mod policy;
mod signatures;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};

use super::*;

pub(super) const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";
pub(super) const NOW: i64 = 1_800_000_000_000;

pub(super) fn b64(bytes: impl AsRef<[u8]>) -> String {
    let mut out = Vec::new();
    base64url::encode_into(bytes.as_ref(), &mut out);
    String::from_utf8(out).unwrap()
}

/// A compact JWS signed with the secret.
pub(super) fn hs256(header: &str, payload: impl AsRef<[u8]>) -> String {
    hs256_by(SECRET, header, payload)
}

pub(super) fn hs256_by(secret: &[u8], header: &str, payload: impl AsRef<[u8]>) -> String {
    let signed = format!("{}.{}", b64(header), b64(payload));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", b64(tag))
}

pub(super) fn secret_set() -> KeySet {
    KeySet::secret(SECRET, 1).unwrap()
}

pub(super) fn ed25519() -> (Ed25519KeyPair, String) {
    let pair = Ed25519KeyPair::from_seed_unchecked(SECRET).unwrap();
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, b64(pair.public_key()));
    (pair, jwk)
}

pub(super) fn es256() -> (EcdsaKeyPair, String) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref().to_vec();
    let (x, y) = (b64(&point[1..33]), b64(&point[33..]));
    (pair, format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#))
}

pub(super) fn sign_es256(pair: &EcdsaKeyPair, header: &str, payload: &str) -> String {
    let signed = format!("{}.{}", b64(header), b64(payload));
    let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", b64(signature))
}

pub(super) fn sign_ed25519(pair: &Ed25519KeyPair, header: &str, payload: &str) -> String {
    let signed = format!("{}.{}", b64(header), b64(payload));
    format!("{signed}.{}", b64(pair.sign(signed.as_bytes())))
}

pub(super) fn open(token: &str, keys: &KeySet) -> Result<Token, Refused> {
    Token::open(token.as_bytes(), keys, Algorithms::ALL, &mut HeaderMemo::default())
}

pub(super) fn name<T>(result: Result<T, Refused>) -> &'static str {
    result.map_or_else(|why| why.name(), |_| "taken")
}
