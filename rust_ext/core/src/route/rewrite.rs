//! Rewrites of the path before it goes upstream: whole segments only, and never into a path that reads in two ways.

use std::fmt;

use super::percent::{self, Keep};
use super::template::{self, Names, Part};
use super::{Captures, pattern};
use crate::snapshot::{Match, Rewrite};

/// Why no path (or no Location) could be made from a request; the answer is 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RewriteError {
    /// The result would hold a dot segment, decode twice, or not be the path that was matched.
    UnsafePath,
    /// The result's host would be empty or hold more than a host may.
    UnsafeHost,
}

impl fmt::Display for RewriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnsafePath => "the rewritten path is not a safe path",
            Self::UnsafeHost => "the redirect has no safe host",
        })
    }
}

impl std::error::Error for RewriteError {}

/// A compiled [`Rewrite`].
#[derive(Debug)]
pub struct Rewriter(Kind);

#[derive(Debug)]
enum Kind {
    /// The canonical prefix, without a trailing `/`.
    Strip(Vec<u8>),
    /// What stands in its place, without a trailing `/`.
    Replace(Vec<u8>),
    Template(Vec<Piece>),
}

#[derive(Debug)]
enum Piece {
    Literal(Vec<u8>),
    Capture(Box<str>),
}

impl Rewriter {
    /// Compiles the rewrite of a route with these matches.
    ///
    /// # Errors
    /// One sentence: a pattern or template at fault, a name that not every match captures, a replacement without a
    /// prefix to replace.
    pub fn compile(rewrite: &Rewrite, matches: &[Match]) -> Result<Self, String> {
        Ok(Self(match rewrite {
            Rewrite::StripPrefix(text) => {
                let segments = pattern::prefix(text, true)?;
                Kind::Strip(segments.iter().flat_map(|s| std::iter::once(&b'/').chain(s)).copied().collect())
            }
            Rewrite::ReplacePrefix(text) => {
                if !Names::of(matches).prefixes_only {
                    return Err("`replace` puts something in the place of the matched prefix, so every match of the \
                                route must be a `prefix`; use `path` for a template"
                        .into());
                }
                let mut path = path_literal(text)?;
                check_path(&path).map_err(|()| format!("{text:?} is not a safe path"))?;
                if path.last() == Some(&b'/') {
                    path.pop();
                }
                Kind::Replace(path)
            }
            Rewrite::Path(text) => Kind::Template(pieces(text, &Names::of(matches))?),
        }))
    }

    /// Appends the rewritten path. `raw_path` is the path as received, `canonical` the one that was matched, `captures`
    /// what it captured. A path that does not begin with a prefix to strip passes unchanged.
    ///
    /// # Errors
    /// The result would not be a safe path; `out` is then as it was.
    pub fn apply(
        &self,
        out: &mut Vec<u8>,
        raw_path: &[u8],
        canonical: &[u8],
        captures: &Captures,
    ) -> Result<(), RewriteError> {
        let from = out.len();
        let written = self.write(out, raw_path, canonical, captures);
        if out.len() == from {
            out.push(b'/');
        }
        let result = written.and_then(|()| check_path(&out[from..]));
        result.map_err(|()| {
            out.truncate(from);
            RewriteError::UnsafePath
        })
    }

    fn write(&self, out: &mut Vec<u8>, raw_path: &[u8], canonical: &[u8], captures: &Captures) -> Result<(), ()> {
        match &self.0 {
            Kind::Strip(prefix) => match canonical.strip_prefix(&prefix[..]) {
                Some([] | [b'/', ..]) => out.extend_from_slice(strip(raw_path, prefix).ok_or(())?),
                _ => out.extend_from_slice(raw_path),
            },
            Kind::Replace(replacement) => {
                let prefix = captures.prefix_len().and_then(|len| canonical.get(..len)).ok_or(())?;
                out.extend_from_slice(replacement);
                out.extend_from_slice(strip(raw_path, prefix).ok_or(())?);
            }
            Kind::Template(pieces) => {
                for piece in pieces {
                    match piece {
                        Piece::Literal(bytes) => join(out, bytes),
                        Piece::Capture(name) => {
                            // A group of a regex that took no part is empty.
                            let value = captures.get(name, canonical).unwrap_or_default();
                            let value = if out.last() == Some(&b'/') {
                                value.strip_prefix(b"/").unwrap_or(value)
                            } else {
                                value
                            };
                            percent::encode(out, value, Keep::Path);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// Appends `bytes` without doubling the `/` where they meet.
fn join(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = if out.last() == Some(&b'/') { bytes.strip_prefix(b"/").unwrap_or(bytes) } else { bytes };
    out.extend_from_slice(bytes);
}

/// What is left of a received path behind the segments of a canonical prefix: empty, or from one `/` on byte for byte.
///
/// Segments are compared, not counted: `None` if the received path does not begin with the prefix.
pub(super) fn strip<'r>(raw: &'r [u8], prefix: &[u8]) -> Option<&'r [u8]> {
    let mut rest = raw;
    for wanted in prefix.split(|b| *b == b'/').skip(1) {
        loop {
            let tail = rest.strip_prefix(b"/")?;
            let len = memchr::memchr(b'/', tail).unwrap_or(tail.len());
            let (segment, behind) = tail.split_at(len);
            rest = behind;
            if percent::segment(segment).eq(wanted.iter().copied()) {
                break;
            }
            // Empty ones (all but the last) do not stand in the canonical path.
            if percent::segment(segment).next().is_some() {
                return None;
            }
        }
    }
    // The canonical path has one `/` here; more would make the rest of the path look like a host.
    while rest.starts_with(b"//") {
        rest = &rest[1..];
    }
    Some(rest)
}

/// Whether a path begins with `/` and no segment of it reads in two ways.
fn check_path(path: &[u8]) -> Result<(), ()> {
    let segments = path.strip_prefix(b"/").ok_or(())?;
    let safe = segments.split(|b| *b == b'/').all(|segment| {
        if !segment.contains(&b'%') {
            return !is_dots(segment);
        }
        let mut decoded: Vec<u8> = percent::segment(segment).collect();
        // What was kept encoded separates segments for whoever decodes it later.
        while let Some(at) = decoded.windows(3).position(|w| w == b"%2F") {
            decoded.splice(at..at + 3, [b'/']);
        }
        let twice = decoded.windows(3).any(|w| percent::triplet(w).is_some());
        !twice && !decoded.split(|b| *b == b'/').any(is_dots)
    });
    if safe { Ok(()) } else { Err(()) }
}

fn is_dots(segment: &[u8]) -> bool {
    matches!(segment.split(|b| *b == b';').next(), Some(b"." | b".."))
}

fn path_literal(text: &str) -> Result<Vec<u8>, String> {
    if !text.starts_with('/') {
        return Err(format!("{text:?} must begin with `/`"));
    }
    if text.starts_with("//") {
        return Err(format!("{text:?} begins with `//`, which the target may take for a host"));
    }
    segment_literal(text)
}

fn segment_literal(text: &str) -> Result<Vec<u8>, String> {
    if text.contains(['?', '#']) {
        return Err(format!("{text:?}: a rewrite is a path only, the query is kept; write %3F or %23 if meant"));
    }
    template::literal(text, Keep::RawPath)
}

fn pieces(text: &str, names: &Names) -> Result<Vec<Piece>, String> {
    let parts = template::parse(text)?;
    let leads = match parts.first() {
        Some(Part::Literal(text)) => text.starts_with('/') && !text.starts_with("//"),
        Some(Part::Name(name)) => *name == "rest" && names.prefixes_only,
        None => false,
    };
    if !leads {
        return Err(format!("{text:?} must begin with one `/` (or with {{rest}} where every match is a prefix)"));
    }
    let mut pieces = Vec::with_capacity(parts.len());
    for part in parts {
        pieces.push(match part {
            Part::Literal(text) => Piece::Literal(segment_literal(text)?),
            Part::Name(name) => {
                names.check(name, &[])?;
                Piece::Capture(name.into())
            }
        });
    }
    // With a harmless value in every place, what is unsafe now is unsafe always.
    let sample: Vec<u8> =
        pieces.iter().flat_map(|p| if let Piece::Literal(l) = p { &l[..] } else { b"x" }).copied().collect();
    let sample = if sample.first() == Some(&b'/') { sample } else { [b"/", &sample[..]].concat() };
    check_path(&sample).map_err(|()| format!("{text:?} is not a safe path: it has a dot segment or decodes twice"))?;
    Ok(pieces)
}
