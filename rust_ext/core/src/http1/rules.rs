//! What a listener demands of a request head.

use ipnet::IpNet;

use super::names::ReservedNames;
use crate::snapshot::{DotSegments, EncodedSlash, Limits, Listener, UnderscoreHeaders};

/// What a listener demands of a request head.
#[derive(Debug, Clone)]
pub struct RequestRules {
    /// Bytes of a head, request line and empty line included; beyond it 431.
    pub head_bytes: usize,
    /// Field lines of a head, removed ones counted too; beyond it 431.
    pub header_count: usize,
    /// Bytes of a target; beyond it 414.
    pub uri_bytes: usize,
    /// What becomes of `%2F` in a path.
    pub encoded_slash: EncodedSlash,
    /// What becomes of dot segments in a path.
    pub dot_segments: DotSegments,
    /// What becomes of header names with an underscore.
    pub underscore_headers: UnderscoreHeaders,
    /// Peers whose `X-Forwarded-*` are believed.
    pub trusted: Vec<IpNet>,
    /// Names removed from every request.
    pub reserved: ReservedNames,
}

impl RequestRules {
    /// The rules of one listener.
    pub fn new(limits: &Limits, listener: &Listener, reserved: &[String]) -> Self {
        Self {
            head_bytes: limits.headers as usize,
            header_count: usize::from(limits.header_count),
            uri_bytes: limits.uri as usize,
            encoded_slash: listener.encoded_slash,
            dot_segments: listener.dot_segments,
            underscore_headers: listener.underscore_headers,
            trusted: listener.trusted_proxies.clone(),
            reserved: ReservedNames::new(reserved),
        }
    }

    /// Whether this peer's `X-Forwarded-*` are believed. A Unix socket has no address: its peer is believed where the
    /// listener trusts anybody at all.
    pub fn trusts(&self, peer: Option<std::net::IpAddr>) -> bool {
        match peer {
            Some(ip) => {
                let ip = ip.to_canonical();
                self.trusted.iter().any(|net| net.contains(&ip))
            }
            None => !self.trusted.is_empty(),
        }
    }
}
