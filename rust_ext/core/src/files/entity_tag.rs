//! Entity tags (RFC 9110 §8.8.3): made from a file's time and size, compared with what a client sends.

use std::fmt::Write;

use super::range::trim;
use crate::snapshot::Coding;

/// A file that changed less than this many seconds ago may change again within the grain of its time.
const SETTLED_AFTER: i64 = 2;

/// The tag of one representation of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityTag {
    /// `W/"…"` or `"…"`.
    text: String,
    weak: bool,
}

impl EntityTag {
    /// From the time of the last change (seconds and nanoseconds since 1970), the size in bytes and the coding.
    ///
    /// It is weak as long as the file is so young that its time might not show another change.
    pub fn new(modified: (i64, u32), size: u64, coding: Option<Coding>, now: u64) -> Self {
        let settled = modified.0.saturating_add(SETTLED_AFTER) <= i64::try_from(now).unwrap_or(i64::MAX);
        let mut text = String::with_capacity(40);
        let prefix = if settled { "" } else { "W/" };
        let coding = coding.map_or("", |coding| coding.extension());
        // Writing to a String cannot fail.
        let _ = write!(text, "{prefix}\"{:x}-{:x}-{size:x}{coding}\"", modified.0, modified.1);
        Self { text, weak: !settled }
    }

    /// As a field value.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    fn opaque(&self) -> &[u8] {
        self.text.strip_prefix("W/").unwrap_or(&self.text).as_bytes()
    }

    /// Whether a received tag is this one: both strong, or the opaque part alone where `weak` suffices (§8.8.3.2).
    pub(super) fn equals(&self, received: &Received<'_>, weak: bool) -> bool {
        received.opaque == self.opaque() && (weak || !(self.weak || received.weak))
    }
}

/// A tag that a client sent.
pub(super) struct Received<'a> {
    weak: bool,
    /// With its quotes.
    opaque: &'a [u8],
}

/// The only tag of a value.
pub(super) fn single(value: &[u8]) -> Option<Received<'_>> {
    let (tag, rest) = first(value)?;
    trim(rest).is_empty().then_some(tag)
}

/// Whether any tag of a list fulfils the test; a list that is not one fulfils nothing from its fault on.
pub(super) fn any(mut value: &[u8], mut test: impl FnMut(&Received<'_>) -> bool) -> bool {
    loop {
        value = trim(value);
        while let [b',', rest @ ..] = value {
            value = trim(rest);
        }
        let Some((tag, rest)) = first(value) else { return false };
        if test(&tag) {
            return true;
        }
        value = trim(rest);
        if !matches!(value, [b',', ..]) {
            return false;
        }
    }
}

/// The tag at the start, which may hold commas, and what follows it.
fn first(value: &[u8]) -> Option<(Received<'_>, &[u8])> {
    let (weak, quoted) = match value.strip_prefix(b"W/") {
        Some(quoted) => (true, quoted),
        None => (false, value),
    };
    let inner = quoted.strip_prefix(b"\"")?;
    let end = inner.iter().position(|&b| b == b'"')?.checked_add(2)?;
    let (opaque, rest) = quoted.split_at_checked(end)?;
    let valid = |b: u8| b == 0x21 || (0x23..=0x7e).contains(&b) || b >= 0x80;
    let content = opaque.get(1..end.checked_sub(1)?)?;
    content.iter().all(|&b| valid(b)).then_some((Received { weak, opaque }, rest))
}
