//! What a parsed request says: the accessors of [`Request`].

use super::field::{self, Field, FieldKind};
use super::request_line::Form;
use super::{Framing, Method, Request, Span, Version, scan};
use crate::websocket::is_key;

impl Request {
    /// The method.
    #[inline]
    pub fn method(&self) -> Method {
        self.method
    }

    /// The method as received.
    #[inline]
    pub fn method_bytes<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        self.method_span.of(bytes)
    }

    /// The version the client speaks.
    #[inline]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether the target is `*` (RFC 9112 §3.2.4); path and raw path are `*` then.
    #[inline]
    pub fn is_asterisk(&self) -> bool {
        self.form == Form::Asterisk
    }

    /// The path as received, or with its dot segments resolved where the listener says so.
    #[inline]
    pub fn raw_path<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        self.raw_path.of(bytes, &self.scratch)
    }

    /// The query without its `?`; empty for a bare `?`.
    #[inline]
    pub fn query<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        self.query.map(|span| span.of(bytes))
    }

    /// The canonical path.
    #[inline]
    pub fn path<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        self.path.of(bytes, &self.scratch)
    }

    /// The canonical host: lower case, no port, no trailing dot, IPv6 in brackets; empty for HTTP/1.0 without Host.
    #[inline]
    pub fn host<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        self.host.of(bytes, &self.scratch)
    }

    /// `host[:port]` as received.
    #[inline]
    pub fn authority<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        self.authority.of(bytes)
    }

    /// Every field line that survived the underscore and reserved-name rules, in order.
    #[inline]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Every value of that name (lower case), in order.
    pub fn get<'a>(&self, bytes: &'a [u8], name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
        field::values(&self.fields, bytes, name)
    }

    /// How the body is delimited.
    #[inline]
    pub fn framing(&self) -> Framing {
        match self.meaning.length {
            _ if self.meaning.chunked => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None => Framing::None,
        }
    }

    fn has_body(&self) -> bool {
        !matches!(self.framing(), Framing::None | Framing::Length(0))
    }

    /// Whether the client can send another request on this connection.
    #[inline]
    pub fn keep_alive(&self) -> bool {
        self.meaning.keeps_alive(self.version)
    }

    /// Whether the client waits for `100 Continue`: never for HTTP/1.0 or without a body (RFC 9110 §10.1.1).
    #[inline]
    pub fn expect_continue(&self) -> bool {
        self.expect && self.version == Version::Http11 && self.has_body()
    }

    /// The one protocol of `Upgrade` (RFC 9110 §7.8), if `Connection` names it, the version is 1.1 and there is no body.
    pub fn upgrade<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        if !self.meaning.upgrade || self.version != Version::Http11 || self.has_body() {
            return None;
        }
        field::only(&self.fields, bytes, FieldKind::Upgrade).filter(|value| is_protocol(value))
    }

    /// The key of a valid WebSocket opening handshake (RFC 6455 §4.2.1).
    pub fn websocket_key<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let asked = self.upgrade(bytes)?.eq_ignore_ascii_case(b"websocket") && self.method == Method::Get;
        let version = field::only(&self.fields, bytes, FieldKind::SecWebSocketVersion)?;
        let key = field::only(&self.fields, bytes, FieldKind::SecWebSocketKey)?;
        (asked && version == b"13" && is_key(key)).then_some(key)
    }

    /// Where the request line is, when it may be written again as it stands.
    #[inline]
    pub(crate) fn verbatim_line(&self) -> Option<(usize, usize)> {
        let same = self.form == Form::Origin && self.version == Version::Http11 && !self.raw_path.own;
        same.then_some((self.method_span.start as usize, self.fields_start))
    }

    /// Where `host[:port]` is.
    #[inline]
    pub(crate) fn authority_span(&self) -> Span {
        self.authority
    }

    /// Whether the client sent an `X-Request-Id`.
    #[inline]
    pub(crate) fn has_id(&self) -> bool {
        self.has_id
    }

    /// What `Content-Length` said.
    #[inline]
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.meaning.length
    }
}

/// `protocol-name ["/" protocol-version]` (RFC 9110 §7.8).
pub(super) fn is_protocol(value: &[u8]) -> bool {
    let mut parts = value.splitn(2, |&b| b == b'/');
    parts.all(scan::is_token)
}
