//! Who is asking, and what they may: credentials in, an [`Identity`] out; clock and randomness are passed in.

mod algorithm;
pub mod api_key;
pub mod base64url;
mod cache;
pub mod claim_values;
mod consumers;
mod credentials;
mod digest;
pub mod discovery;
pub mod expression;
pub mod failures;
mod identity;
pub mod introspection;
mod jwk;
mod jws;
mod jws_general;
mod jwt;
pub mod key_file;
pub mod password;
mod pem;
pub mod refresh;
mod refused;
pub mod require;
mod revocation;
pub mod signature;
pub mod tenant;
#[cfg(test)]
mod tests;

pub use algorithm::{Algorithm, Algorithms};
pub use cache::{Bounds, Place, TokenCache};
pub use consumers::{Consumers, Known};
pub use credentials::{
    Authorization, MAX_BASIC, MAX_CREDENTIAL, Scheme, Shown, authorization, basic, cookie, header, query, without,
};
pub use digest::{Digest, KeyTable, MAX_KEY, Pepper, stored};
pub use identity::{Claims, Identity, claim};
pub use jwk::{Chosen, Key, KeySet, MAX_KEYS, MAX_SET};
pub use jws::{Header, MAX_HEADER, MAX_TOKEN, Segments, split};
pub use jws_general::{Demand, Signed, Verified, verify};
pub use jwt::{HeaderMemo, MAX_SKEW_MS, Rules, Token, claimed_kid};
pub use refused::Refused;
pub use revocation::{By, MAX_REVOKED, Revocations, Unkept};
