//! The content of every body: a pattern known to both ends, so that each byte of an answer can be checked.

const PERIOD: usize = 32;
const TEXT: &[u8; PERIOD] = b"abcdefghijklmnopqrstuvwxyz012345";
const BLOCK: usize = 64 * 1024;

/// The pattern, long enough to compare a read at a time.
static PATTERN: [u8; BLOCK + PERIOD] = {
    let mut bytes = [0; BLOCK + PERIOD];
    let mut i = 0;
    while i < bytes.len() {
        bytes[i] = TEXT[i % PERIOD];
        i += 1;
    }
    bytes
};

/// Appends `len` bytes of the pattern from its start.
pub fn fill(out: &mut Vec<u8>, len: usize) {
    let end = out.len() + len;
    out.reserve(len);
    while out.len() < end {
        let take = (end - out.len()).min(BLOCK);
        out.extend_from_slice(&PATTERN[..take]);
    }
}

/// Whether `bytes` are the pattern from `offset` on.
#[must_use]
pub fn holds(bytes: &[u8], offset: u64) -> bool {
    let start = usize::try_from(offset % PERIOD as u64).unwrap_or(0);
    bytes.chunks(BLOCK).all(|piece| piece == &PATTERN[start..start + piece.len()])
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, fill, holds};

    #[test]
    fn what_is_filled_holds_in_every_cut_and_nothing_else_does() {
        let mut body = Vec::new();
        fill(&mut body, 3 * BLOCK + 7);
        for cut in [0, 1, 31, 32, 33, BLOCK - 1, BLOCK, BLOCK + 1, body.len()] {
            assert!(holds(&body[..cut], 0) && holds(&body[cut..], cut as u64), "{cut}");
        }
        assert!(!holds(&body[1..], 0));
        body[2 * BLOCK] ^= 1;
        assert!(!holds(&body, 0));
    }
}
