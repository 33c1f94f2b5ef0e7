//! Publishers' keys: known by their digests, compared in constant time.

use std::hint::black_box;

use sha2::{Digest, Sha256};

use crate::snapshot::{Invalid, PublishKey};

/// Longest key that is looked at, in bytes.
const MAX_KEY: usize = 1024;

/// Who may publish.
#[derive(Debug, Default)]
pub struct Keys(Vec<(String, [u8; 32])>);

impl Keys {
    /// Reads the digests.
    ///
    /// # Errors
    /// One finding for each that is no SHA-256 in lower-case hexadecimal.
    pub fn new(keys: &[PublishKey]) -> Result<Self, Vec<Invalid>> {
        let mut invalid = Vec::new();
        let mut read = Vec::with_capacity(keys.len());
        for (i, key) in keys.iter().enumerate() {
            match digest(&key.sha256) {
                Some(digest) => read.push((key.name.clone(), digest)),
                None => invalid.push(Invalid::new(
                    format!("realtime.keys.{i}.sha256"),
                    format!("key {}: a SHA-256 has 64 digits of 0-9 and a-f", key.name),
                )),
            }
        }
        if invalid.is_empty() { Ok(Self(read)) } else { Err(invalid) }
    }

    /// Whether nobody may publish.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of the key that was presented. It takes as long for a wrong one as for a right one.
    #[must_use]
    pub fn find(&self, presented: &[u8]) -> Option<&str> {
        if presented.is_empty() || presented.len() > MAX_KEY {
            return None;
        }
        let digest: [u8; 32] = Sha256::digest(presented).into();
        self.0.iter().fold(None, |found, (name, known)| if same(&digest, known) { Some(name.as_str()) } else { found })
    }
}

/// Compares without a branch on the content.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    black_box(a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b))) == 0
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if digits.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    for (slot, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *slot = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

/// The key that a request presents: `X-API-Key: KEY`, or `Authorization: apikey KEY`. One that presents more than one,
/// or the same one twice, presents none: readers would differ on which holds.
#[must_use]
pub fn credential<'a>(
    mut api_key: impl Iterator<Item = &'a [u8]>,
    mut authorization: impl Iterator<Item = &'a [u8]>,
) -> Option<&'a [u8]> {
    match (api_key.next(), authorization.next()) {
        (Some(key), None) if api_key.next().is_none() => Some(key),
        (None, Some(value)) if authorization.next().is_none() => {
            let (scheme, key) = value.split_at_checked(7)?;
            scheme.eq_ignore_ascii_case(b"apikey ").then(|| key.trim_ascii())
        }
        _ => None,
    }
}
