//! The first byte of an input chooses the rules, so that one corpus reaches every setting.

use fastgate_core::http1::{Reason, RequestRules, ReservedNames};
use fastgate_core::snapshot::{DotSegments, EncodedSlash, UnderscoreHeaders};

/// The first byte and what follows it.
pub fn split(data: &[u8]) -> Option<(u8, &[u8])> {
    data.split_first().map(|(knobs, rest)| (*knobs, rest))
}

/// Whether a bit of the first byte is set.
pub fn bit(knobs: u8, number: u8) -> bool {
    knobs >> number & 1 == 1
}

/// Bits: 0 keep `%2F`, 1 resolve dot segments, 2-3 underscores dropped, passed or refused, 4 trusted peer, 5 small limits.
pub fn rules(knobs: u8) -> RequestRules {
    let small = bit(knobs, 5);
    RequestRules {
        head_bytes: if small { 160 } else { 32 * 1024 },
        header_count: if small { 5 } else { 100 },
        uri_bytes: if small { 48 } else { 8 * 1024 },
        encoded_slash: if bit(knobs, 0) { EncodedSlash::Keep } else { EncodedSlash::Refuse },
        dot_segments: if bit(knobs, 1) { DotSegments::Resolve } else { DotSegments::Refuse },
        underscore_headers: match knobs >> 2 & 3 {
            1 => UnderscoreHeaders::Pass,
            2 => UnderscoreHeaders::Refuse,
            _ => UnderscoreHeaders::Drop,
        },
        trusted: if bit(knobs, 4) { vec!["192.0.2.0/24".parse().expect("a network")] } else { Vec::new() },
        reserved: ReservedNames::new(&["X-User-Id"]),
    }
}

/// What every reason for a refusal owes to logs and counters.
pub fn well_described(reason: Reason) {
    let name = reason.name();
    assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
    assert!((400..600).contains(&reason.status()), "{name}: {}", reason.status());
    assert!(reason.to_string().bytes().all(|b| (0x20..0x7f).contains(&b)), "{name}");
    assert!(Reason::ALL.contains(&reason), "{name} is not counted");
}
