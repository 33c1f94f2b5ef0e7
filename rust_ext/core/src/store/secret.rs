//! The secret under which every process that shares a store hashes keys alike.

use sha2::{Digest, Sha256};

/// What [`crate::limit::Hasher`] is made with: from the store's password and prefix, which all of them have. Without a
/// password it is no secret, and only the length of a hash keeps values apart.
#[must_use]
pub fn secret(password: Option<&str>, prefix: &str) -> (u64, u64) {
    let mut digest = Sha256::new();
    digest.update(b"fastgate keys of shared limits\0");
    for part in [password.unwrap_or_default(), prefix] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    let words = digest.finalize();
    let word = |at: usize| words[at..at + 8].iter().fold(0, |word: u64, byte| word << 8 | u64::from(*byte));
    (word(0), word(8))
}
