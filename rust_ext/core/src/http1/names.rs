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

/// The same as words, each behind its place in `KNOWN` by one.
const TABLE: [(NameWords, FieldKind); 64] = {
    let mut table = [([0; 3], FieldKind::Other); 64];
    let mut i = 0;
    while i < KNOWN.len() {
        table[i + 1] = (words(KNOWN[i].0), KNOWN[i].1);
        i += 1;
    }
    table
};

/// By length and first letter: the only known name that it can be, plus one; 0 for none. Names that begin with `x`
/// and are long enough for `X-Forwarded-*` always have one.
const SLOTS: [[u8; 32]; 25] = {
    let mut slots = [[0; 32]; 25];
    let mut i = 0;
    while i < KNOWN.len() {
        let name = KNOWN[i].0;
        let slot = &mut slots[name.len()][(name[0] & 31) as usize];
        // Names of more than 16 bytes are compared in full.
        assert!(*slot == 0 || name.len() > 16, "two known names with one length and first letter");
        *slot = i as u8 + 1;
        i += 1;
    }
    let mut len = X_FORWARDED_BYTES.len();
    while len < 25 {
        let slot = &mut slots[len][(b'x' & 31) as usize];
        if *slot == 0 {
            *slot = KNOWN.len() as u8;
        }
        len += 1;
    }
    slots
};

/// Which known field a name of `len` letters, digits and `-` is that begins with `first`; `chunk` are its first bytes and
/// what follows them. False when that is not sure: it may be a known one of more than 16 bytes.
#[inline(always)]
pub(super) fn recognise(chunk: &[u8; 16], first: u8, len: usize) -> (FieldKind, bool) {
    let Some(slots) = SLOTS.get(len) else { return (FieldKind::Other, first | 0x20 != b'x') };
    match slots[usize::from(first & 31)] {
        0 => (FieldKind::Other, true),
        slot if len <= 16 => (known(len, u128::from_le_bytes(*chunk), slot), true),
        _ => (FieldKind::Other, false),
    }
}

/// A name of at most 16 bytes against the one it can be. Letters become lower case; digits and `-` stay as they are.
#[inline(always)]
fn known(len: usize, head: u128, slot: u8) -> FieldKind {
    let [low, high] = MASKS[len & 31];
    let (first, second) = ((head as u64 | LOWER) & low, ((head >> 64) as u64 | LOWER) & high);
    // A slot of this length holds a name of this length, so the third word says nothing more.
    let (words, kind) = TABLE[usize::from(slot & 63)];
    if (words[0] ^ first) | (words[1] ^ second) == 0 {
        return kind;
    }
    if (first ^ X_FORWARDED[0]) | (second & 0xffff_ffff ^ X_FORWARDED[1]) == 0 {
        return FieldKind::XForwarded;
    }
    FieldKind::Other
}

const LOWER: u64 = u64::MAX / 255 * 0x20;

/// Ones over the bytes of a name of each length.
const MASKS: [[u64; 2]; 32] = {
    let mut masks = [[u64::MAX; 2]; 32];
    let mut len = 0;
    while len < 16 {
        let mask = (1_u128 << (8 * len)) - 1;
        masks[len] = [mask as u64, (mask >> 64) as u64];
        len += 1;
    }
    masks
};

/// Which known field a name is after mapping every character but letters and digits to `-`.
pub(super) fn recognise_mapped(name: &[u8]) -> FieldKind {
    let first = name.first().map_or(0, |&b| mapped(b) & 31);
    if SLOTS.get(name.len()).is_some_and(|slots| slots[usize::from(first)] == 0) {
        return FieldKind::Other;
    }
    if let Some(words) = mapped_words(name)
        && let Some(i) =
            KNOWN.iter().zip(&TABLE[1..]).position(|(known, (w, _))| known.0.len() == name.len() && *w == words)
    {
        return KNOWN[i].1;
    }
    let forwarded = name.len() >= X_FORWARDED_BYTES.len();
    if forwarded && X_FORWARDED_BYTES.iter().zip(name).all(|(a, &b)| *a == mapped(b)) {
        FieldKind::XForwarded
    } else {
        FieldKind::Other
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
            this.first |= first.map_or(u64::MAX, bit);
            this.names.push((mapped, prefix));
        }
        this
    }

    /// Whether a name equals a reserved one after mapping every character but letters and digits to `-`.
    #[inline]
    pub fn matches(&self, name: &[u8]) -> bool {
        name.first().is_some_and(|&b| self.may_match(b)) && self.matches_any(name)
    }

    /// Whether a name that begins so may be one.
    #[inline(always)]
    fn may_match(&self, first: u8) -> bool {
        self.first & bit(first) != 0
    }

    /// The bits of the first letters that a reserved name can have.
    #[inline]
    pub(super) fn first_letters(&self) -> u64 {
        self.first
    }

    /// The same without the look at the first letter.
    #[cold]
    fn matches_any(&self, name: &[u8]) -> bool {
        self.names.iter().any(|(reserved, prefix)| {
            (name.len() == reserved.len() || (*prefix && name.len() > reserved.len()))
                && reserved.iter().zip(name).all(|(r, &b)| *r == mapped(b))
        })
    }
}

/// The bit of a first letter, upper or lower case.
#[inline(always)]
pub(super) const fn bit(b: u8) -> u64 {
    1 << ((b | 0x20) & 63)
}
