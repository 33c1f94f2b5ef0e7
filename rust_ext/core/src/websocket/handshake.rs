//! The opening handshake (RFC 6455 §4): the key and the accept value.

/// What a server appends to the key before hashing (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Whether it is the base64 of exactly 16 bytes, canonically encoded.
pub(crate) fn is_key(key: &[u8]) -> bool {
    let [body @ .., last, b'=', b'='] = key else { return false };
    body.len() == 21
        && body.iter().all(|&b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
        && matches!(last, b'A' | b'Q' | b'g' | b'w')
}

/// The value of `Sec-WebSocket-Accept` for a key (RFC 6455 §4.2.2).
pub fn websocket_accept(key: &[u8]) -> [u8; 28] {
    let mut message = Vec::with_capacity(key.len().wrapping_add(GUID.len()));
    message.extend_from_slice(key);
    message.extend_from_slice(GUID);
    base64(sha1(&message))
}

fn base64(digest: [u8; 20]) -> [u8; 28] {
    let mut out = [b'='; 28];
    for (group, slots) in digest.chunks(3).zip(out.chunks_exact_mut(4)) {
        let bits = group.iter().fold(0_u32, |v, &b| v << 8 | u32::from(b)) << (8 * (3 - group.len()));
        for (i, slot) in slots.iter_mut().enumerate().take(group.len() + 1) {
            *slot = ALPHABET[(bits >> (18 - 6 * i)) as usize & 63];
        }
    }
    out
}

/// SHA-1 (RFC 3174); here only to name a protocol, not for security.
pub(crate) fn sha1(message: &[u8]) -> [u8; 20] {
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks_exact(64) {
        let mut w = [0_u32; 80];
        for (slot, bytes) in w.iter_mut().zip(block.chunks_exact(4)) {
            *slot = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        for i in 16..80 {
            w[i] = (w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (i, word) in w.iter().enumerate() {
            let (f, k) = match i {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (slot, value) in state.iter_mut().zip([a, b, c, d, e]) {
            *slot = slot.wrapping_add(value);
        }
    }
    let mut out = [0; 20];
    for (slot, word) in out.chunks_exact_mut(4).zip(state) {
        slot.copy_from_slice(&word.to_be_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_is_that_of_the_rfc() {
        assert_eq!(&websocket_accept(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn sha1_agrees_with_rfc_3174() {
        let hex = |d: [u8; 20]| d.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(hex(sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        let long = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(hex(sha1(long)), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    }

    #[test]
    fn keys() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        for bad in
            [&b"dGhlIHNhbXBsZSBub25jZR=="[..], b"dGhlIHNhbXBsZSBub25jZQ=", b"", b"==", b"dGhl IHNhbXBsZSBub25jZQ="]
        {
            assert!(!is_key(bad), "{bad:?}");
        }
    }
}
