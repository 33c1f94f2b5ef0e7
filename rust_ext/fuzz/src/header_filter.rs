//! Target `header_filter`: a byte of settings, lines of header edits up to a NUL, then the head to pass on.
//!
//! An edit line is `=name:value` (set), `+name:value` (add) or `-name` (remove); with `r` before it the route makes it,
//! else a hook. What cannot be an edit is skipped.

mod answer;
mod request;
mod response;

use fastgate_core::filter::{CompiledEdits, Edit};
use fastgate_core::snapshot::HeaderEdits;

use crate::{knobs, reference};

/// Whatever the head and the edits: what is written parses as exactly one head that means the same.
pub fn header_filter(data: &[u8]) {
    let Some((knobs, rest)) = knobs::split(data) else { return };
    let (edits, head) = match rest.iter().position(|b| *b == 0) {
        Some(at) => (Changes::read(&rest[..at]), &rest[at + 1..]),
        None => (Changes::read(b""), rest),
    };
    if knobs::bit(knobs, 6) {
        response::check(knobs, &edits, head);
        answer::check(knobs, rest);
    } else {
        request::check(knobs, &edits, head);
    }
}

/// The edits of an input, compiled, and in the order they take effect.
struct Changes {
    route: CompiledEdits,
    hook: Vec<Edit>,
    route_order: Vec<Edit>,
}

impl Changes {
    fn read(text: &[u8]) -> Self {
        let mut edits = HeaderEdits::default();
        let mut hook = Vec::new();
        for line in text.split(|b| *b == b'\n').take(8) {
            let (by_route, line) = line.strip_prefix(b"r").map_or((false, line), |l| (true, l));
            let Some((&kind, rest)) = line.split_first() else { continue };
            let colon = rest.iter().position(|b| *b == b':').unwrap_or(rest.len());
            let (name, value) = (&rest[..colon], rest.get(colon + 1..).unwrap_or_default());
            let edit = match kind {
                b'=' => Edit::set(name, value),
                b'+' => Edit::add(name, value),
                b'-' => Edit::remove(name),
                _ => continue,
            };
            let Ok(edit) = edit else { continue };
            check_edit(&edit);
            if !by_route {
                hook.push(edit);
                continue;
            }
            let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
            match kind {
                b'=' => edits.set.push((text(name), text(value))),
                b'+' => edits.add.push((text(name), text(value))),
                _ => edits.remove.push(text(name)),
            }
        }
        let route = CompiledEdits::new(&edits).expect("each was judged alone");
        let removes = edits.remove.iter().map(|n| Edit::Remove(n.as_bytes().into()));
        let sets = edits.set.iter().map(|(n, v)| Edit::Set(n.as_bytes().into(), v.as_bytes().into()));
        let adds = edits.add.iter().map(|(n, v)| Edit::Add(n.as_bytes().into(), v.as_bytes().into()));
        Self { route, hook, route_order: removes.chain(sets).chain(adds).collect() }
    }

    /// In order; only the route's for a response.
    fn all(&self, with_hook: bool) -> Vec<&Edit> {
        let hook: &[Edit] = if with_hook { &self.hook } else { &[] };
        self.route_order.iter().chain(hook).collect()
    }
}

/// An edit that was let through can be written as one line, and leaves framing to the gateway.
fn check_edit(edit: &Edit) {
    let (name, value): (&[u8], &[u8]) = match edit {
        Edit::Set(name, value) | Edit::Add(name, value) => (name, value),
        Edit::Remove(name) => (name, b""),
    };
    assert!(reference::is_token(name), "an edit of a name that is no token passed");
    assert!(!value.iter().any(|b| b.is_ascii_control() && *b != b'\t'), "an edit with a control character passed");
    assert_eq!(reference::trim(value), value, "an edit with white space around it passed");
    let never: [&[u8]; 7] =
        [b"host", b"connection", b"content-length", b"transfer-encoding", b"te", b"upgrade", b"trailer"];
    assert!(!never.iter().any(|n| name.eq_ignore_ascii_case(n)), "an edit of the gateway's own header passed");
}

fn replaces(edit: &Edit, name: &[u8]) -> bool {
    match edit {
        Edit::Set(n, _) | Edit::Remove(n) => n.eq_ignore_ascii_case(name),
        Edit::Add(..) => false,
    }
}

/// Whether any change takes that name away from the other side.
fn replaced(edits: &[&Edit], name: &[u8]) -> bool {
    edits.iter().any(|e| replaces(e, name))
}

/// The lines the edits leave at the end, in order: a later change of a name wins.
fn written(edits: &[&Edit]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut lines: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for edit in edits {
        lines.retain(|(name, _)| !replaces(edit, name));
        if let Edit::Set(name, value) | Edit::Add(name, value) = edit {
            lines.push((name.to_vec(), value.to_vec()));
        }
    }
    lines
}

/// A written head cut into the lines of both sides and, at its end, those of the edits.
fn without_edits<'a>(head: &reference::Head<'a>, edits: &[&Edit]) -> Vec<(&'a [u8], &'a [u8])> {
    let expected = written(edits);
    let at = head.lines.len().checked_sub(expected.len()).expect("the edits are written");
    let (before, tail) = head.lines.split_at(at);
    let got: Vec<_> = tail.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
    assert_eq!(got, expected, "the edits as written");
    before.to_vec()
}

/// Names in lower case.
fn lower(name: &[u8]) -> Vec<u8> {
    name.to_ascii_lowercase()
}
