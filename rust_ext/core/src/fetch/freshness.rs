//! How long an answer holds, as its Cache-Control says (RFC 9111 §5.2.2).

/// Seconds for which an answer may be used without asking again: `max-age`, 0 for `no-store` and `no-cache`; `None`
/// where nothing is said, or nothing that is valid.
pub fn max_age<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<u64> {
    let mut age = None;
    for directive in values.flat_map(|value| value.split(|&b| b == b',')) {
        let directive = directive.trim_ascii();
        let (name, value) = match directive.iter().position(|&b| b == b'=') {
            Some(at) => (&directive[..at], Some(&directive[at + 1..])),
            None => (directive, None),
        };
        if name.eq_ignore_ascii_case(b"no-store") || name.eq_ignore_ascii_case(b"no-cache") {
            return Some(0);
        }
        if name.eq_ignore_ascii_case(b"max-age") {
            let digits = value.unwrap_or_default();
            let digits = digits.strip_prefix(b"\"").and_then(|d| d.strip_suffix(b"\"")).unwrap_or(digits);
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                continue;
            }
            // RFC 9111 §1.2.2: what is too large is a very long time.
            let parsed = std::str::from_utf8(digits).ok().and_then(|d| d.parse::<u64>().ok()).unwrap_or(1 << 31);
            // Of two the shorter one counts.
            age = Some(age.map_or(parsed, |known: u64| known.min(parsed)));
        }
    }
    age
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_counts_and_nothing_else() {
        let of = |values: &[&str]| max_age(values.iter().map(|value| value.as_bytes()));
        assert_eq!(of(&["public, Max-Age=300"]), Some(300));
        assert_eq!(of(&["max-age=\"60\""]), Some(60));
        assert_eq!(of(&["max-age=99999999999999999999"]), Some(1 << 31));
        assert_eq!(of(&["max-age=10", "max-age=5"]), Some(5));
        assert_eq!(of(&["max-age=10, no-cache"]), Some(0));
        assert_eq!(of(&["no-store"]), Some(0));
        for none in ["", "public", "max-age", "max-age=", "max-age=-1", "max-age=+1", "x-max-age=3", "s-maxage=3"] {
            assert_eq!(of(&[none]), None, "{none}");
        }
    }
}
