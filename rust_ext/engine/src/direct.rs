//! Answers that need no upstream: a route's own, and what becomes of a body that nobody asked for.

use fastgate_core::filter::Content;
use fastgate_core::route::Captures;

use crate::about::About;
use crate::answer::{self, To, Unread, What};
use crate::connection::{After, Conn};
use crate::exchange::body::Reader;
use crate::failure::Failure;
use crate::fault::FaultKind;
use crate::head::Head;
use crate::live::{Action, Route};

/// Answers that the route itself gives.
pub(crate) async fn direct(
    conn: &mut Conn,
    head: &mut Head,
    about: &About<'_>,
    route: &Route,
    captures: &Captures,
) -> Result<After, Failure> {
    let worker = conn.worker.clone();
    let to = To { edits: &route.response_edits, ..about.to(leave_body(conn, head, about)) };
    match &route.action {
        Action::Respond(respond) => {
            let fields: Vec<_> = respond.headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
            let content = match &respond.body {
                Some(body) => Content::Bytes { content_type: None, body: body.as_bytes() },
                None if respond.status >= 400 => Content::Problem,
                None => Content::Bytes { content_type: None, body: &[] },
            };
            let what = What { status: respond.status, detail: "", fields: &fields, content };
            Ok(answer::give(conn, to, what).await)
        }
        Action::Redirect { status, to: redirector } => {
            let mut location = Vec::new();
            {
                let scratch = worker.scratch.borrow();
                let (request, bytes) = (head.request(), head.bytes(&scratch.read));
                let rendered = redirector.location(
                    &mut location,
                    request.authority(bytes),
                    request.raw_path(bytes),
                    request.query(bytes),
                    request.path(bytes),
                    captures,
                );
                rendered.map_err(|_| Failure::from(FaultKind::BadRewrite))?;
            }
            let fields = [("Location", location.as_slice())];
            let content = Content::Bytes { content_type: None, body: &[] };
            Ok(answer::give(conn, to, What { status: *status, detail: "", fields: &fields, content }).await)
        }
        Action::Proxy(_) | Action::Files(_) | Action::Realtime(_) | Action::Publish(_) => {
            Err(FaultKind::NoRoute.into())
        }
    }
}

/// Sends a request of a listener that only does this to https: to the same host, on the port of the listener with that
/// index.
pub(crate) async fn to_https(
    conn: &mut Conn,
    head: &Head,
    about: &About<'_>,
    to: Option<usize>,
) -> Result<After, Failure> {
    let worker = conn.worker.clone();
    let port = to.and_then(|index| {
        let listeners = worker.listeners.borrow();
        let listener = listeners.values().find(|listener| listener.index.get() == index && !listener.closing())?;
        Some(listener.port.get()).filter(|port| ![0, 443].contains(port))
    });
    let mut location = b"https://".to_vec();
    {
        let scratch = worker.scratch.borrow();
        let (request, bytes) = (head.request(), head.bytes(&scratch.read));
        let authority = request.authority(bytes);
        // What stands behind the last bracket, or the only colon, is the port.
        let from = authority.iter().rposition(|b| *b == b']').unwrap_or(0);
        let end = authority[from..].iter().position(|b| *b == b':').map_or(authority.len(), |at| from + at);
        if end == 0 {
            // A message of HTTP/1.0 that names no host can be sent nowhere.
            return Err(FaultKind::NoRoute.into());
        }
        location.extend_from_slice(&authority[..end]);
        if let Some(port) = port {
            location.extend_from_slice(format!(":{port}").as_bytes());
        }
        let path = request.raw_path(bytes);
        location.extend_from_slice(if request.is_asterisk() { b"/" } else { path });
        if let Some(query) = request.query(bytes) {
            location.push(b'?');
            location.extend_from_slice(query);
        }
    }
    let fields = [("Location", location.as_slice())];
    let to = about.to(leave_body(conn, head, about));
    let content = Content::Bytes { content_type: None, body: &[] };
    Ok(answer::give(conn, to, What { status: 308, detail: "", fields: &fields, content }).await)
}

/// Leaves what came behind the head to whoever reads the connection next.
pub(crate) fn leave_body(conn: &mut Conn, head: &Head, about: &About<'_>) -> Unread {
    let scratch = conn.worker.scratch.borrow();
    let (received, framing) = head.body(&scratch.read);
    conn.pending.extend_from_slice(received);
    drop(scratch);
    let mut body = Reader::from(framing);
    if body.is_done() {
        return Unread::Nothing;
    }
    if head.request().expect_continue() && conn.pending.is_empty() {
        // The client waits for a 100 that will not come: it may send the body or not (RFC 9110 §10.1.1).
        return Unread::Unknown;
    }
    // What has come already is thrown away now, so that the answer can say whether the connection goes on.
    match body.take(&conn.pending, &mut Vec::new()) {
        Ok(taken) => {
            conn.pending.drain(..taken.used);
            about.tally.received(taken.used);
            if taken.ended { Unread::Nothing } else { Unread::Body(body) }
        }
        Err(_) => Unread::Unknown,
    }
}
