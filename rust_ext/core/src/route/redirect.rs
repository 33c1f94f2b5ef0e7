//! Redirects: the Location of an answer, made from a template so that nothing a client sends can leave its place.
//!
//! A value is percent-encoded for where it stands: in the host part it must be a host or one label, in the path it
//! cannot end the path, behind the `?` it cannot add a parameter. What comes out is printable ASCII, so that no CR or
//! LF can (RFC 9110 §5.5), and begins with `//` only if the template does (RFC 3986 §4.2).

use super::percent::{self, Keep};
use super::rewrite::strip;
use super::template::{self, Names, Part};
use super::{Captures, RewriteError};
use crate::snapshot::{Match, Redirect};

/// Names that need no capture.
const OWN: [&str; 3] = ["host", "path", "query"];

/// A compiled [`Redirect`].
#[derive(Debug)]
pub struct Redirector {
    /// Up to the fragment.
    pieces: Vec<Piece>,
    fragment: Vec<Piece>,
    keep_query: bool,
    /// The template itself begins with `//`.
    scheme_relative: bool,
}

#[derive(Debug)]
enum Piece {
    Literal(Vec<u8>),
    Value(Source, Place),
}

#[derive(Debug)]
enum Source {
    Host,
    Path,
    Query,
    /// What is left of the received path behind the matched prefix.
    Rest,
    Capture(Box<str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Authority,
    Path,
    Query,
    Fragment,
}

/// What a Location is made from.
#[derive(Debug, Clone, Copy)]
struct Values<'a> {
    host: &'a [u8],
    raw_path: &'a [u8],
    query: Option<&'a [u8]>,
    canonical: &'a [u8],
    captures: &'a Captures,
}

impl Redirector {
    /// Compiles the redirect of a route with these matches.
    ///
    /// The template begins with `/`, `http://`, `https://`, `//` or `{path}` (or `{rest}` of a prefix). It may name the
    /// captures of the route and `{host}` (without a port), `{path}` (as received), `{query}`; a capture of the same
    /// name goes before these.
    ///
    /// # Errors
    /// One sentence: a status that is no redirect, a template at fault, a name that not every match captures.
    pub fn compile(redirect: &Redirect, matches: &[Match]) -> Result<Self, String> {
        if !matches!(redirect.status, 301 | 302 | 303 | 307 | 308) {
            return Err(format!("{} is not a redirect's status: 301, 302, 303, 307 or 308", redirect.status));
        }
        let text = &redirect.to;
        let parts = template::parse(text)?;
        let mut builder = Builder { text, names: Names::of(matches), place: Place::Path, pieces: Vec::new() };
        for (at, part) in parts.iter().enumerate() {
            match part {
                Part::Literal(literal) => builder.literal(literal, at == 0)?,
                Part::Name(name) => builder.value(name, parts.get(at + 1))?,
            }
        }
        if parts.is_empty() {
            return Err(builder.bad_start());
        }
        let is_fragment = |p: &Piece| matches!(p, Piece::Literal(l) if l == b"#");
        let cut = builder.pieces.iter().position(is_fragment).unwrap_or(builder.pieces.len());
        let fragment = builder.pieces.split_off(cut);
        let has_query = builder.pieces.iter().any(|p| matches!(p, Piece::Literal(l) if l == b"?"));
        let scheme_relative = text.starts_with("//");
        Ok(Self { pieces: builder.pieces, fragment, keep_query: !has_query, scheme_relative })
    }

    /// Appends the Location for a request: `host` canonical, `raw_path` and `query` as received, `canonical` the path
    /// that was matched, `captures` what it captured.
    ///
    /// # Errors
    /// The host would not be one; `out` is then as it was.
    pub fn location(
        &self,
        out: &mut Vec<u8>,
        host: &[u8],
        raw_path: &[u8],
        query: Option<&[u8]>,
        canonical: &[u8],
        captures: &Captures,
    ) -> Result<(), RewriteError> {
        let from = out.len();
        let values = Values { host, raw_path, query, canonical, captures };
        let result = self.write(out, from, &values);
        if result.is_err() {
            out.truncate(from);
        }
        result
    }

    fn write(&self, out: &mut Vec<u8>, from: usize, values: &Values<'_>) -> Result<(), RewriteError> {
        for piece in &self.pieces {
            piece.write(out, values)?;
        }
        if !self.scheme_relative {
            let slashes = out[from..].iter().take_while(|b| **b == b'/').count();
            out.drain(from..from + slashes.saturating_sub(1));
        }
        if out.len() == from {
            out.push(b'/');
        }
        if let Some(query) = values.query
            && self.keep_query
        {
            out.push(b'?');
            percent::encode(out, query, Keep::RawQuery);
        }
        self.fragment.iter().try_for_each(|piece| piece.write(out, values))
    }
}

impl Piece {
    fn write(&self, out: &mut Vec<u8>, values: &Values<'_>) -> Result<(), RewriteError> {
        let (source, place) = match self {
            Self::Literal(bytes) => {
                out.extend_from_slice(bytes);
                return Ok(());
            }
            Self::Value(source, place) => (source, *place),
        };
        let (value, received) = match source {
            Source::Host => (values.host, false),
            Source::Path => (values.raw_path, true),
            Source::Query => (values.query.unwrap_or_default(), true),
            Source::Rest => {
                let prefix = values.captures.prefix_len().and_then(|len| values.canonical.get(..len));
                let rest = prefix.and_then(|prefix| strip(values.raw_path, prefix)).ok_or(RewriteError::UnsafePath)?;
                (rest, true)
            }
            // A group of a regex that took no part is empty.
            Source::Capture(name) => (values.captures.get(name, values.canonical).unwrap_or_default(), false),
        };
        if received && !value.is_empty() && !matches!(source, Source::Query) && value[0] != b'/' {
            // `OPTIONS *`: it would run into what stands before it.
            return Err(RewriteError::UnsafePath);
        }
        match place {
            Place::Authority => {
                let is_host = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
                let more = |b: &u8| matches!(source, Source::Host) && matches!(b, b'.' | b':' | b'[' | b']');
                if value.is_empty() || !value.iter().all(|b| is_host(b) || more(b)) {
                    return Err(RewriteError::UnsafeHost);
                }
                out.extend_from_slice(value);
            }
            Place::Path => {
                let value = if out.last() == Some(&b'/') { value.strip_prefix(b"/").unwrap_or(value) } else { value };
                percent::encode(out, value, if received { Keep::RawPath } else { Keep::Path });
            }
            Place::Query | Place::Fragment => {
                let keep = if matches!(source, Source::Query) { Keep::RawQuery } else { Keep::Component };
                percent::encode(out, value, keep);
            }
        }
        Ok(())
    }
}

struct Builder<'a> {
    text: &'a str,
    names: Names,
    place: Place,
    pieces: Vec<Piece>,
}

impl Builder<'_> {
    fn bad_start(&self) -> String {
        let text = self.text;
        format!(
            "{text:?} must begin with `/`, `http://`, `https://` or {{path}} (or {{rest}} where every match is a prefix)"
        )
    }

    fn literal(&mut self, literal: &str, first: bool) -> Result<(), String> {
        let mut rest = literal;
        if first {
            let start = ["https://", "http://", "//"].into_iter().find(|start| rest.starts_with(start));
            if let Some(start) = start {
                self.pieces.push(Piece::Literal(start.into()));
                self.place = Place::Authority;
                rest = &rest[start.len()..];
                if rest.starts_with(['/', '?', '#', ':']) || rest.is_empty() && literal.len() == self.text.len() {
                    return Err(format!("{:?}: a host is missing after `//`", self.text));
                }
            } else if !rest.starts_with('/') {
                return Err(self.bad_start());
            }
        }
        while !rest.is_empty() {
            let ends: &[char] = match self.place {
                Place::Authority => &['/', '?', '#'],
                Place::Path => &['?', '#'],
                Place::Query => &['#'],
                Place::Fragment => &[],
            };
            let len = rest.find(ends).unwrap_or(rest.len());
            let (here, tail) = rest.split_at(len);
            self.literal_in_place(here)?;
            rest = match tail.chars().next() {
                Some('?') => self.enter(Place::Query, &tail[1..], Some("?")),
                Some('#') => self.enter(Place::Fragment, &tail[1..], Some("#")),
                Some(_) => self.enter(Place::Path, tail, None),
                None => tail,
            };
        }
        Ok(())
    }

    /// The delimiters stand alone, so that they can be told from what is in a value's or a literal's place.
    fn enter<'t>(&mut self, place: Place, tail: &'t str, delimiter: Option<&str>) -> &'t str {
        self.place = place;
        self.pieces.extend(delimiter.map(|d| Piece::Literal(d.into())));
        tail
    }

    fn literal_in_place(&mut self, text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Ok(());
        }
        let bytes = match self.place {
            Place::Authority => {
                let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
                if !text.bytes().all(allowed) {
                    return Err(format!("{:?}: {text:?} cannot stand in a host and port", self.text));
                }
                text.into()
            }
            Place::Path => template::literal(text, Keep::RawPath)?,
            Place::Query | Place::Fragment => template::literal(text, Keep::RawQuery)?,
        };
        self.pieces.push(Piece::Literal(bytes));
        Ok(())
    }

    fn value(&mut self, name: &str, next: Option<&Part<'_>>) -> Result<(), String> {
        let source = match name {
            _ if name == "rest" && self.names.prefixes_only => Source::Rest,
            "host" if !self.names.any(name) => Source::Host,
            "path" if !self.names.any(name) => Source::Path,
            "query" if !self.names.any(name) => Source::Query,
            _ => {
                self.names.check(name, &OWN)?;
                Source::Capture(name.into())
            }
        };
        // These begin with `/` (or are empty), so that they end a host and can begin a Location.
        let begins_path = matches!(source, Source::Rest | Source::Path);
        if self.pieces.is_empty() && !begins_path {
            return Err(self.bad_start());
        }
        if self.place == Place::Authority {
            self.check_authority(name, &source, next)?;
            if begins_path {
                self.place = Place::Path;
            }
        }
        if matches!(source, Source::Query) && self.place != Place::Query {
            return Err(format!(
                "{:?}: {{query}} stands behind a `?`; without a `?` the query is kept anyway",
                self.text
            ));
        }
        self.pieces.push(Piece::Value(source, self.place));
        Ok(())
    }

    /// What may stand in the host part: `{host}` or one label whole, or what ends it.
    fn check_authority(&self, name: &str, source: &Source, next: Option<&Part<'_>>) -> Result<(), String> {
        let text = self.text;
        let before = match self.pieces.last() {
            Some(Piece::Literal(l)) => l.last().copied(),
            _ => None,
        };
        let next_starts = |with: &[char]| matches!(next, Some(Part::Literal(l)) if l.starts_with(with));
        let fits = match source {
            Source::Path | Source::Rest => before != Some(b'/'),
            Source::Host => {
                let ends = matches!(next, None | Some(Part::Name("path" | "rest")));
                matches!(before, Some(b'/' | b'.')) && (ends || next_starts(&[':', '/', '?', '#', '.']))
            }
            Source::Query | Source::Capture(_) => matches!(before, Some(b'/' | b'.')) && next_starts(&['.']),
        };
        if fits {
            return Ok(());
        }
        Err(format!(
            "{text:?}: {{{name}}} would change the host; put a `/` before it, or make it one whole label with more of the host behind it"
        ))
    }
}
