//! The way into the hub: what is asked for, who may, where to; then the connection leaves its task.

use std::rc::Rc;
use std::sync::Arc;

use fastgate_core::filter::{Content, StreamHead, StreamKind, write_stream_head};
use fastgate_core::http1::Method;
use fastgate_core::route::{Captures, NoChannel};
use fastgate_core::websocket::{negotiate_deflate, websocket_accept};

use super::endpoint::Endpoint;
use super::frames::Encoding;
use crate::about::About;
use crate::answer::{self, To, What};
use crate::connection::{After, Conn};
use crate::direct;
use crate::guard::Findings;
use crate::head::Head;
use crate::live::Route;
use crate::worker::Worker;

/// What a connection enters the hub with.
#[derive(Debug)]
pub(crate) struct Entrance {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) encoding: Encoding,
    pub(crate) joined: Joined,
    /// The head of the answer.
    pub(crate) head: Vec<u8>,
}

/// Memberships in the process's counts, given up when dropped.
#[derive(Debug)]
pub(crate) struct Joined {
    worker: Rc<Worker>,
    names: Vec<Arc<str>>,
}

impl Joined {
    /// Joins all of them, or none where one is full.
    pub(crate) fn all(worker: &Rc<Worker>, endpoint: &Endpoint, channels: &[String]) -> Option<Self> {
        let hub = &worker.shared.hub;
        let broker = hub.broker();
        let mut joined = Self { worker: worker.clone(), names: Vec::with_capacity(channels.len()) };
        for channel in channels {
            let (max, brokered) = (endpoint.max_members, endpoint.brokered);
            joined.names.push(hub.channels.join(broker.as_deref(), worker.index, channel, max, brokered).ok()?);
        }
        Some(joined)
    }

    /// Leaves them to the session.
    pub(crate) fn stays(mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.names)
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        let hub = &self.worker.shared.hub;
        for name in &self.names {
            hub.channels.leave(hub.broker().as_deref(), self.worker.index, name);
        }
    }
}

/// Why nobody gets in.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    status: u16,
    detail: &'static str,
    fields: &'static [(&'static str, &'static [u8])],
}

impl Refusal {
    const fn new(status: u16, detail: &'static str) -> Self {
        Self { status, detail, fields: &[] }
    }
}

const RETRY: &[(&str, &[u8])] = &[("Retry-After", b"1")];
const UPGRADE: &[(&str, &[u8])] = &[("Upgrade", b"websocket")];
const VERSION: &[(&str, &[u8])] = &[("Upgrade", b"websocket"), ("Sec-WebSocket-Version", b"13")];

/// Answers a request to an endpoint: with the way into the hub, or with why there is none.
pub(crate) async fn serve(
    conn: &mut Conn,
    head: &Head,
    about: &About<'_>,
    route: &Route,
    endpoint: &Arc<Endpoint>,
    captures: &Captures,
) -> After {
    let unread = direct::leave_body(conn, head, about);
    match admit(conn, head, about, route, endpoint, captures) {
        Ok(entrance) => {
            about.tally.answered(if entrance.encoding.sse { 200 } else { 101 });
            about.tally.sent(entrance.head.len());
            about.tally.head(entrance.head.len());
            about.tally.ended();
            After::Hub(Box::new(entrance))
        }
        Err(refusal) => {
            let to = To { edits: &route.response_edits, ..about.to(unread) };
            let Refusal { status, detail, fields } = refusal;
            answer::give(conn, to, What { status, detail, fields, content: Content::Problem }).await
        }
    }
}

fn admit(
    conn: &Conn,
    head: &Head,
    about: &About<'_>,
    route: &Route,
    endpoint: &Arc<Endpoint>,
    captures: &Captures,
) -> Result<Entrance, Refusal> {
    let worker = &conn.worker;
    let scratch = worker.scratch.borrow();
    let (request, bytes) = (head.request(), head.bytes(&scratch.read));
    let accept = match kind(endpoint, head, about, bytes)? {
        Kind::WebSocket(key) => Some(websocket_accept(key)),
        Kind::Events => None,
    };
    let extensions = if endpoint.deflate && accept.is_some() {
        negotiate_deflate(request.get(bytes, b"sec-websocket-extensions"))
            .map_err(|_| Refusal::new(400, "Sec-WebSocket-Extensions is not valid"))?
    } else {
        None
    };
    let extensions = extensions.map(str::as_bytes);
    let deflate = extensions.is_some();
    let mut origins = request.get(bytes, b"origin");
    let origin = origins.next();
    if origins.next().is_some() || !endpoint.origins.allows(origin, request.authority(bytes)) {
        return Err(Refusal::new(403, "pages of this origin may not connect"));
    }
    let subject = about.found().and_then(|found| found.identity.get()?.subject.as_deref());
    let channels = endpoint.channels(captures, request.path(bytes), subject).map_err(|none| match none {
        NoChannel::Anonymous => Refusal::new(401, "this channel needs to know who connects"),
        NoChannel::Name => Refusal::new(400, "this path leads to no channel"),
    })?;
    if worker.draining.get() {
        return Err(Refusal { fields: RETRY, ..Refusal::new(503, "the gateway is shutting down") });
    }
    let joined = Joined::all(worker, endpoint, &channels)
        .ok_or(Refusal { fields: RETRY, ..Refusal::new(503, "the channel has no room for another member") })?;
    let kind = match &accept {
        Some(accept) => StreamKind::WebSocket { accept, extensions },
        None => StreamKind::Events,
    };
    let date = worker.date.borrow();
    let request_id = about.request_id.as_bytes();
    let mut answer = Vec::with_capacity(256);
    let extra = about.found().map(Findings::extra);
    let extra = extra.as_deref();
    let said = StreamHead { kind, request_id, date: &*date, edits: &route.response_edits, extra };
    write_stream_head(&mut answer, &said);
    let encoding = endpoint.encoding(accept.is_none(), deflate);
    Ok(Entrance { endpoint: endpoint.clone(), encoding, joined, head: answer })
}

/// What is asked for.
enum Kind<'a> {
    WebSocket(&'a [u8]),
    Events,
}

fn kind<'a>(endpoint: &Endpoint, head: &Head, about: &About<'_>, bytes: &'a [u8]) -> Result<Kind<'a>, Refusal> {
    let request = head.request();
    if endpoint.websocket
        && let Some(key) = request.websocket_key(bytes)
    {
        return Ok(Kind::WebSocket(key));
    }
    let upgrade = request.upgrade(bytes);
    if endpoint.sse && upgrade.is_none() && about.method == Method::Get && accepts_events(head, bytes) {
        return Ok(Kind::Events);
    }
    if !endpoint.websocket {
        return Err(Refusal::new(406, "this endpoint serves event streams: Accept: text/event-stream"));
    }
    if upgrade.is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket")) {
        let mut versions = request.get(bytes, b"sec-websocket-version");
        if versions.next() == Some(b"13") && versions.next().is_none() {
            return Err(Refusal::new(400, "the WebSocket handshake is not valid"));
        }
        return Err(Refusal { fields: VERSION, ..Refusal::new(426, "this endpoint speaks WebSocket version 13") });
    }
    Err(Refusal { fields: UPGRADE, ..Refusal::new(426, "this endpoint speaks WebSocket") })
}

/// Whether an event stream is asked for by name (RFC 9110 §12.5.1); `*/*` is what everybody sends.
fn accepts_events(head: &Head, bytes: &[u8]) -> bool {
    let named = |part: &[u8]| {
        part.split(|b| *b == b';').next().unwrap_or_default().trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
    };
    head.request().get(bytes, b"accept").any(|value| value.split(|b| *b == b',').any(named))
}
