//! The first byte of an input chooses the rules, so that one corpus reaches every setting.

use std::sync::LazyLock;

use fastgate_core::http1::{Reason, RequestRules};
use fastgate_core::snapshot::{DotSegments, EncodedSlash, Limits, Listener, UnderscoreHeaders};
use serde_json::json;

/// The first byte and what follows it.
pub fn split(data: &[u8]) -> Option<(u8, &[u8])> {
    data.split_first().map(|(knobs, rest)| (*knobs, rest))
}

/// Whether a bit of the first byte is set.
pub fn bit(knobs: u8, number: u8) -> bool {
    knobs >> number & 1 == 1
}

/// Where an input of that length is cut in two: everywhere while it is short, else at some 40 places spread over it.
pub fn cuts(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by((length / 40).max(1))
}

/// Bits: 0 keep `%2F`, 1 resolve dot segments, 2-3 underscores dropped, passed or refused, 4 trusted peer, 5 small limits.
pub fn rules(knobs: u8) -> RequestRules {
    let mut limits = LIMITS.clone();
    if bit(knobs, 5) {
        (limits.headers, limits.header_count, limits.uri) = (160, 5, 48);
    }
    let mut listener = listener();
    if bit(knobs, 0) {
        listener.encoded_slash = EncodedSlash::Keep;
    }
    if bit(knobs, 1) {
        listener.dot_segments = DotSegments::Resolve;
    }
    match knobs >> 2 & 3 {
        1 => listener.underscore_headers = UnderscoreHeaders::Pass,
        2 => listener.underscore_headers = UnderscoreHeaders::Refuse,
        _ => {}
    }
    if bit(knobs, 4) {
        listener.trusted_proxies.push("192.0.2.0/24".parse().expect("a network"));
    }
    RequestRules::new(&limits, &listener, &["X-User-Id".to_owned()])
}

/// A strict listener.
pub fn listener() -> Listener {
    LISTENER.clone()
}

static LIMITS: LazyLock<Limits> = LazyLock::new(|| {
    serde_json::from_value(json!({
        "max_connections": 0, "headers": 32768, "header_count": 100, "uri": 8192, "header_timeout_ms": 10000,
        "write_stall_ms": 30000, "body_min_rate": 0, "connection_age_ms": 3600000, "accept_rate": 0,
    }))
    .expect("the limits are some")
});

static LISTENER: LazyLock<Listener> = LazyLock::new(|| {
    serde_json::from_value(json!({
        "name": "one", "bind": "127.0.0.1:0", "trusted_proxies": [], "encoded_slash": "refuse",
        "dot_segments": "refuse", "underscore_headers": "drop",
        "serves": {"http": true, "realtime": false, "publish": false},
    }))
    .expect("the listener is one")
});

/// What every reason for a refusal owes to logs and counters.
pub fn well_described(reason: Reason) {
    let name = reason.name();
    assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
    assert!((400..600).contains(&reason.status()), "{name}: {}", reason.status());
    assert!(reason.to_string().bytes().all(|b| (0x20..0x7f).contains(&b)), "{name}");
    assert!(Reason::ALL.contains(&reason), "{name} is not counted");
}
