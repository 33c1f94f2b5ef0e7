//! Request hooks: the host is asked, the connection waits, the answer comes back by message.

use std::future::poll_fn;
use std::task::Poll;

use fastgate_core::filter::Content;
use fastgate_core::route::Captures;

use crate::about::About;
use crate::answer::{self, What};
use crate::connection::{After, Conn};
use crate::direct;
use crate::fault::{Fault, FaultKind};
use crate::guard::Findings;
use crate::head::Head;
use crate::host::{Decision, HookAnswer, HookJob, HookWork, ReplyTo};
use crate::live::Route;
use crate::worker::Worker;

/// A place in the worker's table, given up when dropped.
struct Ticket<'a>(&'a Worker, u64);

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.0.hooks.forget(self.1);
    }
}

/// Lends the request to the host's hooks and waits for their decision.
pub(crate) async fn run(
    conn: &mut Conn,
    head: &mut Head,
    about: &About<'_>,
    route: &Route,
    captures: &Captures,
) -> Result<Decision, Fault> {
    let worker = conn.worker.clone();
    let ticket = Ticket(&worker, worker.hooks.ticket());
    let (request, bytes) = head.lend(&worker);
    let work = Box::new(HookWork {
        route: route.name.clone(),
        request,
        bytes,
        captures: captures.clone(),
        client: about.client.ip,
        request_id: about.request_id.as_bytes().to_vec(),
        identity: about.found().and_then(|found| found.identity.get().cloned()),
        tenant: about.found().and_then(Findings::tenant).cloned(),
    });
    let reply = ReplyTo { shared: worker.shared.clone(), worker: worker.index, ticket: ticket.1 };
    worker.shared.host.on_request(HookJob::new(work, reply));
    conn.deadline.set_after(route.hook_limit);
    let reply = poll_fn(|cx| match worker.hooks.poll(cx, ticket.1) {
        Poll::Ready(reply) => Poll::Ready(Some(reply)),
        Poll::Pending if conn.deadline.expired() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    // After a time-out the request stays lent: its body cannot be told apart, so the connection ends.
    let Some(reply) = reply.await else { return Err(FaultKind::HookTimeout.into()) };
    head.restore(reply.work.request, reply.work.bytes);
    reply.outcome.map_err(|_| FaultKind::HookFailed.into())
}

/// Gives a hook's own answer.
pub(crate) async fn answer(conn: &mut Conn, head: &Head, about: &About<'_>, early: &HookAnswer) -> After {
    let unread = direct::leave_body(conn, head, about);
    let fields: Vec<_> = early
        .fields
        .iter()
        .filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value.as_slice())))
        .collect();
    let (status, content) = match early.status {
        200..=599 => (early.status, Content::Bytes { content_type: None, body: &early.body }),
        _ => (500, Content::Problem),
    };
    answer::give(conn, about.to(unread), What { status, detail: "", fields: &fields, content }).await
}
