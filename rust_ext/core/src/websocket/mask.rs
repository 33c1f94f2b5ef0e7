//! Masking: XOR with four bytes, over and over (RFC 6455 §5.3).

/// Masks bytes, or takes the mask off again; the first byte meets the key's first.
#[inline]
pub fn apply_mask(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(wide.to_ne_bytes()) {
        *byte ^= key;
    }
}

/// The key for bytes that come after `count` others.
#[inline]
pub(super) fn rotated(mut key: [u8; 4], count: usize) -> [u8; 4] {
    key.rotate_left(count & 3);
    key
}
