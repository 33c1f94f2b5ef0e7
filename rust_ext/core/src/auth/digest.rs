//! What is stored of keys, and the table in which they are found: by digest, so that no comparison sees a key.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::hint::black_box;
use std::sync::Arc;
use std::{fmt, iter};

use sha2::{Digest as _, Sha256};

use crate::snapshot::policies::KeyDigest;

/// Longest key that is looked at, in bytes.
pub const MAX_KEY: usize = 1_024;

/// SHA-256, or HMAC-SHA-256, of a key; compared without a branch on what it holds.
#[derive(Clone, Copy, Debug)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// From 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut out = [0; 32];
        for (slot, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
            *slot = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(out))
    }

    /// As 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        self.0
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
            .collect()
    }

    fn words(&self) -> impl Iterator<Item = u64> {
        self.0.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word))
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        black_box(self.words().zip(other.words()).fold(0, |difference, (a, b)| difference | (a ^ b))) == 0
    }
}

impl Eq for Digest {}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.words().next().unwrap_or(0));
    }
}

/// A digest is spread evenly already.
#[derive(Default)]
struct First(u64);

impl Hasher for First {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
}

/// A secret under which digests are made (HMAC-SHA-256, RFC 2104); it is never shown.
pub struct Pepper {
    name: Box<str>,
    // The states behind the two pads: a key costs two rounds less.
    inner: Sha256,
    outer: Sha256,
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pepper").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Pepper {
    /// One of that name.
    #[must_use]
    pub fn new(name: &str, secret: &[u8]) -> Self {
        let mut block = [0; 64];
        if secret.len() > block.len() {
            block[..32].copy_from_slice(&Digest::of(secret).0);
        } else {
            block[..secret.len()].copy_from_slice(secret);
        }
        let pad = |with: u8| Sha256::new().chain_update(block.map(|byte| byte ^ with));
        Self { name: name.into(), inner: pad(0x36), outer: pad(0x5c) }
    }

    /// Its name in the config.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The digest of a key under it.
    #[must_use]
    pub fn digest(&self, key: &[u8]) -> Digest {
        let inner = self.inner.clone().chain_update(key).finalize();
        Digest(self.outer.clone().chain_update(inner).finalize().into())
    }
}

type Map<T> = HashMap<Digest, T, BuildHasherDefault<First>>;

/// Keys and what each stands for.
#[derive(Debug)]
pub struct KeyTable<T> {
    plain: Map<T>,
    peppered: Vec<(Arc<Pepper>, Map<T>)>,
}

impl<T> Default for KeyTable<T> {
    fn default() -> Self {
        Self { plain: Map::default(), peppered: Vec::new() }
    }
}

impl<T> KeyTable<T> {
    /// Puts a key in.
    ///
    /// # Errors
    /// A sentence: the digest is none, its pepper is not there, or the key is in the table already.
    pub fn insert(&mut self, stored: &KeyDigest, peppers: &[Arc<Pepper>], value: T) -> Result<(), String> {
        let (map, digits) = match stored {
            KeyDigest::Sha256(digits) => (&mut self.plain, digits),
            KeyDigest::HmacSha256 { pepper, digest } => {
                let known = peppers.iter().find(|one| *one.name == **pepper);
                let known = known.ok_or_else(|| {
                    let names: Vec<&str> = peppers.iter().map(|one| one.name()).collect();
                    let names =
                        if names.is_empty() { "none: key_pepper is empty".to_owned() } else { names.join(", ") };
                    format!("there is no pepper {pepper:?}; allowed: {names}")
                })?;
                let at = self.peppered.iter().position(|(one, _)| one.name() == pepper).unwrap_or_else(|| {
                    self.peppered.push((known.clone(), Map::default()));
                    self.peppered.len() - 1
                });
                (&mut self.peppered[at].1, digest)
            }
        };
        let digest = Digest::from_hex(digits).ok_or("a digest has 64 digits of 0-9 and a-f")?;
        match map.entry(digest) {
            Entry::Occupied(_) => Err("this key is there twice; allowed: one entry a key".to_owned()),
            Entry::Vacant(place) => {
                place.insert(value);
                Ok(())
            }
        }
    }

    /// What a presented key stands for. How long it takes says nothing of a digest that is stored.
    #[must_use]
    pub fn find(&self, presented: &[u8]) -> Option<&T> {
        if presented.is_empty() || presented.len() > MAX_KEY {
            return None;
        }
        let plain = iter::once(&self.plain).filter(|map| !map.is_empty());
        let plain = plain.map(|map| map.get(&Digest::of(presented)));
        let peppered = self.peppered.iter().map(|(pepper, map)| map.get(&pepper.digest(presented)));
        plain.chain(peppered).find_map(|found| found)
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.plain.len() + self.peppered.iter().map(|(_, map)| map.len()).sum::<usize>()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What all keys stand for.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.plain.values().chain(self.peppered.iter().flat_map(|(_, map)| map.values()))
    }
}

/// What is stored of a key, as people write it: `sha256:DIGITS` or `hmac-sha256:PEPPER:DIGITS`.
///
/// # Errors
/// A sentence that shows nothing of the text: it may be the key itself.
pub fn stored(text: &str) -> Result<KeyDigest, &'static str> {
    const ALLOWED: &str = "allowed: sha256: or hmac-sha256:PEPPER: and 64 digits of 0-9 and a-f";
    let good = |digits: &str| Digest::from_hex(digits).is_some();
    match text.split_once(':') {
        Some(("sha256", digits)) if good(digits) => Ok(KeyDigest::Sha256(digits.to_owned())),
        Some(("hmac-sha256", rest)) => match rest.split_once(':') {
            Some((pepper, digits)) if good(digits) && !pepper.is_empty() => {
                Ok(KeyDigest::HmacSha256 { pepper: pepper.to_owned(), digest: digits.to_owned() })
            }
            _ => Err(ALLOWED),
        },
        _ => Err(ALLOWED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(key: &str) -> KeyDigest {
        KeyDigest::Sha256(Digest::of(key.as_bytes()).to_hex())
    }

    fn peppered(pepper: &Pepper, key: &str) -> KeyDigest {
        KeyDigest::HmacSha256 { pepper: pepper.name().to_owned(), digest: pepper.digest(key.as_bytes()).to_hex() }
    }

    #[test]
    fn the_vectors_of_rfc_4231() {
        let digest = |key: &[u8], data: &[u8]| Pepper::new("p", key).digest(data).to_hex();
        assert_eq!(
            digest(&[0x0b; 20], b"Hi There"),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert_eq!(
            digest(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            digest(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn keys_are_found_by_their_digests() {
        let peppers = [Arc::new(Pepper::new("old", b"first")), Arc::new(Pepper::new("new", b"second"))];
        let mut table = KeyTable::default();
        for (stored, value) in
            [(plain("a"), 1), (plain("b"), 2), (peppered(&peppers[0], "c"), 3), (peppered(&peppers[1], "d"), 4)]
        {
            table.insert(&stored, &peppers, value).unwrap();
        }
        assert_eq!(table.len(), 4);
        for (key, value) in [("a", Some(1)), ("b", Some(2)), ("c", Some(3)), ("d", Some(4)), ("e", None), ("", None)] {
            assert_eq!(table.find(key.as_bytes()).copied(), value, "{key}");
        }
        assert_eq!(table.find(&[b'a'; MAX_KEY + 1]), None);
        let mut values: Vec<i32> = table.values().copied().collect();
        values.sort_unstable();
        assert_eq!(values, [1, 2, 3, 4]);
        assert!(table.insert(&plain("a"), &peppers, 5).unwrap_err().contains("twice"));
        let unknown = KeyDigest::HmacSha256 { pepper: "p9".to_owned(), digest: "0".repeat(64) };
        let said = table.insert(&unknown, &peppers, 5).unwrap_err();
        assert!(said.contains("p9") && said.contains("old, new"), "{said}");
    }

    #[test]
    fn digests_differ_in_any_bit() {
        let digest = Digest::of(b"a");
        for bit in 0..256 {
            let mut other = digest;
            other.0[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(digest, other);
        }
        assert_eq!(digest, Digest::of(b"a"));
    }

    #[test]
    fn what_is_stored_is_read_strictly() {
        let digits = "0123456789abcdef".repeat(4);
        assert_eq!(stored(&format!("sha256:{digits}")), Ok(KeyDigest::Sha256(digits.clone())));
        let under = KeyDigest::HmacSha256 { pepper: "p1".to_owned(), digest: digits.clone() };
        assert_eq!(stored(&format!("hmac-sha256:p1:{digits}")), Ok(under));
        for bad in [
            "",
            &digits,
            &format!("sha256:{}", digits.to_uppercase()),
            &format!("sha512:{digits}"),
            "fg_ak_secret",
            &format!("hmac-sha256:{digits}"),
            &format!("hmac-sha256::{digits}"),
            &format!("sha256:{digits}0"),
        ] {
            let said = stored(bad).unwrap_err();
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn a_pepper_is_never_shown() {
        assert!(!format!("{:?}", Pepper::new("p", b"canary")).contains("canary"));
    }
}
