//! The life of a request, from top to bottom. The order is fixed and documented for users
//! (`docs/developer/life_of_a_request.md`); each phase says why it stands where it stands.
//!
//! Phase 1, accept, is `accept.rs`: who may connect is decided before a byte is read.

use std::future::poll_fn;
use std::rc::Rc;

use fastgate_core::balance::round_robin;
use fastgate_core::filter::{self, Outgoing};
use fastgate_core::http1::{Framing, Method, Request, websocket_accept};
use fastgate_core::log::Begin;
use fastgate_core::network::Preflight;
use fastgate_core::route::{Captures, Found, Lookup};
use fastgate_core::snapshot::HostPolicy;

use crate::about::About;
use crate::answer::{self, Unread};
use crate::connection::{After, Conn};
use crate::deadlines::ticks;
use crate::direct::{direct, to_https};
use crate::exchange::body::Reader;
use crate::exchange::tunnel::Tunnel;
use crate::exchange::{Exchange, Facts, Outcome, Upgrade};
use crate::failure::{Failure, fail, refuse};
use crate::fault::FaultKind;
use crate::files;
use crate::guard::{self, Ask, Findings, Guards, Judged};
use crate::head::{self, Head, RequestFields};
use crate::hooks;
use crate::host::Level;
use crate::hub;
use crate::live::{Action, Listener, Live, Proxy, Route};
use crate::metrics::Tally;
use crate::pool::{Pool, Upstream};
use crate::publish;
use crate::tls;
use crate::worker::{Worker, WorkerLive};

/// Serves one request of a connection and says what follows.
pub(crate) async fn serve_request(conn: &mut Conn, worker: &Rc<Worker>) -> After {
    let live = conn.listener.live();
    let listener = &live.live.listeners[conn.listener.index.get()];

    // 2 parse: everything later reads this one value, so it comes first and is strict.
    let mut head = match head::read(conn, &listener.rules, live.live.limits.header_timeout_ms).await {
        Ok(head) => head,
        Err(none) => return Box::pin(refuse(conn, none)).await,
    };
    // From here on the request is counted: at its end exactly once, whatever happens to it.
    let about = About::new(conn, &head, listener, Tally::begin(worker, &live));

    match proceed(conn, worker, &live, listener, &mut head, &about).await {
        Ok(after) => after,
        // What is rare is boxed, so that the usual request does not carry its size.
        Err(failure) => Box::pin(end(conn, listener, &about, head, failure)).await,
    }
}

/// Answers a request that was not served: with the way to https, where that is all that is served here, or with why.
async fn end(conn: &mut Conn, listener: &Listener, about: &About<'_>, head: Head, failure: Failure) -> After {
    let failure = match listener.redirect {
        Some(to) if failure.fault.kind != FaultKind::Misdirected => match to_https(conn, &head, about, to).await {
            Ok(after) => return after,
            Err(failure) => failure,
        },
        _ => failure,
    };
    fail(conn, about, head, failure).await
}

/// Phases 3 to 10; a failure is answered in one place, by the caller.
#[expect(clippy::manual_async_fn, reason = "the arguments of an async fn take their place in its future twice")]
fn proceed(
    conn: &mut Conn,
    worker: &Rc<Worker>,
    live: &Rc<WorkerLive>,
    listener: &Listener,
    head: &mut Head,
    about: &About<'_>,
) -> impl Future<Output = Result<After, Failure>> {
    async move {
        // 3 match: before anything that depends on the route, on the canonical path and nothing else.
        let mut captures = Captures::new();
        let route = find(worker, &live.live, listener, conn, head, about, &mut captures)?;

        // 4 guard: a body whose length is known and too large is refused before anybody is asked anything.
        if let Action::Proxy(proxy) = &route.action {
            check_length(head, proxy)?;
        }

        // 4-7 guard, identify, authorise, limit: each before what costs more than itself. Most requests wait for
        // nobody, so no future is made for them.
        if let Some(guards) = &route.guards {
            let judged = judge(conn, live, head, about, route, guards);
            if !matches!(judged, Judged::Pass) {
                let rest = guard::go_on(conn, live, head, about, route, guards, judged);
                if let Some(after) = Box::pin(rest).await? {
                    return Ok(after);
                }
            }
        }

        // 8 prepare: what changes the request, after it is known to be allowed. Hooks may wait, so the head moves out;
        // they stand before every kind of route, so that one that guards it does.
        if route.on_request {
            let decision = Box::pin(hooks::run(conn, head, about, route, &captures)).await?;
            if let Some(early) = decision.answer {
                return Ok(Box::pin(hooks::answer(conn, head, about, &early)).await);
            }
            about.find().edits.borrow_mut().extend(decision.edits);
        }

        // An answer of the route's own needs no upstream: whatever would follow is spared.
        let proxy = match &route.action {
            Action::Proxy(proxy) => proxy,
            Action::Respond(_) | Action::Redirect { .. } => {
                return Box::pin(direct(conn, head, about, route, &captures)).await;
            }
            Action::Realtime(endpoint) => {
                return Ok(Box::pin(hub::serve(conn, head, about, route, endpoint, &captures)).await);
            }
            Action::Publish(call) => {
                return Box::pin(publish::serve(conn, head, about, &live.live, route, *call)).await;
            }
            Action::Files(files) => {
                return Box::pin(files::serve(conn, head, about, route, files, &captures)).await;
            }
        };
        let mut rewritten = Vec::new();
        if let Some(rewriter) = &proxy.rewrite {
            let scratch = worker.scratch.borrow();
            let bytes = head.bytes(&scratch.read);
            let (raw, path) = (head.request().raw_path(bytes), head.request().path(bytes));
            rewriter.apply(&mut rewritten, raw, path, &captures).map_err(|_| Failure::from(FaultKind::BadRewrite))?;
        }

        // 9 choose: as late as possible, so that nothing is held while the request may still be refused.
        let service = &live.live.services[proxy.service];
        about.tally.serviced(proxy.service);
        let index = if service.targets.len() == 1 { 0 } else { round_robin(&service.turn, service.targets.len()) };
        about.tally.targeted(index);
        let pool = &live.pools[proxy.service][index];
        let up = match pool.try_take() {
            Some(up) => {
                worker.metrics().reused.add(1);
                up
            }
            None => {
                // Opening may wait: the head leaves the worker's buffer.
                head.detach(worker);
                about.tally.asked();
                Box::pin(open(worker, pool, service.max_per_target, proxy.connect_ms, false)).await?
            }
        };

        // 10 exchange: the upstream's head is written anew from the parsed request, never from received bytes.
        let sending = Sending { path: &rewritten, authority: &service.targets[index].authority };
        let facts = Facts::new(worker, live, listener, route, proxy, head, about);
        exchange(conn, head, about, &facts, up, pool, service.max_per_target, &sending).await
    }
}

/// What phase 10 sends besides the request itself.
struct Sending<'a> {
    /// The path after a rewrite; empty: as received.
    path: &'a [u8],
    authority: &'a [u8],
}

#[expect(clippy::too_many_arguments, reason = "the phase's inputs; a struct would only rename them")]
#[expect(clippy::manual_async_fn, reason = "as above")]
fn exchange(
    conn: &mut Conn,
    head: &mut Head,
    about: &About<'_>,
    facts: &Facts<'_>,
    up: Upstream,
    pool: &Rc<Pool>,
    max_per_target: u32,
    sending: &Sending<'_>,
) -> impl Future<Output = Result<After, Failure>> {
    async move {
        let worker = facts.worker;
        let reader = Reader::from(head.request().framing());
        let replayable = up.reused && reader.is_done() && facts.method.is_idempotent() && facts.upgrade.is_none();
        let mut replay = Vec::new();
        let mut exchange = Exchange::new(facts, conn, up, reader);
        let started = {
            let mut scratch = worker.scratch.borrow_mut();
            write_head(&mut scratch, head, about, facts, sending);
            if replayable {
                replay = worker.blocks.filled(&scratch.out);
            }
            let started = exchange.start_from(&mut scratch, head);
            about.tally.asked();
            started
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
            let again = exchange.is_sent();
            drop(exchange);
            let up = Box::pin(open(worker, pool, max_per_target, facts.proxy.connect_ms, true)).await?;
            exchange = Exchange::new(facts, conn, up, Reader::Done);
            let started = exchange.replay(&mut worker.scratch.borrow_mut(), &replay, again);
            ended = match started {
                Ok(()) => poll_fn(|cx| exchange.poll(cx)).await,
                Err(fault) => Err(fault),
            };
        }
        worker.blocks.give(replay);

        // 11 finish: a connection goes back only if clean; dropped anywhere else, it closes and releases its counts.
        match ended {
            Ok(Outcome::Done { keep_alive, clean }) => {
                about.tally.through();
                let (up, body) = exchange.into_parts();
                if clean {
                    up.check_in(worker.deadlines.now());
                } else {
                    drop(up);
                }
                match (keep_alive, body.is_done()) {
                    (true, true) => Ok(After::Next),
                    (true, false) => Ok(Box::pin(answer::drain(conn, body, Some(&about.tally))).await),
                    (false, _) => Ok(After::Linger),
                }
            }
            Ok(Outcome::Tunnel) => {
                about.tally.through();
                let (up, to_client) = exchange.into_tunnel();
                let (idle, held_bytes, line) = (facts.proxy.idle, facts.proxy.held_bytes, about.tally.shared_line());
                let log = about.tally.tunnel_line(&conn.worker);
                let held = about.found().map(|found| found.held.take()).unwrap_or_default();
                Ok(After::Tunnel(Box::new(Tunnel { up, to_client, idle, held_bytes, line, log, held })))
            }
            Err(fault) => {
                let answered = exchange.is_answered();
                let (up, body) = exchange.into_parts();
                #[cfg(feature = "planted")]
                let up = up.leak_count(fault.kind);
                drop(up);
                let unread = match body {
                    Reader::Done => Unread::Nothing,
                    _ if fault.reason.is_some() && fault.kind != FaultKind::UpstreamProtocol => Unread::Unknown,
                    body => Unread::Body(body),
                };
                Err(Failure { answered, unread: Some(unread), ..fault.into() })
            }
        }
    }
}

fn judge(conn: &Conn, live: &WorkerLive, head: &Head, about: &About<'_>, route: &Route, guards: &Guards) -> Judged {
    let worker = &conn.worker;
    let scratch = worker.scratch.borrow();
    let (request, bytes) = (head.request(), head.bytes(&scratch.read));
    let ask = Ask { conn, worker, live: &live.live, route, head: request, bytes, about };
    guards.judge(0, &ask)
}

impl<'a> Facts<'a> {
    fn new(
        worker: &'a Worker,
        live: &'a WorkerLive,
        listener: &'a Listener,
        route: &'a Route,
        proxy: &'a Proxy,
        head: &Head,
        about: &'a About<'a>,
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
            tally: &about.tally,
            found: about.found(),
            upgrade: upgrade(head, head.bytes(&scratch.read), proxy),
            reserved: &listener.rules.reserved,
            write_stall: ticks(limits.write_stall_ms),
            body_min_rate: limits.body_min_rate,
        }
    }
}

/// The protocol change to ask for: one that the route lists; a WebSocket only with a valid handshake.
fn upgrade(head: &Head, bytes: &[u8], proxy: &Proxy) -> Option<Box<Upgrade>> {
    let protocol = head.request().upgrade(bytes)?;
    let listed = proxy.upgrade.iter().any(|listed| protocol.eq_ignore_ascii_case(listed.as_bytes()));
    if !listed || !matches!(head.request().framing(), Framing::None | Framing::Length(0)) {
        return None;
    }
    let websocket = protocol.eq_ignore_ascii_case(b"websocket");
    let accept = head.request().websocket_key(bytes).map(websocket_accept);
    (!websocket || accept.is_some()).then(|| Box::new(Upgrade { protocol: protocol.to_vec(), accept }))
}

fn find<'a>(
    worker: &Worker,
    live: &'a Live,
    listener: &Listener,
    conn: &Conn,
    head: &Head,
    about: &About<'_>,
    captures: &mut Captures,
) -> Result<&'a Route, Failure> {
    let scratch = worker.scratch.borrow();
    let bytes = head.bytes(&scratch.read);
    let request = head.request();
    let lookup = Lookup {
        listener: conn.listener.index.get(),
        host: request.host(bytes),
        // `OPTIONS *` asks about the whole server: it goes where the root goes.
        path: if request.is_asterisk() { b"/" } else { request.path(bytes) },
        method: request.method_bytes(bytes),
        query: request.query(bytes),
        client: about.client.ip,
        fields: &RequestFields(head, bytes),
    };
    let mut found = live.table.find_lean(&lookup, captures);
    if about.method == Method::Options && live.preflights {
        found = preflighted(live, &lookup, request, bytes, captures).unwrap_or(found);
    }
    if let Found::Route(index, _) = found {
        about.tally.routed(index);
    }
    if let Some(access) = &live.access {
        let sample = match found {
            Found::Route(index, _) => live.routes[index].sample,
            Found::NotFound | Found::MethodNotAllowed(_) => access.sample(),
        };
        let (client, request_id) = (about.client.ip, about.request_id.as_bytes());
        let request = Some((request, bytes));
        about.tally.begin_line(
            access,
            sample,
            Begin { unix_ms: 0, request_id, client, listener: &listener.name, request },
        );
    }
    about.tally.received(head.len);
    if conn.stream.is_secure() || listener.tls.is_some() {
        tls::judge(conn, head, listener)?;
    }
    if listener.redirect.is_some() {
        return Err(FaultKind::NoRoute.into());
    }
    match found {
        Found::Route(index, _) => Ok(&live.routes[index]),
        Found::NotFound => Err(FaultKind::NoRoute.into()),
        Found::MethodNotAllowed(allow) => {
            let allow = Some(allow.as_str().to_owned());
            Err(Failure { allow, ..FaultKind::MethodNotAllowed.into() })
        }
    }
}

/// A preflight belongs to the route of the request that it asks for, if that one answers it.
#[cold]
#[inline(never)]
fn preflighted(
    live: &Live,
    lookup: &Lookup<'_>,
    request: &Request,
    bytes: &[u8],
    captures: &mut Captures,
) -> Option<Found> {
    let method = Preflight::of(request, bytes)?.method;
    let mut own = Captures::new();
    let found = live.table.find(&Lookup { method, ..*lookup }, &mut own);
    let answers = matches!(found, Found::Route(index, _) if live.routes[index].answers_preflights());
    if answers {
        *captures = own;
    }
    answers.then_some(found)
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
    let up = match pool.acquire(&worker.dialer, max_per_target, connect_ms, fresh).await {
        Ok(up) => up,
        Err(fault) => {
            if let Some(why) = pool.target.news() {
                worker.log(Level::Warning, format!("TLS with {} fails: {why}", pool.target));
            }
            return Err(fault.into());
        }
    };
    let counter = if up.reused { &worker.metrics().reused } else { &worker.metrics().dialled };
    counter.add(1);
    Ok(up)
}

fn write_head(
    scratch: &mut crate::buffers::Scratch,
    head: &Head,
    about: &About<'_>,
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
    let edits = about.found().map(|found| found.edits.borrow());
    let outgoing = Outgoing {
        path: if sending.path.is_empty() { request.raw_path(bytes) } else { sending.path },
        query: about.found().and_then(Findings::query).or_else(|| request.query(bytes)),
        host,
        client: &about.client,
        peer: about.peer,
        scheme: if about.secure { "https" } else { "http" },
        request_id: about.request_id.as_bytes(),
        framing: request.framing(),
        upgrade: facts.upgrade.as_ref().map(|upgrade| upgrade.protocol.as_slice()),
        expect_continue: facts.expects_continue,
        edits: &facts.route.request_edits,
        hook_edits: edits.as_deref().map_or(&[], Vec::as_slice),
    };
    filter::write_request_head(out, request, bytes, &outgoing);
}

/// Bytes of the future of one request, for the test that pins it.
#[cfg(test)]
pub(crate) fn future_size() -> usize {
    fn size<A, F>(_: fn(A) -> F) -> usize {
        size_of::<F>()
    }
    size(|(conn, worker): (&'static mut Conn, &'static Rc<Worker>)| serve_request(conn, worker))
}
