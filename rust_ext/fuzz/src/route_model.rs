//! Which candidates accept a look-up, found by a linear scan with no index, tree or set of expressions.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::net::IpAddr;

use fastgate_core::snapshot::{EncodedSlash, Match, PathMatch, Route, ValueMatch};
use regex::bytes::Regex;

use crate::path_model;

/// A look-up as the model sees it.
pub struct Asked<'a> {
    pub host: &'a [u8],
    pub path: &'a [u8],
    pub query: &'a [u8],
    pub method: &'a str,
    pub field: &'a str,
    pub client: Option<IpAddr>,
}

/// A candidate that accepts everything but perhaps the method.
pub struct Accepted {
    pub route: usize,
    /// Smaller is better; what the rule settles first: priority, host, path kind.
    pub rank: (Reverse<i32>, (u8, Reverse<usize>), u8),
    /// Methods it serves; `None`: every one.
    pub methods: Option<BTreeSet<String>>,
}

impl Accepted {
    pub fn serves(&self, method: &str) -> bool {
        self.methods.as_ref().is_none_or(|m| m.contains(method))
    }
}

/// Every route here has one match.
pub fn scan(routes: &[Route], ask: &Asked<'_>) -> Vec<Accepted> {
    let mut accepted = Vec::new();
    for (number, route) in routes.iter().enumerate() {
        let one = &route.matches[0];
        if !path_fits(one.path.as_ref(), ask.path)
            || !one.headers.keys().all(|name| name == ask.field)
            || !query_fits(one, ask.query)
            || !client_fits(one, ask.client)
        {
            continue;
        }
        let hosts: Vec<(u8, Reverse<usize>)> = if one.hosts.is_empty() {
            vec![(2, Reverse(0))]
        } else {
            one.hosts.iter().filter_map(|pattern| host_rank(pattern, ask.host)).collect()
        };
        for host in hosts {
            let rank = (Reverse(route.priority), host, path_kind(one));
            accepted.push(Accepted { route: number, rank, methods: methods(one) });
        }
    }
    accepted
}

/// Every parameter asked for: some value of it fits, or it is there, or it is not.
fn query_fits(one: &Match, query: &[u8]) -> bool {
    let pairs: Vec<(Vec<u8>, Vec<u8>)> = query
        .split(|b| *b == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut parts = pair.splitn(2, |b| *b == b'=');
            (form(parts.next().unwrap_or_default()), form(parts.next().unwrap_or_default()))
        })
        .collect();
    one.query.iter().all(|(name, wanted)| {
        let mut values = pairs.iter().filter(|(key, _)| key == name.as_bytes()).map(|(_, value)| value);
        match wanted {
            ValueMatch::Exact(text) => values.any(|value| value == text.as_bytes()),
            ValueMatch::Present(there) => values.next().is_some() == *there,
            ValueMatch::Regex(text) => values.any(|value| expression(text).is_match(value)),
        }
    })
}

/// A form's text decoded: `+` is a space, `%` without two digits itself.
fn form(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|b| char::from(*b).to_digit(16));
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let byte = match (text[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                at += 2;
                (high * 16 + low) as u8
            }
            (b'+', ..) => b' ',
            (other, ..) => other,
        };
        out.push(byte);
        at += 1;
    }
    out
}

/// Compared as IPv6 bits, IPv4 within `::ffff:0:0/96`; a shorter IPv6 network holds no IPv4 address.
fn client_fits(one: &Match, client: Option<IpAddr>) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let mapped = |bits: u128| bits >> 32 == 0xffff;
    one.client_ip.is_empty()
        || client.is_some_and(|client| {
            one.client_ip.iter().any(|net| {
                let prefix = u32::from(net.prefix_len()) + if net.addr().is_ipv4() { 96 } else { 0 };
                let (a, b) = (bits(client), bits(net.addr()));
                let same = prefix == 0 || (a ^ b) >> (128 - prefix) == 0;
                same && (prefix >= 96 || !mapped(a))
            })
        })
}

fn methods(one: &Match) -> Option<BTreeSet<String>> {
    if one.methods.is_empty() {
        return None;
    }
    let mut methods: BTreeSet<String> = one.methods.iter().cloned().collect();
    if methods.contains("GET") {
        methods.insert("HEAD".into());
    }
    Some(methods)
}

fn host_rank(pattern: &str, host: &[u8]) -> Option<(u8, Reverse<usize>)> {
    match pattern.strip_prefix('*') {
        Some(suffix) => {
            let fits = host.len() > suffix.len() && host.ends_with(suffix.as_bytes());
            fits.then_some((1, Reverse(suffix.len())))
        }
        None => (pattern.as_bytes() == host).then_some((0, Reverse(0))),
    }
}

fn path_kind(one: &Match) -> u8 {
    match &one.path {
        Some(PathMatch::Path(text)) => u8::from(text.contains('{')),
        Some(PathMatch::Prefix(_)) => 2,
        Some(PathMatch::Regex(_)) => 3,
        None => 4,
    }
}

/// A literal segment of a pattern as it stands in canonical paths.
fn literal(segment: &str) -> Vec<u8> {
    let path = path_model::canonical(&[b"/", segment.as_bytes()].concat(), EncodedSlash::Keep);
    path.expect("a pattern that compiles can match")[1..].to_vec()
}

/// The name in `{name}` or `{name:path}`.
pub fn capture(segment: &str) -> Option<&str> {
    let inner = segment.strip_prefix('{')?.strip_suffix('}')?;
    Some(inner.strip_suffix(":path").unwrap_or(inner))
}

fn path_fits(pattern: Option<&PathMatch>, path: &[u8]) -> bool {
    match pattern {
        None => true,
        Some(PathMatch::Prefix(text)) => prefix_length(text, path).is_some(),
        Some(PathMatch::Path(text)) => captured(text, path).is_some(),
        Some(PathMatch::Regex(text)) => expression(text).is_match(path),
    }
}

/// Bytes of the path that the prefix takes, if it fits.
pub fn prefix_length(text: &str, path: &[u8]) -> Option<usize> {
    let mut wanted = Vec::new();
    for segment in text.split('/').filter(|s| !s.is_empty()) {
        wanted.push(b'/');
        wanted.extend(literal(segment));
    }
    let rest = path.strip_prefix(&wanted[..])?;
    (path.starts_with(b"/") && (rest.is_empty() || rest[0] == b'/')).then_some(wanted.len())
}

/// What a template captures from the path, if it fits.
pub fn captured<'t, 'p>(text: &'t str, path: &'p [u8]) -> Option<Vec<(&'t str, &'p [u8])>> {
    let mut rest = path;
    let mut found = Vec::new();
    for segment in text[1..].split('/') {
        rest = rest.strip_prefix(b"/")?;
        let end = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
        match capture(segment) {
            Some(name) if segment.ends_with(":path}") => {
                found.push((name, rest));
                return Some(found);
            }
            Some(_) if end == 0 => return None,
            Some(name) => found.push((name, &rest[..end])),
            None if literal(segment) == rest[..end] => {}
            None => return None,
        }
        rest = &rest[end..];
    }
    rest.is_empty().then_some(found)
}

/// On the whole value; a comment of `(?x)` needs its line to end.
fn expression(text: &str) -> Regex {
    let whole = |end: &str| Regex::new(&format!(r"\A(?:{text}{end})\z"));
    whole("").or_else(|_| whole("\n")).expect("a route's expression compiled")
}
