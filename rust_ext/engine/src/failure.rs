//! Requests that cannot be served: counted, logged and answered in one place.

use fastgate_core::filter::Content;
use fastgate_core::http1::{Version, write};
use fastgate_core::log::audit::{Event, Said};
use fastgate_core::log::{Begin, End};

use crate::about::About;
use crate::answer::{self, To, Unread, What};
use crate::connection::{After, Conn};
use crate::direct;
use crate::fault::{Fault, FaultKind};
use crate::guard::Denial;
use crate::head::{Head, NoHead};
use crate::log::access::{Record, add};
use crate::transport::Transport;
use crate::worker::{Worker, WorkerLive};

/// A request that could not be served.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) fault: Fault,
    /// The answer's head is out: nothing better than an abrupt end can tell the client.
    pub(crate) answered: bool,
    /// What of the body was not read; `None`: nothing was touched yet.
    pub(crate) unread: Option<Unread>,
    /// The methods that the resource knows, for a 405.
    pub(crate) allow: Option<String>,
    /// The policy that refused it.
    pub(crate) denial: Option<Box<Denial>>,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        // A hook that did not come back keeps the head: where the body begins, nobody knows.
        let unread = (fault.kind == FaultKind::HookTimeout).then_some(Unread::Unknown);
        Self { fault, answered: false, unread, allow: None, denial: None }
    }
}

impl From<Box<Denial>> for Failure {
    fn from(denial: Box<Denial>) -> Self {
        let failure = Self::from(denial.kind);
        Self { denial: Some(denial), ..failure }
    }
}

impl From<FaultKind> for Failure {
    fn from(kind: FaultKind) -> Self {
        Fault::from(kind).into()
    }
}

/// Counts and logs a failure, and answers it where an answer can still be given.
pub(crate) async fn fail(conn: &mut Conn, about: &About<'_>, head: Head, failure: Failure) -> After {
    let worker = conn.worker.clone();
    let kind = failure.fault.kind;
    worker.metrics().fault(kind);
    about.tally.failed(failure.fault);
    if let Some(reason) = failure.fault.reason {
        worker.metrics().refuse(reason);
    }
    match &failure.denial {
        Some(denial) => {
            worker.log_denial(denial, about.request_id.as_bytes());
            audit(&worker, about, &head, denial);
        }
        None => worker.log_fault(kind, failure.fault.reason, about.request_id.as_bytes()),
    }
    if failure.answered || kind.status() == 0 {
        conn.stream.reset_at_close();
        return After::Close;
    }
    let unread = failure.unread.unwrap_or_else(|| direct::leave_body(conn, &head, about));
    let (status, detail) = match (kind, failure.fault.reason) {
        (FaultKind::BadBody, Some(reason)) => (reason.status(), kind.detail()),
        _ => (kind.status(), kind.detail()),
    };
    let mut fields = answer::fault_fields(kind).to_vec();
    if let Some(denial) = &failure.denial {
        let said: Vec<_> = denial.fields.iter().map(|(name, value)| (*name, value.as_slice())).collect();
        fields.retain(|(name, _)| said.iter().all(|(other, _)| other != name));
        fields.extend(said);
    }
    fields.extend(failure.allow.as_deref().map(|allow| ("Allow", allow.as_bytes())));
    answer::give(conn, about.to(unread), What { status, detail, fields: &fields, content: Content::Problem }).await
}

/// Records that a policy refused a request.
pub(crate) fn audit(worker: &Worker, about: &About<'_>, head: &Head, denial: &Denial) {
    if !worker.shared.trail.is_on() {
        return;
    }
    let scratch = worker.scratch.borrow();
    let (request, bytes) = (head.request(), head.bytes(&scratch.read));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let identity = about.found().and_then(|found| found.identity.get());
    let event = if denial.kind == FaultKind::RateLimited { Event::Limited } else { Event::Denied };
    let said = Said {
        client: about.client.ip.map(|ip| ip.to_string()),
        consumer: identity.and_then(|identity| identity.consumer.as_deref()),
        host: Some(text(request.host(bytes))),
        method: Some(text(request.method_bytes(bytes))),
        path: Some(text(request.path(bytes))),
        policy: Some(denial.policy),
        reason: Some(&denial.reason),
        request_id: Some(text(about.request_id.as_bytes())),
        route: about.tally.route_name(),
        status: Some(denial.kind.status()),
        subject: identity.and_then(|identity| identity.subject.as_deref()),
        tenant: identity.and_then(|identity| identity.tenant.as_deref()),
        ..Said::default()
    };
    worker.shared.audit(event, &said);
}

/// Answers a message that is no valid request and ends its connection: where it ends, nobody knows.
pub(crate) async fn refuse(conn: &mut Conn, none: NoHead) -> After {
    let worker = conn.worker.clone();
    let (status, detail, error, reason) = match none {
        NoHead::Gone => return left(conn),
        NoHead::Timeout => {
            let kind = FaultKind::HeaderTimeout;
            worker.metrics().fault(kind);
            (kind.status(), kind.detail(), kind.name(), None)
        }
        NoHead::Refused(reason) => {
            worker.metrics().refuse(reason);
            worker.log_refused(reason, conn.peer);
            (reason.status(), reason.name(), "refused", Some(reason.name()))
        }
    };
    let request_id = new_id(&worker);
    let live = conn.listener.live();
    let begun = worker.clock.last();
    let record = begin_line(conn, &live, &request_id, begun);
    let to = To {
        version: Version::Http11,
        head_only: false,
        keep_alive: false,
        request_id: &request_id,
        edits: &fastgate_core::filter::NO_EDITS,
        found: None,
        tally: None,
        record: record.as_deref(),
        unread: Unread::Unknown,
    };
    // TRACE is served nowhere; what is, depends on a route that was not looked for (RFC 9110 §15.5.6).
    let allow: &[(&str, &[u8])] = &[("Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")];
    let fields = if status == 405 { allow } else { &[] };
    let after = answer::give(conn, to, What { status, detail, fields, content: Content::Problem }).await;
    if let (Some(access), Some(record)) = (&live.live.access, record) {
        let total_us = worker.clock.read().saturating_sub(begun) / 1_000;
        worker.end_line(access, record, End { status, error: Some(error), reason, total_us, ..End::default() });
    }
    after
}

/// Counts and logs a client that left in the middle of a head; one that had sent nothing but empty lines owes none.
fn left(conn: &Conn) -> After {
    if conn.pending.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
        return After::Close;
    }
    let worker = &conn.worker;
    worker.metrics().fault(FaultKind::ClientGone);
    worker.metrics().unrouted.answered(0);
    worker.metrics().unrouted.received.add(conn.pending.len() as u64);
    let live = conn.listener.live();
    let begun = worker.clock.read();
    let record = begin_line(conn, &live, &new_id(worker), begun);
    if let (Some(access), Some(record)) = (&live.live.access, record) {
        add(&record.received, conn.pending.len());
        record.fault.set(Some(FaultKind::ClientGone.into()));
        worker.end_line(access, record, End::default());
    }
    After::Close
}

fn new_id(worker: &Worker) -> [u8; 32] {
    let mut id = [0; 32];
    write::hex32(worker.random_wide(), &mut id);
    id
}

/// Begins the line of a message that is no request.
fn begin_line(conn: &Conn, live: &WorkerLive, request_id: &[u8], begun: u64) -> Option<Box<Record>> {
    let access = live.live.access.as_ref()?;
    let listener = &live.live.listeners[conn.listener.index.get()].name;
    let begin = Begin { unix_ms: 0, request_id, client: conn.peer, listener, request: None };
    conn.worker.begin_line(access, access.sample(), begun, begin)
}
