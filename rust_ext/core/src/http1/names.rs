//! Names that belong to the gateway: known fields, reserved names and their aliases.

use super::field::FieldKind;

/// Up to 24 bytes of a name in lower case, as three words; the first byte is the lowest of the first word.
type NameWords = [u64; 3];

const fn words(name: &[u8]) -> NameWords {
    let mut words = [0; 3];
    let mut i = 0;
    while i < name.len() {
        words[i / 8] |= (name[i] as u64) << (8 * (i % 8));
        i += 1;
    }
    words
}

/// The words of a name after mapping: letters to lower case, anything but letters and digits to `-`.
/// `None` for a name longer than any known one.
fn mapped_words(name: &[u8]) -> Option<NameWords> {
    if name.len() > 24 {
        return None;
    }
    let mut words = [0; 3];
    for (i, &b) in name.iter().enumerate() {
        words[i / 8] |= u64::from(mapped(b)) << (8 * (i % 8));
    }
    Some(words)
}

#[inline]
fn mapped(b: u8) -> u8 {
    if b.is_ascii_alphanumeric() { b.to_ascii_lowercase() } else { b'-' }
}

const X_FORWARDED: NameWords = words(b"x-forwarded-");

/// Known names by length.
const KNOWN: &[(&[u8], FieldKind)] = &[
    (b"te", FieldKind::Te),
    (b"host", FieldKind::Host),
    (b"date", FieldKind::Date),
    (b"proxy", FieldKind::Proxy),
    (b"expect", FieldKind::Expect),
    (b"cookie", FieldKind::Cookie),
    (b"origin", FieldKind::Origin),
    (b"trailer", FieldKind::Trailer),
    (b"upgrade", FieldKind::Upgrade),
    (b"forwarded", FieldKind::Forwarded),
    (b"x-real-ip", FieldKind::ClientClaim),
    (b"connection", FieldKind::Connection),
    (b"keep-alive", FieldKind::KeepAlive),
    (b"x-client-ip", FieldKind::ClientClaim),
    (b"content-type", FieldKind::ContentType),
    (b"x-request-id", FieldKind::XRequestId),
    (b"authorization", FieldKind::Authorization),
    (b"x-rewrite-url", FieldKind::ClientClaim),
    (b"content-length", FieldKind::ContentLength),
    (b"http2-settings", FieldKind::Http2Settings),
    (b"true-client-ip", FieldKind::ClientClaim),
    (b"x-original-url", FieldKind::ClientClaim),
    (b"x-forwarded-for", FieldKind::XForwardedFor),
    (b"proxy-connection", FieldKind::ProxyConnection),
    (b"x-forwarded-host", FieldKind::XForwardedHost),
    (b"sec-websocket-key", FieldKind::SecWebSocketKey),
    (b"transfer-encoding", FieldKind::TransferEncoding),
    (b"x-forwarded-proto", FieldKind::XForwardedProto),
    (b"proxy-authenticate", FieldKind::ProxyAuthenticate),
    (b"proxy-authorization", FieldKind::ProxyAuthorization),
    (b"sec-websocket-accept", FieldKind::SecWebSocketAccept),
    (b"sec-websocket-version", FieldKind::SecWebSocketVersion),
];

/// The same as words, and where each length begins.
const TABLE: [(NameWords, FieldKind); KNOWN.len()] = {
    let mut table = [([0; 3], FieldKind::Other); KNOWN.len()];
    let mut i = 0;
    while i < KNOWN.len() {
        table[i] = (words(KNOWN[i].0), KNOWN[i].1);
        i += 1;
    }
    table
};

const STARTS: [u8; 26] = {
    let mut starts = [KNOWN.len() as u8; 26];
    let mut len = 26;
    while len > 0 {
        len -= 1;
        let mut i = KNOWN.len();
        while i > 0 {
            i -= 1;
            if KNOWN[i].0.len() >= len {
                starts[len] = i as u8;
            }
        }
    }
    starts
};

/// Bit by first letter of the known names of each length; `X-Forwarded-*` has many.
const FIRSTS: [u64; 25] = {
    let mut firsts = [0; 25];
    let mut len = 13;
    while len < 25 {
        firsts[len] = 1 << (b'x' & 63);
        len += 1;
    }
    let mut i = 0;
    while i < KNOWN.len() {
        firsts[KNOWN[i].0.len()] |= 1 << (KNOWN[i].0[0] & 63);
        i += 1;
    }
    firsts
};

/// Which known field the first `len` bytes of `rest` are: letters, digits and `-`; `chunk` is its beginning.
#[inline(always)]
pub(super) fn recognise(rest: &[u8], chunk: &[u8; 16], len: usize) -> FieldKind {
    match FIRSTS.get(len) {
        Some(firsts) if firsts & bit(chunk[0] | 0x20) == 0 => FieldKind::Other,
        Some(_) if len <= 16 => {
            let unused = 8 * (16_usize.wrapping_sub(len) & 15);
            let name = (u128::from_le_bytes(*chunk) | LOWER) & (u128::MAX >> unused);
            known(len, &[name as u64, (name >> 64) as u64, 0])
        }
        _ => recognise_mapped(rest.get(..len).unwrap_or_default()),
    }
}

/// Makes letters lower case; digits and `-` stay as they are.
const LOWER: u128 = u128::MAX / 255 * 0x20;

/// Which known field a name of `len` bytes is, by its words.
#[inline(never)]
fn known(len: usize, name: &NameWords) -> FieldKind {
    if len > 24 {
        return FieldKind::Other;
    }
    let (from, to) = (STARTS[len] as usize, STARTS[len.wrapping_add(1)] as usize);
    for (words, kind) in TABLE.get(from..to).unwrap_or_default() {
        if (words[0] ^ name[0]) | (words[1] ^ name[1]) | (words[2] ^ name[2]) == 0 {
            return *kind;
        }
    }
    if name[0] == X_FORWARDED[0] && name[1] & 0xffff_ffff == X_FORWARDED[1] {
        return FieldKind::XForwarded;
    }
    FieldKind::Other
}

/// Which known field a name is after mapping every character but letters and digits to `-`.
pub(super) fn recognise_mapped(name: &[u8]) -> FieldKind {
    match mapped_words(name) {
        Some(words) => known(name.len(), &words),
        None => {
            if X_FORWARDED_BYTES.iter().zip(name).all(|(a, &b)| *a == mapped(b)) {
                FieldKind::XForwarded
            } else {
                FieldKind::Other
            }
        }
    }
}

const X_FORWARDED_BYTES: &[u8] = b"x-forwarded-";

/// Names written from identity: every client's copy of them, aliases included, is removed.
///
/// Two are always there: `X-Consumer-*` and `X-Forwarded-Client-Cert`.
#[derive(Debug, Clone)]
pub struct ReservedNames {
    /// Mapped; a prefix when the flag is set.
    names: Vec<(Box<[u8]>, bool)>,
    /// Bit by first letter, to leave early.
    first: u64,
}

impl ReservedNames {
    /// From header names; a trailing `*` makes one a prefix.
    pub fn new<S: AsRef<str>>(names: &[S]) -> Self {
        let all = names.iter().map(AsRef::as_ref).chain(["x-consumer-*", "x-forwarded-client-cert"]);
        let mut this = Self { names: Vec::new(), first: 0 };
        for name in all {
            let (name, prefix) = name.strip_suffix('*').map_or((name, false), |name| (name, true));
            let mapped: Box<[u8]> = name.bytes().map(mapped).collect();
            // A mapped first byte that is no letter or digit stands for many.
            let first = mapped.first().copied().filter(u8::is_ascii_alphanumeric);
            this.first |= first.map_or(u64::MAX, |b| bit(b | 0x20));
            this.names.push((mapped, prefix));
        }
        this
    }

    /// Whether a name equals a reserved one after mapping every character but letters and digits to `-`.
    #[inline]
    pub fn matches(&self, name: &[u8]) -> bool {
        name.first().is_some_and(|&b| self.first & bit(b | 0x20) != 0) && self.matches_any(name)
    }

    #[cold]
    fn matches_any(&self, name: &[u8]) -> bool {
        self.names.iter().any(|(reserved, prefix)| {
            (name.len() == reserved.len() || (*prefix && name.len() > reserved.len()))
                && reserved.iter().zip(name).all(|(r, &b)| *r == mapped(b))
        })
    }
}

#[inline(always)]
const fn bit(b: u8) -> u64 {
    1 << (b & 63)
}
