//! Nonces that were there before, each for as long as its signature counts.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::Refusal;

/// Nonces that are kept.
const MAX_NONCES: usize = 100_000;

/// Nonces by key, kept until their signatures no longer count; some 5 MB at the most.
#[derive(Debug, Default)]
pub struct Replay {
    /// By the head of a SHA-256: what collides is refused, and to make one costs 2^64 signatures.
    seen: HashMap<[u8; 16], u64>,
}

impl Replay {
    /// Notes a nonce of a key, which counts until then.
    ///
    /// # Errors
    /// [`Refusal::Replayed`], or [`Refusal::Full`] where 100,000 others still count.
    pub fn note(&mut self, key: &str, nonce: &str, now_ms: u64, until_ms: u64) -> Result<(), Refusal> {
        let mut hash = Sha256::new();
        hash.update(u64::try_from(key.len()).unwrap_or(0).to_le_bytes());
        hash.update(key);
        hash.update(nonce);
        let mut name = [0; 16];
        name.copy_from_slice(&hash.finalize()[..16]);
        if self.seen.get(&name).is_some_and(|until| *until >= now_ms) {
            return Err(Refusal::Replayed);
        }
        if self.seen.len() >= MAX_NONCES {
            self.seen.retain(|_, until| *until >= now_ms);
            if self.seen.len() >= MAX_NONCES {
                return Err(Refusal::Full);
            }
        }
        self.seen.insert(name, until_ms);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_counts_once_and_the_room_is_bounded() {
        let mut replay = Replay::default();
        assert_eq!(replay.note("a", "1", 0, 10), Ok(()));
        assert_eq!(replay.note("a", "1", 10, 20), Err(Refusal::Replayed));
        assert_eq!(replay.note("b", "1", 0, 10), Ok(()), "another key's");
        assert_eq!(replay.note("a1", "", 0, 10), Ok(()), "no other split of the same letters");
        assert_eq!(replay.note("a", "1", 11, 20), Ok(()), "it no longer counted");
        for nonce in 3..MAX_NONCES {
            assert_eq!(replay.note("c", &nonce.to_string(), 11, 30), Ok(()));
        }
        assert_eq!(replay.seen.len(), MAX_NONCES);
        assert_eq!(replay.note("c", "more", 11, 30), Ok(()), "two were old");
        assert_eq!(replay.note("c", "another", 11, 30), Ok(()));
        assert_eq!(replay.note("c", "too many", 11, 30), Err(Refusal::Full));
        assert_eq!(replay.note("c", "later", 31, 40), Ok(()));
        assert_eq!(replay.seen.len(), 1);
    }
}
