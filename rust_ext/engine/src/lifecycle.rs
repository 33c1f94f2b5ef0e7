//! The life of a request, from top to bottom. The order is fixed and documented for users
//! (`docs/developer/life_of_a_request.md`); each phase says why it stands where it stands.
//!
//! Phase 1, accept, is `accept.rs`: who may connect is decided before a byte is read.

use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;

use fastgate_core::balance::round_robin;
use fastgate_core::filter::{self, Client, Content, Edit, Outgoing};
use fastgate_core::http1::{Framing, Method, Version, websocket_accept, write};
use fastgate_core::route::{Captures, Fields, Found, Lookup};
use fastgate_core::snapshot::HostPolicy;

use crate::answer::{self, To, Unread, What};
use crate::connection::{After, Conn};
use crate::deadlines::ticks;
use crate::exchange::body::Reader;
use crate::exchange::tunnel::Tunnel;
use crate::exchange::{Exchange, Facts, Outcome, Upgrade};
use crate::fault::{Fault, FaultKind};
use crate::head::{self, Head, NoHead};
use crate::hooks;
use crate::live::{Action, Listener, Live, Proxy, Route};
use crate::pool::{Pool, Upstream};
use crate::worker::{Worker, WorkerLive};

/// Serves one request of a connection and says what follows.
pub(crate) async fn serve_request(conn: &mut Conn) -> After {
    let worker = conn.worker.clone();
    let live = conn.listener.live();
    let listener = &live.live.listeners[conn.listener.index.get()];

    // 2 parse: everything later reads this one value, so it comes first and is strict.
    let mut head = match head::read(conn, &listener.rules, live.live.limits.header_timeout_ms).await {
        Ok(head) => head,
        Err(none) => return Box::pin(refuse(conn, none)).await,
    };
    let _counted = Ending::begin(&worker);
    let about = About::new(conn, &head, listener);

    match proceed(conn, &live, listener, &mut head, &about).await {
        Ok(after) => after,
        // What is rare is boxed, so that the usual request does not carry its size.
        Err(failure) => Box::pin(fail(conn, &about, head, failure)).await,
    }
}

/// Phases 3 to 10; a failure is answered in one place, by the caller.
async fn proceed(
    conn: &mut Conn,
    live: &Rc<WorkerLive>,
    listener: &Listener,
    head: &mut Head,
    about: &About,
) -> Result<After, Failure> {
    let worker = conn.worker.clone();

    // 3 match: before anything that depends on the route, on the canonical path and nothing else.
    let mut captures = Captures::new();
    let route = find(&worker, &live.live, listener, conn, head, about, &mut captures)?;

    // 4-7 guard, identify, authorise, limit: join here, each before what costs more than itself.

    // A direct answer needs no upstream: whatever would follow is spared.
    let proxy = match &route.action {
        Action::Proxy(proxy) => proxy,
        Action::Respond(_) | Action::Redirect { .. } => {
            return Box::pin(direct(conn, head, about, route, &captures)).await;
        }
    };
    check_length(head, proxy)?;

    // 8 prepare: what changes the request, after it is known to be allowed. Hooks may wait, so the head moves out.
    let mut edits = Vec::new();
    if route.on_request {
        let decision = Box::pin(hooks::run(conn, head, about, route, &captures, proxy.response.ticks)).await?;
        if let Some(early) = decision.answer {
            return Ok(Box::pin(hooks::answer(conn, head, about, &early)).await);
        }
        edits = decision.edits;
    }
    let mut rewritten = Vec::new();
    if let Some(rewriter) = &proxy.rewrite {
        let scratch = worker.scratch.borrow();
        let bytes = head.bytes(&scratch.read);
        let (raw, path) = (head.request().raw_path(bytes), head.request().path(bytes));
        rewriter.apply(&mut rewritten, raw, path, &captures).map_err(|_| Failure::from(FaultKind::BadRewrite))?;
    }

    // 9 choose: as late as possible, so that nothing is held while the request may still be refused.
    let service = &live.live.services[proxy.service];
    let index = if service.targets.len() == 1 { 0 } else { round_robin(&service.turn, service.targets.len()) };
    let pool = &live.pools[proxy.service][index];
    let up = match pool.try_take() {
        Some(up) => {
            worker.metrics().reused.add(1);
            up
        }
        None => {
            // Opening may wait: the head leaves the worker's buffer.
            head.detach(&worker);
            Box::pin(open(&worker, pool, service.max_per_target, proxy.connect_ms, false)).await?
        }
    };

    // 10 exchange: the upstream's head is written anew from the parsed request, never from received bytes.
    let sending = Sending { path: &rewritten, edits: &edits, authority: &service.targets[index].authority };
    let facts = Facts::new(&worker, live, listener, route, proxy, head, about);
    exchange(conn, head, about, &facts, up, pool, service.max_per_target, &sending).await
}

/// What phase 10 sends besides the request itself.
struct Sending<'a> {
    /// The path after a rewrite; empty: as received.
    path: &'a [u8],
    edits: &'a [Edit],
    authority: &'a [u8],
}

#[expect(clippy::too_many_arguments, reason = "the phase's inputs; a struct would only rename them")]
async fn exchange(
    conn: &mut Conn,
    head: &mut Head,
    about: &About,
    facts: &Facts<'_>,
    up: Upstream,
    pool: &Rc<Pool>,
    max_per_target: u32,
    sending: &Sending<'_>,
) -> Result<After, Failure> {
    let worker = facts.worker;
    let reader = Reader::from(head.request().framing());
    let replayable = up.reused && reader.is_done() && facts.method.is_idempotent() && facts.upgrade.is_none();
    let mut replay = Vec::new();
    let mut exchange = Exchange::new(facts, conn, up, reader);
    worker.metrics().forwarded.add(1);
    let started = {
        let mut scratch = worker.scratch.borrow_mut();
        write_head(&mut scratch, head, about, facts, sending);
        if replayable {
            replay = worker.blocks.filled(&scratch.out);
        }
        exchange.start_from(&mut scratch, head)
    };
    // From here on nothing needs the head: an exchange that waits holds neither it nor the worker's buffer.
    head.release(worker);
    let mut ended = match started {
        Ok(()) => poll_fn(|cx| exchange.poll(cx)).await,
        Err(fault) => Err(fault),
    };
    if let Err(fault) = &ended
        && fault.retry
        && replayable
    {
        // A pooled connection had been closed by its upstream: nothing of an answer was seen, so the request was
        // not served, and one that is idempotent and has no body may be sent once more (RFC 9110 §9.2.2).
        worker.metrics().retried.add(1);
        drop(exchange);
        let up = Box::pin(open(worker, pool, max_per_target, facts.proxy.connect_ms, true)).await?;
        exchange = Exchange::new(facts, conn, up, Reader::Done);
        let started = exchange.replay(&mut worker.scratch.borrow_mut(), &replay);
        ended = match started {
            Ok(()) => poll_fn(|cx| exchange.poll(cx)).await,
            Err(fault) => Err(fault),
        };
    }
    worker.blocks.give(replay);

    // 11 finish: a connection goes back only if clean; dropped anywhere else, it closes and releases its counts.
    match ended {
        Ok(Outcome::Done { keep_alive, clean }) => {
            let (up, body) = exchange.into_parts();
            if clean {
                up.check_in(worker.deadlines.now());
            }
            match (keep_alive, body.is_done()) {
                (true, true) => Ok(After::Next),
                (true, false) => Ok(Box::pin(answer::drain(conn, body)).await),
                (false, _) => Ok(After::Linger),
            }
        }
        Ok(Outcome::Tunnel) => {
            let (up, to_client) = exchange.into_tunnel();
            let idle = facts.proxy.idle;
            Ok(After::Tunnel(Box::new(Tunnel { up, to_client, idle, held_bytes: facts.proxy.held_bytes })))
        }
        Err(fault) => {
            let answered = exchange.answered;
            let (up, body) = exchange.into_parts();
            drop(up);
            let unread = match body {
                Reader::Done => Unread::Nothing,
                _ if fault.reason.is_some() && fault.kind != FaultKind::UpstreamProtocol => Unread::Unknown,
                body => Unread::Body(body),
            };
            Err(Failure { fault, answered, unread: Some(unread), allow: None })
        }
    }
}

/// What every later phase needs to know of a request; small and free of borrows, so that it lives across waits.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) version: Version,
    pub(crate) method: Method,
    pub(crate) keep_alive: bool,
    pub(crate) request_id: RequestId,
    pub(crate) client: Client,
    pub(crate) peer: Option<IpAddr>,
}

impl About {
    fn new(conn: &Conn, head: &Head, listener: &Listener) -> Self {
        let worker = &conn.worker;
        let scratch = worker.scratch.borrow();
        let (request, bytes) = (head.request(), head.bytes(&scratch.read));
        let mut buffer = [0; 32];
        Self {
            version: request.version(),
            method: request.method(),
            keep_alive: request.keep_alive(),
            request_id: RequestId::new(filter::request_id(request, bytes, worker.random_wide(), &mut buffer)),
            client: filter::client_address(request, bytes, conn.peer, &listener.rules),
            peer: conn.peer,
        }
    }

    /// What an answer of the gateway's own needs.
    pub(crate) fn to(&self, unread: Unread) -> To<'_> {
        To {
            version: self.version,
            head_only: self.method == Method::Head,
            keep_alive: self.keep_alive,
            request_id: self.request_id.as_bytes(),
            unread,
        }
    }
}

/// A request's id: the usual 32 digits in place, a client's longer one in a box.
#[derive(Debug)]
pub(crate) enum RequestId {
    /// Up to 32 bytes.
    Short([u8; 32], u8),
    /// More.
    Long(Box<[u8]>),
}

impl RequestId {
    fn new(id: &[u8]) -> Self {
        let mut short = [0; 32];
        match (short.get_mut(..id.len()), u8::try_from(id.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(id);
                Self::Short(short, len)
            }
            _ => Self::Long(id.into()),
        }
    }

    /// Its bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes, len) => &bytes[..usize::from(*len)],
            Self::Long(bytes) => bytes,
        }
    }
}

impl<'a> Facts<'a> {
    fn new(
        worker: &'a Worker,
        live: &'a WorkerLive,
        listener: &'a Listener,
        route: &'a Route,
        proxy: &'a Proxy,
        head: &Head,
        about: &'a About,
    ) -> Self {
        let scratch = worker.scratch.borrow();
        let limits = &live.live.limits;
        Self {
            worker,
            route,
            proxy,
            method: about.method,
            version: about.version,
            keep_alive: about.keep_alive,
            expects_continue: head.request().expect_continue(),
            request_id: &about.request_id,
            upgrade: upgrade(head, head.bytes(&scratch.read), proxy),
            reserved: &listener.rules.reserved,
            write_stall: ticks(limits.write_stall_ms),
            body_min_rate: limits.body_min_rate,
        }
    }
}

/// The protocol change to ask for: one that the route lists; a WebSocket only with a valid handshake.
fn upgrade(head: &Head, bytes: &[u8], proxy: &Proxy) -> Option<Upgrade> {
    let protocol = head.request().upgrade(bytes)?;
    let listed = proxy.upgrade.iter().any(|listed| protocol.eq_ignore_ascii_case(listed.as_bytes()));
    if !listed || !matches!(head.request().framing(), Framing::None | Framing::Length(0)) {
        return None;
    }
    let websocket = protocol.eq_ignore_ascii_case(b"websocket");
    let accept = head.request().websocket_key(bytes).map(websocket_accept);
    (!websocket || accept.is_some()).then(|| Upgrade { protocol: protocol.to_vec(), accept })
}

/// The fields of a request, for predicates.
struct RequestFields<'a>(&'a Head, &'a [u8]);

impl Fields for RequestFields<'_> {
    fn values(&self, name: &[u8], each: &mut dyn FnMut(&[u8]) -> bool) {
        for value in self.0.request().get(self.1, name) {
            if !each(value) {
                return;
            }
        }
    }
}

fn find<'a>(
    worker: &Worker,
    live: &'a Live,
    listener: &Listener,
    conn: &Conn,
    head: &Head,
    about: &About,
    captures: &mut Captures,
) -> Result<&'a Route, Failure> {
    if !listener.http {
        return Err(FaultKind::NoRoute.into());
    }
    let scratch = worker.scratch.borrow();
    let bytes = head.bytes(&scratch.read);
    let request = head.request();
    let lookup = Lookup {
        listener: conn.listener.index.get(),
        host: request.host(bytes),
        path: request.path(bytes),
        method: request.method_bytes(bytes),
        query: request.query(bytes),
        client: about.client.ip,
        fields: &RequestFields(head, bytes),
    };
    match live.table.find(&lookup, captures) {
        Found::Route(index, _) => Ok(&live.routes[index]),
        Found::NotFound => Err(FaultKind::NoRoute.into()),
        Found::MethodNotAllowed(allow) => {
            let allow = Some(allow.as_str().to_owned());
            Err(Failure { allow, ..FaultKind::MethodNotAllowed.into() })
        }
    }
}

/// A body whose length is known and too large is refused before anything is opened for it.
fn check_length(head: &Head, proxy: &Proxy) -> Result<(), Failure> {
    match (head.request().framing(), proxy.max_body) {
        (Framing::Length(length), Some(max)) if length > max => Err(FaultKind::BodyTooLarge.into()),
        _ => Ok(()),
    }
}

async fn open(
    worker: &Worker,
    pool: &Rc<Pool>,
    max_per_target: u32,
    connect_ms: u64,
    fresh: bool,
) -> Result<Upstream, Failure> {
    let up = pool.acquire(&worker.dialer, max_per_target, connect_ms, fresh).await?;
    let counter = if up.reused { &worker.metrics().reused } else { &worker.metrics().dialled };
    counter.add(1);
    Ok(up)
}

fn write_head(
    scratch: &mut crate::buffers::Scratch,
    head: &Head,
    about: &About,
    facts: &Facts<'_>,
    sending: &Sending<'_>,
) {
    let crate::buffers::Scratch { read, out, .. } = scratch;
    let (request, bytes) = (head.request(), head.bytes(read));
    let host = match &facts.proxy.host {
        HostPolicy::Keep if !request.authority(bytes).is_empty() => request.authority(bytes),
        HostPolicy::Keep | HostPolicy::Target => sending.authority,
        HostPolicy::Name(name) => name.as_bytes(),
    };
    let outgoing = Outgoing {
        path: if sending.path.is_empty() { request.raw_path(bytes) } else { sending.path },
        query: request.query(bytes),
        host,
        client: &about.client,
        peer: about.peer,
        scheme: "http",
        request_id: about.request_id.as_bytes(),
        framing: request.framing(),
        upgrade: facts.upgrade.as_ref().map(|upgrade| upgrade.protocol.as_slice()),
        expect_continue: facts.expects_continue,
        edits: &facts.route.request_edits,
        hook_edits: sending.edits,
    };
    filter::write_request_head(out, request, bytes, &outgoing);
}

/// Answers that the route itself gives.
async fn direct(
    conn: &mut Conn,
    head: &mut Head,
    about: &About,
    route: &Route,
    captures: &Captures,
) -> Result<After, Failure> {
    let worker = conn.worker.clone();
    let to = about.to(leave_body(conn, head));
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
        Action::Proxy(_) => Err(FaultKind::NoRoute.into()),
    }
}

/// Leaves what came behind the head to whoever reads the connection next.
pub(crate) fn leave_body(conn: &mut Conn, head: &Head) -> Unread {
    let scratch = conn.worker.scratch.borrow();
    let (body, framing) = head.body(&scratch.read);
    conn.pending.extend_from_slice(body);
    match Reader::from(framing) {
        Reader::Done => Unread::Nothing,
        // The client waits for a 100 that will not come: it may send the body or not (RFC 9110 §10.1.1).
        _ if head.request().expect_continue() && conn.pending.is_empty() => Unread::Unknown,
        body => Unread::Body(body),
    }
}

/// A request that could not be served.
#[derive(Debug)]
pub(crate) struct Failure {
    fault: Fault,
    /// The answer's head is out: nothing better than an abrupt end can tell the client.
    answered: bool,
    /// What of the body was not read; `None`: nothing was touched yet.
    unread: Option<Unread>,
    allow: Option<String>,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        // A hook that did not come back keeps the head: where the body begins, nobody knows.
        let unread = (fault.kind == FaultKind::HookTimeout).then_some(Unread::Unknown);
        Self { fault, answered: false, unread, allow: None }
    }
}

impl From<FaultKind> for Failure {
    fn from(kind: FaultKind) -> Self {
        Fault::from(kind).into()
    }
}

/// Counts and logs a failure, and answers it where an answer can still be given.
async fn fail(conn: &mut Conn, about: &About, head: Head, failure: Failure) -> After {
    let worker = conn.worker.clone();
    let kind = failure.fault.kind;
    worker.metrics().fault(kind);
    if let Some(reason) = failure.fault.reason {
        worker.metrics().refuse(reason);
    }
    worker.log_fault(kind, failure.fault.reason, about.request_id.as_bytes());
    if failure.answered || kind.status() == 0 {
        return After::Close;
    }
    let unread = failure.unread.unwrap_or_else(|| leave_body(conn, &head));
    let (status, detail) = match (kind, failure.fault.reason) {
        (FaultKind::BadBody, Some(reason)) => (reason.status(), kind.detail()),
        _ => (kind.status(), kind.detail()),
    };
    let allow = failure.allow.as_deref().map(|allow| [("Allow", allow.as_bytes())]);
    let fields = allow.as_ref().map_or_else(|| answer::fault_fields(kind), |fields| fields);
    answer::give(conn, about.to(unread), What { status, detail, fields, content: Content::Problem }).await
}

/// Answers a message that is no valid request and ends its connection: where it ends, nobody knows.
async fn refuse(conn: &mut Conn, none: NoHead) -> After {
    let worker = conn.worker.clone();
    let (status, detail) = match none {
        NoHead::Gone => return After::Close,
        NoHead::Timeout => {
            worker.metrics().fault(FaultKind::HeaderTimeout);
            (FaultKind::HeaderTimeout.status(), FaultKind::HeaderTimeout.detail())
        }
        NoHead::Refused(reason) => {
            worker.metrics().refuse(reason);
            worker.log_refused(reason, conn.peer);
            (reason.status(), reason.name())
        }
    };
    let mut request_id = [0; 32];
    write::hex32(worker.random_wide(), &mut request_id);
    let to = To {
        version: Version::Http11,
        head_only: false,
        keep_alive: false,
        request_id: &request_id,
        unread: Unread::Unknown,
    };
    answer::give(conn, to, What { status, detail, fields: &[], content: Content::Problem }).await
}

/// Counts a request's end exactly once, whatever happens to it.
struct Ending<'a>(&'a Worker);

impl<'a> Ending<'a> {
    fn begin(worker: &'a Worker) -> Self {
        worker.metrics().requests.add(1);
        Self(worker)
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.metrics().finished.add(1);
    }
}

/// Bytes of the future of one request, for the test that pins it.
#[cfg(test)]
pub(crate) fn future_size() -> usize {
    fn size<A, F>(_: fn(A) -> F) -> usize {
        size_of::<F>()
    }
    size(|conn: &'static mut Conn| serve_request(conn))
}
