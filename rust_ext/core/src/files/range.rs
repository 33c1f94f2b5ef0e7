//! `Range`: which bytes of a file are asked for (RFC 9110 §14).

use std::ops::Range;

/// Range specs read of one field; a longer set is ignored, because only a few bytes of request would buy much work.
const MAX_SPECS: usize = 16;

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selected {
    /// Everything: no range, one that is not valid, or several.
    Whole,
    /// These bytes; never empty.
    Part(Range<u64>),
    /// None of the ranges lies within the content: 416.
    Unsatisfiable,
}

/// Chooses by the value of `Range` from content of `length` bytes.
///
/// A set of which several ranges lie within the content selects everything, which a server may always do (§14.2):
/// one answer in many parts costs more than it saves. Content without bytes is sent whole.
pub fn select(value: &[u8], length: u64) -> Selected {
    let Some(set) = value.split_at_checked(6).filter(|(unit, _)| unit.eq_ignore_ascii_case(b"bytes=")) else {
        return Selected::Whole;
    };
    if length == 0 {
        return Selected::Whole;
    }
    let mut found = None;
    let mut seen = false;
    for (count, spec) in set.1.split(|&b| b == b',').enumerate() {
        let spec = trim(spec);
        if count == MAX_SPECS {
            return Selected::Whole;
        }
        if spec.is_empty() {
            continue;
        }
        let Some(one) = one(spec, length) else { return Selected::Whole };
        seen = true;
        if !one.is_empty() && found.replace(one).is_some() {
            // The others are not read: whatever they are, everything is sent.
            return Selected::Whole;
        }
    }
    match found {
        Some(range) => Selected::Part(range),
        None if seen => Selected::Unsatisfiable,
        None => Selected::Whole,
    }
}

/// One spec within the content, empty where it lies outside; `None` where it is not valid.
fn one(spec: &[u8], length: u64) -> Option<Range<u64>> {
    let dash = spec.iter().position(|&b| b == b'-')?;
    let (first, last) = (spec.get(..dash)?, spec.get(dash.checked_add(1)?..)?);
    if first.is_empty() {
        let suffix = number(last)?;
        return Some(length.saturating_sub(suffix)..length);
    }
    let first = number(first)?;
    let end = if last.is_empty() {
        length
    } else {
        let last = number(last)?;
        if last < first {
            return None;
        }
        last.saturating_add(1).min(length)
    };
    Some(first.min(end)..end)
}

/// Digits only; what does not fit is as good as the largest number.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |n, b| {
        b.is_ascii_digit().then(|| n.saturating_mul(10).saturating_add(u64::from(b.wrapping_sub(b'0'))))
    })
}

/// Without optional white space (RFC 9110 §5.6.3).
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
