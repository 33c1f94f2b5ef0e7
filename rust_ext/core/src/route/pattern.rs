//! Path patterns: parsing, and the proof that a pattern can match a canonical path at all.

use super::percent;

/// Bytes of a pattern, as of a request target by default.
const MAX_BYTES: usize = 8 * 1024;
/// Segments of a pattern; bounds the depth of the tree.
const MAX_SEGMENTS: usize = 64;

/// One segment of a pattern, canonical.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// These bytes.
    Literal(Vec<u8>),
    /// `{name}`: one segment that is not empty.
    Capture(String),
    /// `{name:path}`: everything from here on; only the last.
    Rest(String),
}

/// The segments of a `prefix`, without the empty one after a trailing `/`.
pub(super) fn prefix(text: &str, encoded_slash: bool) -> Result<Vec<Vec<u8>>, String> {
    let mut segments = Vec::new();
    let mut parts = split(text)?.peekable();
    while let Some(part) = parts.next() {
        if part.contains(['{', '}']) {
            return Err(format!(
                "a prefix has no captures but found {part:?}: use `path` with a last segment {{rest:path}}, or write a literal brace as %7B or %7D"
            ));
        }
        if !part.is_empty() || parts.peek().is_some() {
            segments.push(literal(part, encoded_slash)?);
        }
    }
    Ok(segments)
}

/// The segments of a `path`; the last is an empty literal where the pattern ends in `/`.
pub(super) fn template(text: &str, encoded_slash: bool) -> Result<Vec<Segment>, String> {
    let mut segments = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    let mut parts = split(text)?.peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        if !part.contains(['{', '}']) {
            let empty = part.is_empty() && last;
            segments.push(Segment::Literal(if empty { Vec::new() } else { literal(part, encoded_slash)? }));
            continue;
        }
        let inner = part
            .strip_prefix('{')
            .and_then(|p| p.strip_suffix('}'))
            .filter(|p| !p.contains(['{', '}']))
            .ok_or_else(|| {
                format!("{part:?}: a capture is a whole segment, {{name}} or {{name:path}}; a literal brace is written %7B or %7D")
            })?;
        let (name, kind) = inner.split_once(':').map_or((inner, None), |(n, k)| (n, Some(k)));
        if !is_name(name) {
            return Err(format!("{part:?}: a capture's name is a letter or `_`, then letters, digits and `_`"));
        }
        if names.contains(&name) {
            return Err(format!("the capture {{{name}}} stands twice: every capture needs a name of its own"));
        }
        names.push(name);
        segments.push(match kind {
            None => Segment::Capture(name.to_owned()),
            Some("path") if last => Segment::Rest(name.to_owned()),
            Some("path") => {
                return Err(format!("{part:?} takes the remainder of the path, so it must be the last segment"));
            }
            Some(other) => {
                return Err(format!("{part:?}: unknown kind {other:?}, allowed: {{name}} and {{name:path}}"));
            }
        });
    }
    Ok(segments)
}

/// Whether that can be the name of a capture.
pub(super) fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn split(text: &str) -> Result<std::str::Split<'_, char>, String> {
    let Some(rest) = text.strip_prefix('/') else {
        return Err(format!("{text:?} must begin with `/`"));
    };
    if text.len() > MAX_BYTES {
        return Err(format!("the pattern has {} bytes, at most {MAX_BYTES} are allowed", text.len()));
    }
    let count = rest.split('/').count();
    if count > MAX_SEGMENTS {
        return Err(format!("the pattern has {count} segments, at most {MAX_SEGMENTS} are allowed"));
    }
    Ok(rest.split('/'))
}

/// A literal segment in canonical form; `encoded_slash` says whether a listener keeps `%2F`.
fn literal(part: &str, encoded_slash: bool) -> Result<Vec<u8>, String> {
    let never = |why: &str| Err(format!("{part:?} can never match: {why}"));
    if part.is_empty() {
        return Err("`//` can never match: runs of `/` are merged before matching".into());
    }
    if let Some(found) = part.chars().find(|c| matches!(c, '?' | '#' | '\\' | ';') || c.is_ascii_control()) {
        return match found {
            '?' => never("a path ends at `?`; match the query under `query`, or write %3F"),
            '#' => never("requests with a `#` are refused; write %23 for an encoded one"),
            ';' => never("`;` and what follows it are cut from each segment before matching"),
            '\\' => never("requests with a backslash are refused"),
            _ => never("requests with control characters are refused"),
        };
    }
    let raw = part.as_bytes();
    let mut at = 0;
    while let Some(offset) = memchr::memchr(b'%', &raw[at..]) {
        at += offset;
        let shown = part.get(at..at + 3).unwrap_or(&part[at..]);
        match percent::triplet(&raw[at..]) {
            None => {
                return never(&format!("{shown:?} is not a percent-encoding; a literal percent sign is written %25"));
            }
            Some(b'/') if !encoded_slash => {
                return never(&format!(
                    "requests with {shown} are refused unless the listener has `encoded_slash: keep`"
                ));
            }
            Some(b'\\') => return never("requests with an encoded backslash are refused"),
            Some(b';') => return never("`;` and what follows it are cut from each segment before matching"),
            Some(byte) if byte.is_ascii_control() => {
                return never("requests with encoded control characters are refused");
            }
            Some(b'%') if percent::before_hex(&raw[at + 3..]) => {
                return never("requests with %25 before two hex digits are refused");
            }
            Some(_) => at += 3,
        }
    }
    let decoded: Vec<u8> = percent::segment(raw).collect();
    if std::str::from_utf8(&decoded).is_err() {
        return never("requests whose path is not UTF-8 after decoding are refused");
    }
    if decoded == b"." || decoded == b".." {
        return never("dot segments are refused or resolved before matching");
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lit(text: &str) -> Segment {
        Segment::Literal(text.as_bytes().to_vec())
    }

    #[test]
    fn a_trailing_slash_counts_in_a_path_and_not_in_a_prefix() {
        assert_eq!(prefix("/api/", false), prefix("/api", false));
        assert_eq!(prefix("/", false), Ok(vec![]));
        assert_eq!(template("/api", false), Ok(vec![lit("api")]));
        assert_eq!(template("/api/", false), Ok(vec![lit("api"), lit("")]));
        assert_eq!(template("/", false), Ok(vec![lit("")]));
    }

    #[test]
    fn encodings_and_utf8_are_one_form() {
        assert_eq!(prefix("/%61p%C3%AF", false), prefix("/apï", false));
        assert_eq!(template("/a b/%7Bid%7D", false), Ok(vec![lit("a b"), lit("{id}")]));
        assert_eq!(prefix("/a%2fb", true), Ok(vec![b"a%2Fb".to_vec()]));
        assert_eq!(prefix("/100%25", false), Ok(vec![b"100%".to_vec()]));
    }

    #[test]
    fn captures() {
        let rest = Segment::Rest("rest".into());
        assert_eq!(template("/u/{id}/{rest:path}", false), Ok(vec![lit("u"), Segment::Capture("id".into()), rest]));
    }

    #[test]
    fn every_fault_has_its_sentence() {
        let long = format!("/{}", "a/".repeat(64));
        let cases = [
            ("api", "begin with"),
            ("", "begin with"),
            ("/a//b", "merged"),
            ("//", "merged"),
            ("/a/../b", "dot segments"),
            ("/%2e", "dot segments"),
            ("/a/.", "dot segments"),
            ("/a?x=1", "under `query`"),
            ("/a#b", "%23"),
            ("/a;v=1", "cut from each segment"),
            ("/a%3Bv", "cut from each segment"),
            ("/a\\b", "backslash"),
            ("/a%5cb", "backslash"),
            ("/a%2Fb", "encoded_slash: keep"),
            ("/a%zz", "not a percent-encoding"),
            ("/a%4", "not a percent-encoding"),
            ("/%2561", "%25 before two hex"),
            ("/a%00", "control characters"),
            ("/a\tb", "control characters"),
            ("/%ff", "UTF-8"),
            ("/{id", "whole segment"),
            ("/v{id}", "whole segment"),
            ("/{a}{b}", "whole segment"),
            ("/{}", "name is a letter"),
            ("/{1a}", "name is a letter"),
            ("/{a:int}", "unknown kind \"int\""),
            ("/{a:path}/b", "must be the last"),
            ("/{a}/{a}", "stands twice"),
            (&long, "65 segments"),
        ];
        for (text, expected) in cases {
            let message = template(text, false).expect_err(text);
            assert!(message.contains(expected), "{text}: {message}");
        }
        assert!(prefix("/{id}", false).is_err_and(|m| m.contains("no captures")));
        assert!(template(&format!("/{}", "a".repeat(8192)), false).is_err_and(|m| m.contains("8193 bytes")));
    }
}
