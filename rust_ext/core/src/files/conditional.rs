//! Conditional requests for a file (RFC 9110 §13), in the order of its §13.2.2.

use super::date::parse_date;
use super::entity_tag::{self, EntityTag};
use super::range::trim;
use crate::route::Fields;

/// What a file is compared by.
#[derive(Debug, Clone, Copy)]
pub struct Validators<'a> {
    /// Of the representation that would be sent.
    pub tag: &'a EntityTag,
    /// `Last-Modified`, seconds since 1970; `None` where there is none.
    pub modified: Option<u64>,
    /// Seconds since 1970.
    pub now: u64,
}

/// What the conditions lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The file is sent.
    Send {
        /// A `Range` counts: there is no `If-Range`, or it holds.
        ranges: bool,
    },
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Judges the conditions of a GET or HEAD.
pub fn judge(fields: &dyn Fields, file: &Validators<'_>) -> Verdict {
    match any_tag(fields, b"if-match", file.tag, false) {
        Some(false) => return Verdict::Failed,
        Some(true) => {}
        None => {
            if let (Some(date), Some(modified)) = (date(fields, b"if-unmodified-since", file.now), file.modified)
                && modified > date
            {
                return Verdict::Failed;
            }
        }
    }
    match any_tag(fields, b"if-none-match", file.tag, true) {
        Some(true) => return Verdict::NotModified,
        Some(false) => {}
        None => {
            if let (Some(date), Some(modified)) = (date(fields, b"if-modified-since", file.now), file.modified)
                && modified <= date
            {
                return Verdict::NotModified;
            }
        }
    }
    Verdict::Send { ranges: if_range(fields, file) }
}

/// `None`: no such field. Several lines are one list (RFC 9110 §5.3).
fn any_tag(fields: &dyn Fields, name: &[u8], tag: &EntityTag, weak: bool) -> Option<bool> {
    let mut found = None;
    fields.values(name, &mut |value| {
        let holds = trim(value) == b"*" || entity_tag::any(value, |received| tag.equals(received, weak));
        *found.get_or_insert(false) |= holds;
        true
    });
    found
}

/// The date of a field; one that is not there once, or is no date, counts as absent (§13.1.3, §13.1.4).
fn date(fields: &dyn Fields, name: &[u8], now: u64) -> Option<u64> {
    only(fields, name, |value| parse_date(trim(value), now))?
}

/// The one value of a field: `None` where it is not there or not there once.
fn only<R>(fields: &dyn Fields, name: &[u8], mut read: impl FnMut(&[u8]) -> R) -> Option<R> {
    let mut lines = 0_usize;
    let mut found = None;
    fields.values(name, &mut |value| {
        lines = lines.saturating_add(1);
        found = Some(read(value));
        lines < 2
    });
    found.filter(|_| lines == 1)
}

/// A tag must be strong on both sides; a date must be the file's own, and old enough to be sure (§13.1.5, §8.8.2.2).
fn if_range(fields: &dyn Fields, file: &Validators<'_>) -> bool {
    let mut present = false;
    fields.values(b"if-range", &mut |_| {
        present = true;
        false
    });
    if !present {
        return true;
    }
    let holds = only(fields, b"if-range", |value| match entity_tag::single(value) {
        Some(received) => file.tag.equals(&received, false),
        None => match (parse_date(trim(value), file.now), file.modified) {
            (Some(date), Some(modified)) => date == modified && modified.saturating_add(1) < file.now,
            _ => false,
        },
    });
    holds.unwrap_or(false)
}
