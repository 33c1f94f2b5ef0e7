//! API keys that fastgate makes: recognisable in code and logs, checked for typing errors, known by digests alone.
//!
//! `fg_` and the kind, 256 random bits in base62, and a CRC-32 of all that in base62, as one expression:
//! `fg_(ak|pk)_[0-9A-Za-z]{49}`. It has 55 bytes: the most that one round of SHA-256 takes.

/// Digits of 256 bits.
const RANDOM_DIGITS: usize = 43;

/// Digits of a CRC-32.
const CHECK_DIGITS: usize = 6;

/// Bytes of a key.
pub const KEY_BYTES: usize = 6 + RANDOM_DIGITS + CHECK_DIGITS;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// A consumer calls routes with it.
    Api,
    /// A publisher publishes with it.
    Publish,
}

impl KeyKind {
    /// What such a key begins with.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Api => "fg_ak_",
            Self::Publish => "fg_pk_",
        }
    }
}

/// A key from 256 random bits.
#[must_use]
pub fn make(kind: KeyKind, random: &[u8; 32]) -> String {
    let mut digits = [0; RANDOM_DIGITS];
    let mut number = *random;
    for digit in digits.iter_mut().rev() {
        let mut rest = 0_u32;
        for byte in &mut number {
            let value = rest << 8 | u32::from(*byte);
            *byte = (value / 62) as u8;
            rest = value % 62;
        }
        *digit = DIGITS[rest as usize];
    }
    let mut key = String::with_capacity(KEY_BYTES);
    key.push_str(kind.prefix());
    key.extend(digits.iter().map(|&digit| char::from(digit)));
    let check = check_digits(key.as_bytes());
    key.extend(check.iter().map(|&digit| char::from(digit)));
    key
}

/// The kind of a key, if fastgate made it and no character of it was changed.
#[must_use]
pub fn kind_of(key: &[u8]) -> Option<KeyKind> {
    let kind = [KeyKind::Api, KeyKind::Publish].into_iter().find(|kind| key.starts_with(kind.prefix().as_bytes()))?;
    let (said, check) = key.split_at_checked(KEY_BYTES - CHECK_DIGITS)?;
    let digits = said[kind.prefix().len()..].iter().all(u8::is_ascii_alphanumeric);
    (digits && check == check_digits(said)).then_some(kind)
}

fn check_digits(text: &[u8]) -> [u8; CHECK_DIGITS] {
    let mut rest = crc32(text);
    let mut digits = [0; CHECK_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

/// CRC-32 (ISO-HDLC), as zlib's.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_form() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        for (kind, prefix) in [(KeyKind::Api, "fg_ak_"), (KeyKind::Publish, "fg_pk_")] {
            let key = make(kind, &[0xa5; 32]);
            assert_eq!((key.len(), key.starts_with(prefix), kind_of(key.as_bytes())), (55, true, Some(kind)), "{key}");
        }
        assert_eq!(&make(KeyKind::Api, &[0; 32])[6..49], "0".repeat(43));
        let one = std::array::from_fn(|i| u8::from(i == 31));
        assert_eq!(&make(KeyKind::Api, &one)[47..49], "01");
        // 2^256 - 1, by another program.
        assert_eq!(&make(KeyKind::Api, &[0xff; 32])[6..49], MOST);
    }

    const MOST: &str = "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1";

    #[test]
    fn every_bit_counts() {
        let keys: std::collections::HashSet<_> = (0..256)
            .map(|bit| make(KeyKind::Api, &std::array::from_fn(|i| if i == bit / 8 { 1 << (bit % 8) } else { 0 })))
            .collect();
        assert_eq!(keys.len(), 256);
    }

    #[test]
    fn a_changed_key_is_none() {
        let key = make(KeyKind::Api, &std::array::from_fn(|i| i as u8));
        for at in 0..key.len() {
            for with in [b'0', b'z', b'_', 0xff] {
                let mut changed = key.clone().into_bytes();
                if changed[at] != with {
                    changed[at] = with;
                    assert_eq!(kind_of(&changed), None, "{at}");
                }
            }
        }
        for none in [&key.as_bytes()[..54], format!("{key}0").as_bytes(), b"", b"fg_ak_", &[0xff; 55]] {
            assert_eq!(kind_of(none), None);
        }
    }
}
