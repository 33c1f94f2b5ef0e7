//! Fields that policies put into the answer to a client, whoever gives it: the origin or the gateway.

use std::ops::Range;

use super::edits::{Edits, is_value, line};
use crate::http1::is_token;

/// Fields to add, those to add where nobody said them, and what is taken from the origin's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extra {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    strip_cors: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    name: Range<usize>,
    value: Range<usize>,
    when: When,
}

/// Into which answers a field goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// Every one.
    Always,
    /// Those that do not have it.
    Absent,
    /// The gateway's own, where they do not have it.
    Own,
}

/// Who gives an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The gateway.
    Gateway,
    /// The origin.
    Origin,
}

impl Extra {
    /// Adds a field line. One that could not be read back as one line is left out.
    pub fn add(&mut self, name: &str, value: &[u8]) {
        self.put(name, value, When::Always);
    }

    /// Adds a field line unless the answer has one of that name.
    pub fn absent(&mut self, name: &str, value: &[u8]) {
        self.put(name, value, When::Absent);
    }

    /// Adds a field line to an answer of the gateway's own, unless it has one of that name.
    pub fn own(&mut self, name: &str, value: &[u8]) {
        self.put(name, value, When::Own);
    }

    /// Takes the origin's `Access-Control-*` away: the gateway's policy speaks for it.
    pub fn strip_cors(&mut self) {
        self.strip_cors = true;
    }

    fn put(&mut self, name: &str, value: &[u8], when: When) {
        if !is_token(name.as_bytes()) || !is_value(value) {
            return;
        }
        let from = self.bytes.len();
        self.bytes.extend_from_slice(name.as_bytes());
        let between = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.fields.push(Field { name: from..between, value: between..self.bytes.len(), when });
    }

    /// Whether an origin's field of that name is left out.
    pub(crate) fn takes_away(&self, name: &[u8]) -> bool {
        const CORS: &[u8] = b"access-control-";
        self.strip_cors && name.get(..CORS.len()).is_some_and(|start| start.eq_ignore_ascii_case(CORS))
    }

    /// Writes them behind a head that begins at `start` of `out` and has not ended. The route's changes win.
    pub(crate) fn write(&self, out: &mut Vec<u8>, start: usize, edits: &Edits<'_>, by: By) {
        for field in &self.fields {
            let (name, value) = (&self.bytes[field.name.clone()], &self.bytes[field.value.clone()]);
            let wanted = match field.when {
                When::Always => true,
                When::Absent => !says(&out[start..], name),
                When::Own => by == By::Gateway && !says(&out[start..], name),
            };
            if wanted && !edits.replace(name) {
                line(out, name, value);
            }
        }
    }
}

/// Whether a head has a field line of that name.
fn says(head: &[u8], name: &[u8]) -> bool {
    head.split(|b| *b == b'\n')
        .any(|line| line.get(name.len()) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{CompiledEdits, NO_EDITS};
    use crate::snapshot::HeaderEdits;

    fn written(extra: &Extra, edits: &CompiledEdits) -> String {
        let mut out = b"before HTTP/1.1 200 OK\r\nX-Frame-Options: deny\r\nX-Options: a\r\n".to_vec();
        let start = out.len();
        extra.write(&mut out, 7, &Edits { route: edits, hook: &[] }, By::Origin);
        String::from_utf8(out[start..].to_vec()).unwrap()
    }

    #[test]
    fn what_nobody_said_is_added_and_the_route_has_the_last_word() {
        let mut extra = Extra::default();
        extra.add("Vary", b"Origin");
        extra.absent("x-frame-options", b"sameorigin");
        extra.absent("options", b"b");
        extra.absent("X-Options", b"b");
        extra.add("X-Options", b"c");
        assert_eq!(written(&extra, &NO_EDITS), "Vary: Origin\r\noptions: b\r\nX-Options: c\r\n");
        let own = HeaderEdits { remove: vec!["vary".into()], ..HeaderEdits::default() };
        assert_eq!(written(&extra, &CompiledEdits::new(&own).unwrap()), "options: b\r\nX-Options: c\r\n");
    }

    #[test]
    fn some_are_for_the_gateways_own_answers() {
        let mut extra = Extra::default();
        extra.own("Content-Security-Policy", b"frame-ancestors 'self'");
        let mut out = Vec::new();
        let edits = Edits { route: &NO_EDITS, hook: &[] };
        extra.write(&mut out, 0, &edits, By::Origin);
        assert!(out.is_empty());
        extra.write(&mut out, 0, &edits, By::Gateway);
        extra.write(&mut out, 0, &edits, By::Gateway);
        assert_eq!(out, b"Content-Security-Policy: frame-ancestors 'self'\r\n");
    }

    #[test]
    fn nothing_is_written_that_is_no_field() {
        let mut extra = Extra::default();
        for (name, value) in [("a b", "1"), ("", "1"), ("a", "1\r\nb: 2"), ("a", " 1"), ("a:", "1")] {
            extra.add(name, value.as_bytes());
        }
        assert_eq!(extra, Extra::default());
    }

    #[test]
    fn the_origins_cors_fields_are_known_by_their_start() {
        let mut extra = Extra::default();
        assert!(!extra.takes_away(b"Access-Control-Allow-Origin"));
        extra.strip_cors();
        assert!(extra.takes_away(b"Access-Control-Allow-Origin"));
        for other in [&b"access-control"[..], b"x-access-control-a", b""] {
            assert!(!extra.takes_away(other));
        }
    }
}
