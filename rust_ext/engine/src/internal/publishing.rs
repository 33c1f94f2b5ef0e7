//! The publish API on the admin listener.

use std::hash::{BuildHasher, RandomState};
use std::io;

use fastgate_core::filter::{self, Answer};
use fastgate_core::http1::{Framing, Method, Request};
use fastgate_core::publish::{MAX_BODY, call_at};
use fastgate_core::snapshot::{InternalServes, PublishCall};

use super::{EXCHANGE, Internals, ready, write};
use crate::exchange::body::Reader;
use crate::publish::{self, Verdict};
use crate::rt::{self, Readiness, Socket};
use crate::{clock, date};

/// What tells a client to send its body (RFC 9110 §10.1.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What became of reading a body.
enum Body {
    Whole(Vec<u8>),
    /// Where the message ends, nobody knows.
    Refused(Verdict),
    /// The client left.
    Gone,
}

impl Internals {
    /// What of the API a request asks for; `None` where there is none.
    pub(super) fn call(&self, serves: InternalServes, request: &Request, bytes: &[u8]) -> Option<PublishCall> {
        let call = call_at(request.path(bytes)).filter(|_| serves == InternalServes::Admin)?;
        (!self.shared.live().keys.is_empty()).then_some(call)
    }

    /// Serves a request to the API, whose head are the first `len` of `bytes`; what belongs to it is taken from them.
    ///
    /// The answer goes to `out`; whether the connection goes on, or `None` where there is nobody to answer.
    pub(super) async fn publish(
        &self,
        socket: &Socket,
        call: PublishCall,
        request: &Request,
        bytes: &mut Vec<u8>,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Option<bool> {
        let live = self.shared.live();
        let known = publish::may_publish(&live, request.get(bytes, b"x-api-key"), request.get(bytes, b"authorization"));
        let mut buffer = [0; 32];
        let seed = RandomState::new();
        let random = u128::from(seed.hash_one(0)) << 64 | u128::from(seed.hash_one(1));
        let request_id = filter::request_id(request, bytes, random, &mut buffer).to_vec();
        bytes.drain(..len);
        let bodiless = matches!(request.framing(), Framing::None | Framing::Length(0));
        let (verdict, whole) = match request.framing() {
            _ if request.method() != Method::Post => (Verdict::method(), bodiless),
            _ if !known => (Verdict::unauthorized(), bodiless),
            Framing::Length(length) if length > MAX_BODY as u64 => (Verdict::too_large(), false),
            _ => match rt::timeout(EXCHANGE, self.body(socket, request, bytes)).await {
                Some(Body::Whole(body)) => (publish::call(&self.shared, call, &body), true),
                Some(Body::Refused(verdict)) => (verdict, false),
                Some(Body::Gone) => return None,
                None => (Verdict::slow(), false),
            },
        };
        self.shared.api.answered(call, verdict.status);
        let keep_alive = whole && request.keep_alive();
        let mut fields = vec![("Cache-Control", &b"no-store"[..])];
        fields.extend_from_slice(verdict.fields());
        let answer = Answer {
            status: verdict.status,
            detail: verdict.detail(),
            request_id: &request_id,
            keep_alive,
            version: request.version(),
            head_only: request.method() == Method::Head,
            fields: &fields,
            edits: &filter::NO_EDITS,
            extra: None,
            content: verdict.content(),
            date: &date::format(clock::unix_seconds()),
        };
        filter::write_answer(out, &answer);
        Some(keep_alive)
    }

    /// Reads the whole body, framing taken off; what came behind it stays in `bytes`.
    async fn body(&self, socket: &Socket, request: &Request, bytes: &mut Vec<u8>) -> Body {
        let mut reader = Reader::from(request.framing());
        let expects = request.expect_continue() && bytes.is_empty();
        let (mut whole, mut ranges) = (Vec::new(), Vec::new());
        let mut place = None;
        let mut chunk = Vec::new();
        loop {
            let taken = match reader.take(bytes, &mut ranges) {
                Ok(taken) => taken,
                Err(reason) => return Body::Refused(Verdict::broken(reason.status())),
            };
            ranges.iter().for_each(|range| whole.extend_from_slice(&bytes[range.clone()]));
            bytes.drain(..taken.used);
            if whole.len() > MAX_BODY {
                return Body::Refused(Verdict::too_large());
            }
            if taken.ended {
                return Body::Whole(whole);
            }
            if place.is_none() {
                place = self.shared.api.reading();
                if place.is_none() {
                    return Body::Refused(Verdict::busy());
                }
                if expects && !write(socket, CONTINUE).await {
                    return Body::Gone;
                }
            }
            if !ready(socket, Readiness::Read).await {
                return Body::Gone;
            }
            chunk.resize(16 * 1024, 0);
            match socket.try_read(&mut chunk) {
                Ok(0) => return Body::Gone,
                Ok(n) => bytes.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Body::Gone,
            }
        }
    }
}
