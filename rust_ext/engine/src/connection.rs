//! A client connection: idle between requests, holding nothing but its socket and a deadline.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use crate::accept::Listener;
use crate::deadlines::{Slot, Tick, ticks};
use crate::exchange::tunnel::{self, Tunnel};
use crate::fault::FaultKind;
use crate::host::Level;
use crate::hub::{self, Entrance};
use crate::lifecycle;
use crate::metrics::ListenerLine;
use crate::proxied;
use crate::rt;
use crate::sync::Counted;
use crate::tls;
use crate::transport::{Readiness, Stream, Transport};
use crate::worker::Worker;

/// Milliseconds a keep-alive connection may be idle.
const IDLE_MS: u64 = 75_000;

/// What is read and thrown away of a client that still sends when its connection closes, and for how long: a reset
/// would take the answer with it.
pub(crate) const LINGER_BYTES: u64 = 64 * 1024;
pub(crate) const LINGER_MS: u64 = 2_000;

/// A client connection between two requests.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) worker: Rc<Worker>,
    pub(crate) listener: Rc<Listener>,
    pub(crate) stream: Stream,
    pub(crate) deadline: Slot,
    /// The peer's address; `None` on a Unix listener.
    pub(crate) peer: Option<IpAddr>,
    /// Received and not used yet: pipelined requests or the start of a head.
    pub(crate) pending: Vec<u8>,
    /// The tick at which it closes together with an answer.
    pub(crate) retires: Tick,
    /// The request has asked that its task be woken when the client sends, and has read nothing since.
    pub(crate) watched: Cell<bool>,
    place: Place,
}

/// A connection's place in all counts, given up when dropped: behind the descriptor, which stands before it.
#[derive(Debug)]
pub(crate) struct Place {
    worker: Rc<Worker>,
    /// Where it is counted, whatever its listener is called by now.
    line: Arc<ListenerLine>,
    count: Option<Counted>,
}

impl Place {
    fn new(worker: &Rc<Worker>, line: Arc<ListenerLine>, count: Counted) -> Self {
        line.opened.add(1);
        Self::moved(worker, line, count)
    }

    /// That of a connection that another worker has counted as opened.
    pub(crate) fn moved(worker: &Rc<Worker>, line: Arc<ListenerLine>, count: Counted) -> Self {
        worker.connections.set(worker.connections.get() + 1);
        worker.shared.workers[worker.index].descriptors.fetch_add(1, Relaxed);
        Self { worker: worker.clone(), line, count: Some(count) }
    }

    /// The name of the listener it is counted at, among these.
    pub(crate) fn listener(&self, lines: &[(Arc<str>, Arc<ListenerLine>)]) -> Option<String> {
        lines.iter().find(|(_, line)| Arc::ptr_eq(line, &self.line)).map(|(name, _)| name.to_string())
    }

    /// Leaves the process's counts to the worker that takes the connection over.
    pub(crate) fn hand_over(mut self) {
        if let Some(count) = self.count.take() {
            count.hand_over();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let worker = &self.worker;
        if self.count.is_some() {
            worker.metrics().closed.add(1);
            self.line.closed.add(1);
        }
        worker.shared.workers[worker.index].descriptors.fetch_sub(1, Relaxed);
        worker.connections.set(worker.connections.get() - 1);
        worker.perhaps_idle();
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("index", &self.index).finish_non_exhaustive()
    }
}

/// What follows a request.
pub(crate) enum After {
    /// The next request.
    Next,
    /// The end, at once.
    Close,
    /// The end, after the client has had a chance to read its answer.
    Linger,
    /// A tunnel.
    Tunnel(Box<Tunnel>),
    /// The hub: the connection goes on as a session, without a task.
    Hub(Box<Entrance>),
}

impl Conn {
    /// A connection that has just been accepted or adopted.
    pub(crate) fn new(
        worker: &Rc<Worker>,
        listener: &Rc<Listener>,
        stream: Stream,
        peer: Option<IpAddr>,
        pending: Vec<u8>,
        count: Counted,
    ) -> Self {
        let deadline = worker.deadlines.slot();
        let age = ticks(listener.live().live.limits.connection_age_ms);
        // Up to a tenth sooner, so that connections opened together do not close together.
        let jitter = u32::try_from(worker.random() % u64::from(age / 10 + 1)).unwrap_or(0);
        Self {
            place: Place::new(worker, listener.line(), count),
            retires: deadline.now().saturating_add(age - jitter),
            worker: worker.clone(),
            listener: listener.clone(),
            stream,
            deadline,
            peer,
            pending,
            watched: Cell::new(false),
        }
    }

    /// Whether what it carries is encrypted.
    pub(crate) fn is_secure(&self) -> bool {
        self.stream.is_secure()
    }

    /// What outlives the task: the stream, the place in all counts, the bytes that nobody has used.
    pub(crate) fn into_parts(self) -> (Stream, Place, Vec<u8>) {
        (self.stream, self.place, self.pending)
    }

    /// Whether this answer should be its last.
    pub(crate) fn should_close(&self) -> bool {
        self.worker.draining.get() || self.listener.closing() || self.deadline.now() >= self.retires
    }

    /// Waits until the client sends; `false` when it closed or was idle too long.
    async fn wait_for_bytes(&self) -> bool {
        self.deadline.set_after(ticks(IDLE_MS));
        poll_fn(|cx| {
            // After a wake-up the readiness is known: a look is cheaper than a question.
            if self.stream.is_readable() {
                return Poll::Ready(true);
            }
            // Asking costs more than all that stands before it, and the last request may have asked.
            if self.watched.take() && !self.is_secure() {
                return Poll::Pending;
            }
            match self.stream.poll_ready(cx, Readiness::Read) {
                Poll::Ready(ready) => Poll::Ready(ready.is_ok()),
                Poll::Pending if self.deadline.expired() => Poll::Ready(false),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Ends a connection that nothing more is said on.
    fn farewell(&self) {
        if let Some(tls) = self.stream.tls() {
            tls.farewell();
        }
    }

    /// Waits until the way is open, or fails when the deadline has passed.
    pub(crate) async fn ready(&self, way: Readiness) -> io::Result<()> {
        poll_fn(|cx| match self.stream.poll_ready(cx, way) {
            Poll::Ready(ready) => Poll::Ready(ready),
            Poll::Pending if self.deadline.expired() => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Writes all of it within the write stall limit; adds what went out to `sent`, also where that is not everything.
    pub(crate) async fn send_all(&self, mut bytes: &[u8], sent: &mut u64) -> Result<(), FaultKind> {
        let stall = ticks(self.listener.live().live.limits.write_stall_ms);
        self.deadline.set_after(stall);
        while !bytes.is_empty() {
            match self.stream.try_writev(&[io::IoSlice::new(bytes)]) {
                Ok(n) => {
                    bytes = &bytes[n..];
                    *sent += n as u64;
                    self.deadline.set_after(stall);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match self.ready(Readiness::Write).await {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(FaultKind::WriteStall),
                    Err(_) => return Err(FaultKind::ClientGone),
                },
                Err(_) => return Err(FaultKind::ClientGone),
            }
        }
        Ok(())
    }

    /// Ends our direction and throws away what the client still sends, up to a bound.
    async fn linger(&self) {
        if self.stream.shutdown().is_err() {
            return;
        }
        self.deadline.set_after(ticks(LINGER_MS));
        let mut left = LINGER_BYTES;
        while self.ready(Readiness::Read).await.is_ok() {
            let got = self.stream.try_read(&mut self.worker.scratch.borrow_mut().read);
            match got {
                Ok(n) if n > 0 && (n as u64) < left => left -= n as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => return,
            }
        }
    }
}

/// Starts serving.
pub(crate) fn spawn(conn: Conn) {
    rt::spawn(serve(conn));
}

/// The life of a connection. Its future is what an idle connection costs, so what a request needs is boxed.
pub(crate) async fn serve(mut conn: Conn) {
    poll_fn(|cx| {
        conn.deadline.wakes(cx.waker());
        Poll::Ready(())
    })
    .await;
    // Before anything else is read: TLS and requests come behind it.
    if conn.listener.wants_proxy_header() && !Box::pin(proxied::read(&mut conn)).await {
        return;
    }
    let worker = conn.worker.clone();
    let mut tls = conn.listener.tls();
    loop {
        // The one place to wait: a client that says nothing costs with TLS no more than without.
        if conn.pending.is_empty() && !conn.wait_for_bytes().await {
            return conn.farewell();
        }
        if let Some(served) = tls.take() {
            let Some(begun) = tls::begin(conn, &served) else { return };
            conn = begun;
            let greeted = Caught { worker: &worker, future: Box::pin(tls::greet(&conn)) }.await;
            if greeted != Some(true) {
                return;
            }
            continue;
        }
        conn.watched.set(false);
        let request = Caught { worker: &worker, future: Box::pin(lifecycle::serve_request(&mut conn, &worker)) };
        match request.await.unwrap_or(After::Close) {
            After::Next => {}
            After::Close => return conn.farewell(),
            After::Linger => return Box::pin(conn.linger()).await,
            After::Tunnel(tunnel) => {
                Caught { worker: &worker, future: Box::pin(tunnel::run(conn, tunnel)) }.await;
                return;
            }
            After::Hub(entrance) => return hub::enter(conn, *entrance),
        }
    }
}

/// A future whose panic ends it, counted and logged, and nothing else: what it held is released by dropping.
struct Caught<'a, F> {
    worker: &'a Worker,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Caught<'_, F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = &mut self.future;
        if let Ok(poll) = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            return poll.map(Some);
        }
        self.worker.metrics().panics.add(1);
        self.worker.log(Level::Error, "a connection ended by a panic; the process goes on");
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::serve;

    #[test]
    fn a_request_costs_one_small_block() {
        let size = crate::lifecycle::future_size();
        assert!(size <= 1024, "the active future takes {size} bytes");
    }

    #[test]
    fn an_idle_connection_costs_little() {
        fn size<A, F>(_: fn(A) -> F) -> usize {
            size_of::<F>()
        }
        assert!(size(serve) <= 512, "the idle future takes {} bytes", size(serve));
    }
}
