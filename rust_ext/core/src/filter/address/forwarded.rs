//! `Forwarded` (RFC 7239), read strictly: one line that departs from its grammar says nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::http1::is_token;

/// Elements of one line; proxies in a row are fewer.
const MAX_ELEMENTS: usize = 32;

/// Hands the address of each element's `for` to `take`, from the right, until it wants no more; `None` for an element
/// without an address (`unknown`, an obfuscated name, no `for`) or for a line that is not valid. Returns whether the
/// line to the left counts.
pub(super) fn read(value: &[u8], take: &mut impl FnMut(Option<IpAddr>) -> bool) -> bool {
    let mut hops = [None; MAX_ELEMENTS];
    let Some(count) = parse(value, &mut hops) else { return take(None) };
    hops.iter().take(count).rev().all(|hop| take(*hop))
}

/// `1#( [pair] *( ";" [pair] ) )`: how many elements there are; `None` where the line is not valid.
fn parse(mut rest: &[u8], hops: &mut [Option<IpAddr>; MAX_ELEMENTS]) -> Option<usize> {
    let mut count = 0_usize;
    // Names of one element, of which none may come twice (§4).
    let mut seen: [&[u8]; 8] = [b""; 8];
    let mut pairs = 0_usize;
    rest = blank(rest);
    loop {
        if !matches!(rest, [] | [b';' | b',', ..]) {
            let equals = rest.iter().position(|&b| b == b'=')?;
            let (name, value) = (rest.get(..equals)?, rest.get(equals.checked_add(1)?..)?);
            let (value, after) = one_value(value)?;
            if !is_token(name) || seen.iter().take(pairs).any(|other| other.eq_ignore_ascii_case(name)) {
                return None;
            }
            *seen.get_mut(pairs)? = name;
            pairs = pairs.checked_add(1)?;
            if name.eq_ignore_ascii_case(b"for") {
                *hops.get_mut(count)? = node(value);
            }
            rest = after;
        }
        match rest {
            [b';', after @ ..] => rest = after,
            _ => {
                // An empty list member is no element (RFC 9110 §5.6.1).
                if pairs > 0 {
                    count = count.checked_add(1)?;
                    pairs = 0;
                }
                match blank(rest) {
                    [] => return Some(count),
                    [b',', after @ ..] if count < MAX_ELEMENTS => rest = blank(after),
                    _ => return None,
                }
            }
        }
    }
}

/// A token, or what stands between quotes, and what follows it.
fn one_value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = text.iter().position(|&b| matches!(b, b';' | b',' | b' ' | b'\t')).unwrap_or(text.len());
        let (token, rest) = text.split_at_checked(end)?;
        return is_token(token).then_some((token, rest));
    };
    let mut escaped = false;
    for (i, &b) in quoted.iter().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some((quoted.get(..i)?, quoted.get(i.checked_add(1)?..)?)),
            _ => {}
        }
    }
    None
}

/// An address with or without a port (§6): IPv6 in brackets; a port is a number or obfuscated.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let (ip, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (inner, port) = rest.split_once(']')?;
            (IpAddr::V6(inner.parse::<Ipv6Addr>().ok()?), port)
        }
        None => {
            let (v4, port) = text.split_at_checked(text.find(':').unwrap_or(text.len()))?;
            (IpAddr::V4(v4.parse::<Ipv4Addr>().ok()?), port)
        }
    };
    let sound = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(port) => match port.strip_prefix('_') {
            Some(name) => {
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
            }
            None => port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok(),
        },
    };
    sound.then(|| ip.to_canonical())
}

fn blank(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}
