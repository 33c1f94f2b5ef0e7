//! Who the client is, and what its request is called.

mod forwarded;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::http1::{FieldKind, Request, RequestRules, write};

/// Who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The address policies, routes and logs use; `None` on a Unix socket without a believed header.
    pub ip: Option<IpAddr>,
    /// The peer is a trusted proxy: its `Forwarded` and `X-Forwarded-*` are believed and passed on.
    pub trusted: bool,
}

/// Resolves the client: the peer, or, where that is trusted, the rightmost address of `X-Forwarded-For` that is not; of
/// `Forwarded` (RFC 7239) where there is no `X-Forwarded-For`.
///
/// The list is read from the right over all its lines; what is not an address ends the reading, and the last trusted
/// hop stands for the client then.
pub fn client_address(req: &Request, bytes: &[u8], peer: Option<IpAddr>, rules: &RequestRules) -> Client {
    let peer = match peer {
        Some(IpAddr::V6(v6)) => Some(v6.to_canonical()),
        other => other,
    };
    if rules.trusted.is_empty() || !rules.trusts(peer) {
        return Client { ip: peer, trusted: false };
    }
    let mut client = peer;
    // Whether the next hop to the left counts.
    let mut take = |ip: Option<IpAddr>| {
        client = ip.or(client);
        ip.is_some() && rules.trusts(ip)
    };
    let lines = |kind| req.fields().iter().rev().filter(move |field| field.kind == kind);
    if lines(FieldKind::XForwardedFor).next().is_some() {
        let mut members =
            lines(FieldKind::XForwardedFor).flat_map(|field| field.value.of(bytes).rsplit(|&b| b == b','));
        while members.next().is_some_and(|member| take(hop(member))) {}
    } else {
        let mut elements = lines(FieldKind::Forwarded).map(|field| field.value.of(bytes));
        while elements.next().is_some_and(|value| forwarded::read(value, &mut take)) {}
    }
    Client { ip: client, trusted: true }
}

/// One hop: an address, IPv6 with or without brackets, with or without a port; no zone.
fn hop(member: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(member).ok()?.trim_matches([' ', '\t']);
    let ip = match text.strip_prefix('[') {
        Some(rest) => {
            let (inner, port) = rest.split_once(']')?;
            port_or_nothing(port)?;
            IpAddr::V6(inner.parse::<Ipv6Addr>().ok()?)
        }
        None => match text.split_once(':') {
            Some((v4, port)) if !port.contains(':') => {
                let ip = v4.parse::<Ipv4Addr>().ok()?;
                port.parse::<u16>().ok()?;
                IpAddr::V4(ip)
            }
            _ => text.parse::<IpAddr>().ok()?,
        },
    };
    Some(ip.to_canonical())
}

fn port_or_nothing(text: &str) -> Option<()> {
    match text.strip_prefix(':') {
        Some(port) => port.parse::<u16>().is_ok().then_some(()),
        None => text.is_empty().then_some(()),
    }
}

/// The longest request id taken from a client.
const MAX_ID: usize = 128;

/// The client's only `X-Request-Id` if it is at most 128 safe characters (letters, digits, `-._~+/=:@`), else
/// `random` in hex.
pub fn request_id<'a>(req: &'a Request, bytes: &'a [u8], random: u128, buf: &'a mut [u8; 32]) -> &'a [u8] {
    if !req.has_id() {
        write::hex32(random, buf);
        return buf;
    }
    let mut sent = req.fields().iter().filter(|field| field.kind == FieldKind::XRequestId);
    if let (Some(field), None) = (sent.next(), sent.next()) {
        let id = field.value.of(bytes);
        if !id.is_empty() && id.len() <= MAX_ID && id.iter().all(|&b| is_safe(b)) {
            return id;
        }
    }
    write::hex32(random, buf);
    buf
}

fn is_safe(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-._~+/=:@".contains(&b)
}
