//! Templates of rewrites and redirects: `{name}` stands for what the route's path captured.

use super::pattern::{self, Segment};
use super::{percent, regexes};
use crate::snapshot::{Match, PathMatch};

/// A piece of a template as written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Literal(&'a str),
    Name(&'a str),
}

/// Cuts a template into literals and names.
pub(super) fn parse(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (literal, tail) = rest.split_at(at);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        let Some((name, tail)) = tail.strip_prefix('{').and_then(|t| t.split_once('}')) else {
            return Err(format!("{text:?}: a brace without its partner; a literal one is written %7B or %7D"));
        };
        if !pattern::is_name(name) {
            return Err(format!(
                "{text:?}: {{{name}}} is not a capture's name; here it is written {{name}}, nothing else"
            ));
        }
        parts.push(Part::Name(name));
        rest = tail;
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest));
    }
    Ok(parts)
}

/// What the matches of a route capture.
pub(super) struct Names {
    /// For each match; a match whose pattern is at fault is left out (the table reports it).
    sets: Vec<Vec<String>>,
    /// Whether every match is a prefix.
    pub(super) prefixes_only: bool,
}

impl Names {
    pub(super) fn of(matches: &[Match]) -> Self {
        let prefixes_only = matches.iter().all(|m| matches!(m.path, Some(PathMatch::Prefix(_))));
        Self { sets: matches.iter().filter_map(|m| names(m.path.as_ref())).collect(), prefixes_only }
    }

    /// Whether any match captures it.
    pub(super) fn any(&self, name: &str) -> bool {
        self.sets.iter().any(|set| set.iter().any(|n| n == name))
    }

    /// Whether every match captures it, and a sentence if not; `beside` are the names that need no capture.
    pub(super) fn check(&self, name: &str, beside: &[&str]) -> Result<(), String> {
        if self.sets.iter().all(|set| set.iter().any(|n| n == name)) {
            return Ok(());
        }
        let in_all = |name: &&String| self.sets.iter().all(|set| set.contains(name));
        let captured = self.sets.first().into_iter().flatten().filter(in_all).map(String::as_str);
        let known: Vec<String> = captured.chain(beside.iter().copied()).map(|n| format!("{{{n}}}")).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let which = if self.any(name) { "not captured by every match of the route" } else { "unknown" };
        Err(format!("{{{name}}} is {which}; allowed here: {known}"))
    }
}

fn names(path: Option<&PathMatch>) -> Option<Vec<String>> {
    Some(match path {
        None => Vec::new(),
        Some(PathMatch::Prefix(_)) => vec!["rest".to_owned()],
        Some(PathMatch::Path(text)) => {
            let captured = |segment| match segment {
                Segment::Literal(_) => None,
                Segment::Capture(name) | Segment::Rest(name) => Some(name),
            };
            pattern::template(text, true).ok()?.into_iter().filter_map(captured).collect()
        }
        Some(PathMatch::Regex(text)) => {
            regexes::whole(text).ok()?.capture_names().flatten().map(str::to_owned).collect()
        }
    })
}

/// A literal of a rewritten path or of a redirect, percent-encoded where it must be.
pub(super) fn literal(text: &str, keep: percent::Keep) -> Result<Vec<u8>, String> {
    let raw = text.as_bytes();
    if let Some(found) = text.chars().find(|c| c.is_ascii_control() || matches!(c, ' ' | '\\' | '"' | '<' | '>')) {
        return Err(format!("{text:?}: {found:?} cannot stand here; write it percent-encoded if it is meant"));
    }
    for at in memchr::memchr_iter(b'%', raw) {
        match percent::triplet(&raw[at..]) {
            None => return Err(format!("{text:?}: `%` without two hex digits; a percent sign is written %25")),
            Some(byte) if byte.is_ascii_control() || byte == b'\\' => {
                return Err(format!("{text:?}: encoded control characters and backslashes are not allowed"));
            }
            Some(_) => {}
        }
    }
    let mut out = Vec::with_capacity(raw.len());
    percent::encode(&mut out, raw, keep);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_into_parts() {
        let parts = parse("/a/{id}.json{rest}").unwrap();
        assert_eq!(parts, [Part::Literal("/a/"), Part::Name("id"), Part::Literal(".json"), Part::Name("rest")]);
        for bad in ["/{id", "/id}", "/{}", "/{a{b}}", "/{rest:path}", "/{a b}"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn literals_come_out_as_uri_characters() {
        let encoded = |text| literal(text, percent::Keep::RawPath).map(|l| String::from_utf8(l).unwrap());
        assert_eq!(encoded("/ï%20;v").unwrap(), "/%C3%AF%20;v");
        for bad in ["/a b", "/a\r\n", "/%0d", "/%4", "/a\\b", "/%5C"] {
            assert!(encoded(bad).is_err(), "{bad}");
        }
    }
}
