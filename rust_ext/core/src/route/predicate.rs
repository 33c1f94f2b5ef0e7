//! Predicates beside the path: methods as bits; headers, query and client address as one shared, compiled set.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use regex::bytes::Regex;

use super::{Allow, Lookup, percent, regexes};
use crate::snapshot::{Match, ValueMatch};

/// Bits of every method.
pub(super) const ANY_METHOD: u64 = u64::MAX;
/// The bit of every method that no route names.
const OTHER: u64 = 1 << 63;
const GET: u64 = 1;
pub(super) const HEAD: u64 = 2;

/// The methods that routes name; each has a bit.
#[derive(Debug)]
pub(super) struct Methods(Vec<Box<str>>);

impl Methods {
    pub(super) fn new() -> Self {
        Self(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].map(Into::into).into())
    }

    /// The bit of a method that a route names.
    pub(super) fn intern(&mut self, name: &str) -> Result<u64, String> {
        if let Some(at) = self.0.iter().position(|m| **m == *name) {
            return Ok(1 << at);
        }
        if name == "TRACE" || name == "CONNECT" {
            return Err(format!("{name} can never match: the gateway refuses it"));
        }
        let safe = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        if name.is_empty() || name.len() > 32 || !name.bytes().all(safe) {
            return Err(format!("{name:?} is not a method: 1 to 32 characters of A-Z, 0-9, `-` and `_`"));
        }
        if self.0.len() == 63 {
            return Err(format!("{name:?} is one method too many: all routes together may name 63"));
        }
        self.0.push(name.into());
        Ok(1 << (self.0.len() - 1))
    }

    /// What a route that names these methods serves: GET brings HEAD.
    pub(super) fn served(named: u64) -> u64 {
        match named {
            0 => ANY_METHOD,
            _ if named & GET != 0 => named | HEAD,
            _ => named,
        }
    }

    /// The bit of a request's method.
    #[inline]
    pub(super) fn bit(&self, method: &[u8]) -> u64 {
        match method {
            b"GET" => GET,
            _ => self.0.iter().position(|m| m.as_bytes() == method).map_or(OTHER, |at| 1 << at),
        }
    }

    pub(super) fn allow(&self, bits: u64) -> Allow {
        let mut names: Vec<&str> =
            self.0.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, m)| &**m).collect();
        names.sort_unstable();
        Allow { value: names.join(", ") }
    }
}

/// Everything but path, host, listener and method that a match asks for.
#[derive(Debug)]
pub(super) struct Predicates {
    headers: Vec<(Box<[u8]>, Value)>,
    query: Vec<(Box<[u8]>, Value)>,
    clients: Vec<IpNet>,
}

#[derive(Debug)]
enum Value {
    Exact(Box<[u8]>),
    Present(bool),
    Regex(Regex),
}

impl Predicates {
    /// Compiles them; faults are (path below the match, sentence).
    pub(super) fn compile(m: &Match) -> Result<Self, Vec<(String, String)>> {
        let mut faults = Vec::new();
        let mut headers = Vec::new();
        let mut query = Vec::new();
        for (name, value) in &m.headers {
            let at = format!("headers.{name}");
            if !is_field_name(name) {
                faults.push((at, format!("{name:?} is not a header name in lower case")));
                continue;
            }
            if let ValueMatch::Exact(text) = value
                && (text.bytes().any(|b| b.is_ascii_control() && b != b'\t') || text.trim_matches([' ', '\t']) != text)
            {
                let why = "a header's value has no control characters and no space at either end";
                faults.push((at, format!("{text:?} can never match: {why}")));
                continue;
            }
            match Value::compile(value) {
                Ok(value) => headers.push((name.as_bytes().into(), value)),
                Err(message) => faults.push((at, message)),
            }
        }
        for (name, value) in &m.query {
            match Value::compile(value) {
                Ok(value) => query.push((name.as_bytes().into(), value)),
                Err(message) => faults.push((format!("query.{name}"), message)),
            }
        }
        let clients = networks(&m.client_ip);
        if faults.is_empty() { Ok(Self { headers, query, clients }) } else { Err(faults) }
    }

    /// Whether all of them hold.
    pub(super) fn hold(&self, lookup: &Lookup<'_>) -> bool {
        self.client_holds(lookup.client)
            && self.headers.iter().all(|(name, value)| value.holds(|each| lookup.fields.values(name, each)))
            && self.query.iter().all(|(name, value)| value.holds_in_query(name, lookup.query.unwrap_or_default()))
    }

    fn client_holds(&self, client: Option<IpAddr>) -> bool {
        if self.clients.is_empty() {
            return true;
        }
        client.is_some_and(|ip| {
            let ip = ip.to_canonical();
            self.clients.iter().any(|net| net.contains(&ip))
        })
    }
}

impl Value {
    fn compile(value: &ValueMatch) -> Result<Self, String> {
        Ok(match value {
            ValueMatch::Exact(text) => Self::Exact(text.as_bytes().into()),
            ValueMatch::Present(wanted) => Self::Present(*wanted),
            ValueMatch::Regex(text) => Self::Regex(regexes::whole(text)?),
        })
    }

    /// Whether any of the values fits; `values` hands them to its argument until that returns false.
    fn holds(&self, values: impl FnOnce(&mut dyn FnMut(&[u8]) -> bool)) -> bool {
        let mut found = false;
        values(&mut |bytes| {
            found = match self {
                Self::Exact(text) => **text == *bytes,
                Self::Present(_) => true,
                Self::Regex(regex) => regex.is_match(bytes),
            };
            !found
        });
        match self {
            Self::Present(wanted) => found == *wanted,
            _ => found,
        }
    }

    /// The same for the values of a query parameter, decoded.
    fn holds_in_query(&self, name: &[u8], query: &[u8]) -> bool {
        let mut found = false;
        for pair in query.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            let cut = memchr::memchr(b'=', pair);
            let (key, raw) = cut.map_or((pair, &b""[..]), |at| (&pair[..at], &pair[at + 1..]));
            if !percent::form(key).eq(name.iter().copied()) {
                continue;
            }
            found = match self {
                Self::Exact(text) => percent::form(raw).eq(text.iter().copied()),
                Self::Present(_) => true,
                Self::Regex(regex) => regex.is_match(&percent::form(raw).collect::<Vec<u8>>()),
            };
            if found {
                break;
            }
        }
        match self {
            Self::Present(wanted) => found == *wanted,
            _ => found,
        }
    }
}

/// A text that is the same for two matches exactly if their predicates are; `None` where there are none.
pub(super) fn identity(m: &Match) -> Option<String> {
    if m.headers.is_empty() && m.query.is_empty() && m.client_ip.is_empty() {
        return None;
    }
    let mut clients = networks(&m.client_ip);
    clients.sort_unstable();
    clients.dedup();
    Some(format!("{:?} {:?} {clients:?}", m.headers, m.query))
}

/// The networks with host bits cleared, IPv4-mapped ones as IPv4.
fn networks(nets: &[IpNet]) -> Vec<IpNet> {
    let canonical = |net: &IpNet| match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
            Some(v4) => Ipv4Net::new(v4, v6.prefix_len() - 96).map_or(*net, IpNet::V4),
            None => *net,
        },
        _ => *net,
    };
    nets.iter().map(|net| canonical(net).trunc()).collect()
}

/// RFC 9110 §5.6.2, in lower case.
fn is_field_name(name: &str) -> bool {
    let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(value: ValueMatch, query: &str) -> bool {
        Value::compile(&value).unwrap().holds_in_query(b"a b", query.as_bytes())
    }

    #[test]
    fn query_parameters_compare_decoded() {
        let exact = |text: &str| ValueMatch::Exact(text.into());
        assert!(holds(exact("x y"), "a+b=x+y"));
        assert!(holds(exact("x y"), "z=1&a%20b=1&a%20b=%78%20y"));
        assert!(holds(exact(""), "a+b"));
        assert!(holds(exact("1=2"), "a+b=1=2"));
        assert!(!holds(exact("x"), "a+b=X&b=x&a=x"));
        assert!(holds(ValueMatch::Present(true), "a%20b"));
        assert!(holds(ValueMatch::Present(false), "a%2520b"));
        assert!(!holds(ValueMatch::Present(false), "a+b=1"));
        assert!(holds(ValueMatch::Regex("[0-9]+".into()), "a+b=x&a+b=%31%32"));
        assert!(!holds(ValueMatch::Regex("[0-9]+".into()), "a+b=1x"));
        assert!(!holds(ValueMatch::Regex(".*".into()), ""));
    }

    #[test]
    fn a_mapped_client_or_network_is_its_ipv4() {
        let set = |net: &str| Predicates { headers: vec![], query: vec![], clients: networks(&[net.parse().unwrap()]) };
        let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        for net in ["10.1.2.3/8", "::ffff:10.0.0.0/104"] {
            assert!(set(net).client_holds(ip("10.9.9.9")) && set(net).client_holds(ip("::ffff:10.9.9.9")));
            assert!(!set(net).client_holds(ip("11.0.0.1")) && !set(net).client_holds(None));
        }
        assert!(set("2001:db8::/32").client_holds(ip("2001:db8::1")));
        assert!(!set("::/0").client_holds(ip("10.0.0.1")));
    }

    #[test]
    fn methods_have_bits_and_a_bound() {
        let mut methods = Methods::new();
        for i in 0..56 {
            assert!(methods.intern(&format!("M{i}")).is_ok());
        }
        assert!(methods.intern("M56").is_err_and(|m| m.contains("63")));
        assert_eq!(methods.bit(b"NEVER"), OTHER);
        assert!(["TRACE", "CONNECT", "get", "", "A B"].into_iter().all(|m| methods.intern(m).is_err()));
        assert_eq!(methods.allow(Methods::served(GET) | methods.bit(b"DELETE")).as_str(), "DELETE, GET, HEAD");
    }
}
