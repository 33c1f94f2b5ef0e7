//! The request head for the upstream, written anew from the parsed request.

use std::io::Write as _;
use std::net::{IpAddr, Ipv6Addr};

use super::address::Client;
use super::edits::{CompiledEdits, Edit, Edits, line};
use super::run::Run;
use crate::http1::{Field, FieldKind, Framing, Request, write};

/// What a request head for the upstream is written from, besides the request.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    /// The path to ask for: the received one, or the rewrite.
    pub path: &'a [u8],
    /// Without `?`.
    pub query: Option<&'a [u8]>,
    /// The value of Host by the route's policy.
    pub host: &'a [u8],
    /// Who sent the request.
    pub client: &'a Client,
    /// Who is connected.
    pub peer: Option<IpAddr>,
    /// `http` or `https`: how the peer is connected.
    pub scheme: &'static str,
    /// Goes into `X-Request-Id`.
    pub request_id: &'a [u8],
    /// How the body will be sent.
    pub framing: Framing,
    /// The protocol asked for, if the route lets it pass.
    pub upgrade: Option<&'a [u8]>,
    /// Ask the upstream to send `100 Continue`.
    pub expect_continue: bool,
    /// The route's changes.
    pub edits: &'a CompiledEdits,
    /// A hook's changes.
    pub hook_edits: &'a [Edit],
}

/// Writes a request head, always HTTP/1.1: what the client may decide in its order and bytes, then what the gateway says.
///
/// Left out: hop-by-hop fields and those `Connection` names (RFC 9110 §7.6.1), claims about the client from peers that
/// are not trusted. Written by the gateway, after that removal: framing, Host, `X-Forwarded-For`, `-Proto`, `-Host`,
/// `X-Request-Id`, and the edits.
pub fn write_request_head(out: &mut Vec<u8>, req: &Request, bytes: &[u8], o: &Outgoing<'_>) {
    let edits = Edits { route: o.edits, hook: o.hook_edits };
    let mut run = begin(out, req, bytes, o);
    let mut said = Said::default();
    let free = edits.is_empty();
    for field in req.fields() {
        let kept = if field.plain() && free {
            true
        } else if !field.named() && (free || !edits.take_away(field, bytes)) {
            special(out, &mut run, field, req, bytes, o, &mut said)
        } else {
            false
        };
        if kept {
            run.take(out, bytes, field);
        }
    }
    run.flush(out, bytes);
    if !said.host {
        line(out, b"Host", o.host);
    }
    // The usual client: written with as few steps as can be, to the same bytes.
    if let (true, false, false, "http", Some(IpAddr::V4(peer))) = (free, o.client.trusted, said.id, o.scheme, o.peer)
        && req.authority_span().len > 0
    {
        out.extend_from_slice(b"X-Forwarded-For: ");
        write::ipv4(out, peer.octets());
        out.extend_from_slice(b"\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: ");
        write::span(out, bytes, req.authority_span());
        out.extend_from_slice(b"\r\nX-Request-Id: ");
        write::id(out, o.request_id);
        out.extend_from_slice(b"\r\n");
    } else {
        forwarded(out, req, bytes, o, &said, edits);
        if !said.id && !edits.replace(b"x-request-id") {
            line(out, b"X-Request-Id", o.request_id);
        }
    }
    if !said.length {
        match o.framing {
            Framing::None => {}
            Framing::Length(length) => {
                out.extend_from_slice(b"Content-Length: ");
                write::decimal(out, length);
                out.extend_from_slice(b"\r\n");
            }
            Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        }
    }
    if o.expect_continue {
        out.extend_from_slice(b"Expect: 100-continue\r\n");
    }
    if let Some(protocol) = o.upgrade {
        out.extend_from_slice(b"Connection: Upgrade\r\n");
        line(out, b"Upgrade", protocol);
    }
    if !free {
        edits.write(out);
    }
    out.extend_from_slice(b"\r\n");
}

/// The request line: as received where that is what would be written, else put together.
#[inline]
fn begin(out: &mut Vec<u8>, req: &Request, bytes: &[u8], o: &Outgoing<'_>) -> Run {
    let query = req.query(bytes);
    let same_query = match (o.query, query) {
        (None, None) => true,
        (Some(a), Some(b)) => std::ptr::eq(a, b),
        _ => false,
    };
    if let Some((from, to)) = req.verbatim_line()
        && std::ptr::eq(o.path, req.raw_path(bytes))
        && same_query
    {
        return Run::new(from, to);
    }
    out.extend_from_slice(req.method_bytes(bytes));
    out.push(b' ');
    out.extend_from_slice(o.path);
    if let Some(query) = o.query {
        out.push(b'?');
        out.extend_from_slice(query);
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    Run::new(0, 0)
}

/// What the kept lines already say.
#[derive(Default)]
struct Said {
    host: bool,
    length: bool,
    id: bool,
    proto: bool,
    forwarded_host: bool,
}

/// Decides about a field the gateway gives meaning to; true to keep the line as it is.
fn special(
    out: &mut Vec<u8>,
    run: &mut Run,
    field: &Field,
    req: &Request,
    bytes: &[u8],
    o: &Outgoing<'_>,
    said: &mut Said,
) -> bool {
    use FieldKind as K;
    let value = || field.value.of(bytes);
    match field.kind {
        K::Host => {
            said.host = true;
            if !std::ptr::eq(value(), o.host) && value() != o.host {
                run.flush(out, bytes);
                line(out, field.name.of(bytes), o.host);
                return false;
            }
            true
        }
        K::ContentLength => {
            let same = matches!(o.framing, Framing::Length(n) if Some(n) == req.content_length());
            said.length = same && (value().first() != Some(&b'0') || value().len() == 1);
            said.length
        }
        K::XRequestId => {
            // One line with the id in use stays where it is.
            let keep = !said.id && value() == o.request_id;
            said.id |= keep;
            keep
        }
        K::XForwardedProto => {
            said.proto |= o.client.trusted;
            o.client.trusted
        }
        K::XForwardedHost => {
            said.forwarded_host |= o.client.trusted;
            o.client.trusted
        }
        K::XForwarded | K::Forwarded | K::ClientClaim => o.client.trusted,
        K::TransferEncoding
        | K::Connection
        | K::KeepAlive
        | K::ProxyConnection
        | K::Te
        | K::Upgrade
        | K::Http2Settings
        | K::Expect
        | K::Proxy
        | K::ProxyAuthorization
        | K::ProxyAuthenticate
        | K::XForwardedFor => false,
        _ => true,
    }
}

/// `X-Forwarded-For` (the trusted hops and the peer), `-Proto`, `-Host`.
#[inline(never)]
fn forwarded(out: &mut Vec<u8>, req: &Request, bytes: &[u8], o: &Outgoing<'_>, said: &Said, edits: Edits<'_>) {
    let free = edits.is_empty();
    if free || !edits.replace(b"x-forwarded-for") {
        hops(out, req, bytes, o);
    }
    if !said.proto && (free || !edits.replace(b"x-forwarded-proto")) {
        match o.scheme {
            "http" => out.extend_from_slice(b"X-Forwarded-Proto: http\r\n"),
            scheme => line(out, b"X-Forwarded-Proto", scheme.as_bytes()),
        }
    }
    let authority = req.authority(bytes);
    if !said.forwarded_host && !authority.is_empty() && (free || !edits.replace(b"x-forwarded-host")) {
        out.extend_from_slice(b"X-Forwarded-Host: ");
        out.extend_from_slice(authority);
        out.extend_from_slice(b"\r\n");
    }
}

fn hops(out: &mut Vec<u8>, req: &Request, bytes: &[u8], o: &Outgoing<'_>) {
    let begin = out.len();
    out.extend_from_slice(b"X-Forwarded-For: ");
    let head = out.len();
    if o.client.trusted {
        let lines = req.fields().iter().filter(|field| field.kind == FieldKind::XForwardedFor && !field.named());
        for value in lines.map(|field| field.value.of(bytes)).filter(|value| !value.is_empty()) {
            separate(out, head);
            out.extend_from_slice(value);
        }
    }
    if let Some(peer) = o.peer {
        separate(out, head);
        address(out, peer);
    }
    if out.len() == head {
        out.truncate(begin);
    } else {
        out.extend_from_slice(b"\r\n");
    }
}

#[inline]
fn separate(out: &mut Vec<u8>, head: usize) {
    if out.len() > head {
        out.extend_from_slice(b", ");
    }
}

/// An address as text; IPv4-mapped IPv6 as IPv4.
#[inline]
fn address(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(v4) => write::ipv4(out, v4.octets()),
        IpAddr::V6(v6) => address_v6(out, v6),
    }
}

#[inline(never)]
fn address_v6(out: &mut Vec<u8>, ip: Ipv6Addr) {
    match ip.to_canonical() {
        IpAddr::V4(v4) => write::ipv4(out, v4.octets()),
        IpAddr::V6(v6) => {
            // Writing to a Vec does not fail.
            let _ = write!(out, "{v6}");
        }
    }
}
