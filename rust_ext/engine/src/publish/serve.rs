//! The API on a worker: a route like any other, whose body is read here.

use std::io;

use fastgate_core::http1::Framing;
use fastgate_core::publish::MAX_BODY;
use fastgate_core::snapshot::PublishCall;

use super::{Verdict, call, may_publish};
use crate::about::About;
use crate::answer::{self, Unread, What};
use crate::connection::{After, Conn};
use crate::deadlines::ticks;
use crate::direct::leave_body;
use crate::exchange::body::Reader;
use crate::failure::Failure;
use crate::fault::{Fault, FaultKind};
use crate::head::Head;
use crate::live::{Live, Route};
use crate::transport::{Readiness, Transport};

/// Time a body has.
const BODY_MS: u64 = 30_000;

/// What tells a client to send its body (RFC 9110 §10.1.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Answers a request to the API.
pub(crate) async fn serve(
    conn: &mut Conn,
    head: &mut Head,
    about: &About<'_>,
    live: &Live,
    route: &Route,
    kind: PublishCall,
) -> Result<After, Failure> {
    if live.keys.is_empty() {
        return Err(FaultKind::NoRoute.into());
    }
    let worker = conn.worker.clone();
    let known = {
        let scratch = worker.scratch.borrow();
        let (request, bytes) = (head.request(), head.bytes(&scratch.read));
        may_publish(live, request.get(bytes, b"x-api-key"), request.get(bytes, b"authorization"))
    };
    let api = &worker.shared.api;
    let early = match head.request().framing() {
        _ if !known => Some(Verdict::unauthorized()),
        Framing::Length(length) if length > MAX_BODY as u64 => Some(Verdict::too_large()),
        _ => None,
    };
    let (verdict, unread) = match early {
        Some(verdict) => (verdict, leave_body(conn, head, about)),
        None => match body(conn, head, about).await? {
            Body::Whole(body) => (call(&worker.shared, kind, &body), Unread::Nothing),
            Body::Refused(verdict, unread) => (verdict, unread),
        },
    };
    api.answered(kind, verdict.status);
    let to = answer::To { edits: &route.response_edits, ..about.to(unread) };
    let (fields, content) = (verdict.fields(), verdict.content());
    let what = What { status: verdict.status, detail: verdict.detail(), fields, content };
    Ok(answer::give(conn, to, what).await)
}

enum Body {
    Whole(Vec<u8>),
    Refused(Verdict, Unread),
}

/// Reads the whole body, framing taken off.
async fn body(conn: &mut Conn, head: &Head, about: &About<'_>) -> Result<Body, Failure> {
    let worker = conn.worker.clone();
    let (mut input, mut reader) = {
        let scratch = worker.scratch.borrow();
        let (received, framing) = head.body(&scratch.read);
        (received.to_vec(), Reader::from(framing))
    };
    let expects = head.request().expect_continue() && input.is_empty();
    let mut whole = Vec::new();
    let mut place = None;
    loop {
        {
            let mut scratch = worker.scratch.borrow_mut();
            let taken = match reader.take(&input, &mut scratch.ranges) {
                Ok(taken) => taken,
                Err(reason) => {
                    let unread = Some(Unread::Unknown);
                    return Err(Failure { unread, ..Failure::from(Fault::client(reason)) });
                }
            };
            about.tally.received(taken.used);
            scratch.ranges.iter().for_each(|range| whole.extend_from_slice(&input[range.clone()]));
            input.drain(..taken.used);
            if whole.len() > MAX_BODY {
                return Ok(Body::Refused(Verdict::too_large(), Unread::Unknown));
            }
            if taken.ended {
                conn.pending = input;
                return Ok(Body::Whole(whole));
            }
        }
        if place.is_none() {
            place = worker.shared.api.reading();
            if place.is_none() {
                return Ok(Body::Refused(Verdict::busy(), Unread::Unknown));
            }
            conn.deadline.set_after(ticks(BODY_MS));
            if expects {
                let mut sent = 0;
                conn.send_all(CONTINUE, &mut sent).await?;
                conn.deadline.set_after(ticks(BODY_MS));
            }
        }
        let read = {
            let mut scratch = worker.scratch.borrow_mut();
            let read = conn.stream.try_read(&mut scratch.read);
            read.inspect(|&n| input.extend_from_slice(&scratch.read[..n]))
        };
        match read {
            Ok(0) => return Err(FaultKind::ClientGone.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if let Err(error) = conn.ready(Readiness::Read).await {
                    let slow = error.kind() == io::ErrorKind::TimedOut;
                    let kind = if slow { FaultKind::BodyTimeout } else { FaultKind::ClientGone };
                    return Err(Failure { unread: Some(Unread::Unknown), ..kind.into() });
                }
            }
            Err(_) => return Err(FaultKind::ClientGone.into()),
        }
    }
}
