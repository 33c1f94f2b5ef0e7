//! Base64url without padding (RFC 4648 §5, RFC 7515 §2): what is not canonical is refused.

const NONE: u8 = 0xff;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What each byte stands for; [`NONE`] has bits that no value has.
static VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let mut values = [NONE; 256];
    let mut i = 0;
    while i < 64 {
        values[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    values
}

/// The bytes; `None` for padding, another alphabet, space, a length no bytes have, or bits behind the last byte.
#[must_use]
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    decode_into(text, &mut out).then_some(out)
}

/// Appends the bytes; whether the text was canonical. What was appended of one that was not is to be dropped.
#[must_use]
pub fn decode_into(text: &[u8], out: &mut Vec<u8>) -> bool {
    let (groups, rest) = text.as_chunks::<4>();
    let start = out.len();
    out.resize(start + groups.len() * 3, 0);
    let mut seen = 0;
    for (slot, group) in out[start..].as_chunks_mut::<3>().0.iter_mut().zip(groups) {
        let [a, b, c, d] = group.map(|byte| VALUES[usize::from(byte)]);
        seen |= a | b | c | d;
        *slot = [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d];
    }
    let spare = match *rest {
        [] => 0,
        [a, b] => {
            let [a, b] = [a, b].map(|byte| VALUES[usize::from(byte)]);
            seen |= a | b;
            out.push(a << 2 | b >> 4);
            b << 4
        }
        [a, b, c] => {
            let [a, b, c] = [a, b, c].map(|byte| VALUES[usize::from(byte)]);
            seen |= a | b | c;
            out.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2]);
            c << 6
        }
        _ => NONE,
    };
    seen & 0x80 == 0 && spare == 0
}

/// Appends the text of some bytes.
pub fn encode_into(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |i: usize| group.get(i).copied().unwrap_or(0);
        let [a, b, c] = [byte(0), byte(1), byte(2)];
        let text = [a >> 2, (a & 3) << 4 | b >> 4, (b & 0xf) << 2 | c >> 6, c & 0x3f];
        out.extend(text[..=group.len()].iter().map(|value| ALPHABET[usize::from(*value)]));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_vectors_of_the_rfc() {
        for (text, bytes) in
            [("", ""), ("Zg", "f"), ("Zm8", "fo"), ("Zm9v", "foo"), ("Zm9vYg", "foob"), ("Zm9vYmE", "fooba")]
        {
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(decode(b"-_-_").unwrap(), [0xfb, 0xff, 0xbf]);
    }

    #[test]
    fn j7_what_is_not_canonical_is_refused() {
        for text in [
            "A", "Zg==", "Zg=", "Zm8=", "Zm9vY", "Zh", "Zm9", "Zm9v\n", " Zm9v", "Zm 9v", "+/+/", "Zm9v.", "é", "\0AAA",
        ] {
            assert_eq!(decode(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn bytes_come_back_and_text_is_the_only_one(bytes in prop::collection::vec(any::<u8>(), 0..100), at: usize, other: u8) {
            let mut text = Vec::new();
            encode_into(&bytes, &mut text);
            prop_assert_eq!(decode(&text), Some(bytes));
            if !text.is_empty() {
                let at = at % text.len();
                text[at] = other;
                if let Some(bytes) = decode(&text) {
                    let mut again = Vec::new();
                    encode_into(&bytes, &mut again);
                    prop_assert_eq!(again, text);
                }
            }
        }
    }
}
