//! Publishers' keys: known by their digests, like those of consumers.

use crate::auth::{Authorization, KeyTable, Scheme, Shown, authorization, header};
use crate::snapshot::policies::KeyDigest;
use crate::snapshot::{Invalid, PublishKey};

/// Who may publish.
#[derive(Debug, Default)]
pub struct Keys(KeyTable<String>);

impl Keys {
    /// Reads the digests.
    ///
    /// # Errors
    /// One finding for each that is no SHA-256 in lower-case hexadecimal, or there twice.
    pub fn new(keys: &[PublishKey]) -> Result<Self, Vec<Invalid>> {
        let mut invalid = Vec::new();
        let mut read = KeyTable::default();
        for (i, key) in keys.iter().enumerate() {
            if let Err(message) = read.insert(&KeyDigest::Sha256(key.sha256.clone()), &[], key.name.clone()) {
                invalid.push(Invalid::new(format!("realtime.keys.{i}.sha256"), format!("key {}: {message}", key.name)));
            }
        }
        if invalid.is_empty() { Ok(Self(read)) } else { Err(invalid) }
    }

    /// Whether nobody may publish.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of the key that was presented.
    #[must_use]
    pub fn find(&self, presented: &[u8]) -> Option<&str> {
        self.0.find(presented).map(String::as_str)
    }
}

/// The key that a request presents: `X-API-Key: KEY`, or `Authorization: apikey KEY`. One that presents more than one,
/// or the same one twice, presents none: readers would differ on which holds.
#[must_use]
pub fn credential<'a>(
    api_key: impl Iterator<Item = &'a [u8]>,
    lines: impl Iterator<Item = &'a [u8]>,
) -> Option<&'a [u8]> {
    match (header(api_key), authorization(lines)) {
        (Shown::One(key), Shown::Nothing) => Some(key),
        (Shown::Nothing, Shown::One(Authorization { scheme: Scheme::ApiKey, credential })) => credential,
        _ => None,
    }
}
