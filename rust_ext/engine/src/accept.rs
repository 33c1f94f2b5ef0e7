//! Phase 1: accepting connections, turning away what is too much, passing on what another worker has room for.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Sender;
use std::task::{Poll, Waker};
use std::time::Duration;

use rustix::net::SocketFlags;

use crate::adopt::{self, State};
use crate::connection::{self, Conn};
use crate::host::Level;
use crate::listen::{self, Bind};
use crate::metrics::ListenerLine;
use crate::rt::{self, Readiness, Socket};
use crate::sync::Counted;
use crate::tls::Served;
use crate::transport::Stream;
use crate::worker::{Worker, WorkerLive};

/// Connections accepted in one turn, before others run.
const BATCH: usize = 64;

/// How long a listener that closes waits for handshakes that have begun.
const HANDSHAKE: Duration = Duration::from_millis(50);

/// What a client beyond `max_connections` is told, in one write that may fail.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// One listener as its connections see it.
#[derive(Debug)]
pub(crate) struct Listener {
    /// The address it is known by.
    pub(crate) bind: String,
    /// The port it listens on, whatever its config says; 0: none.
    pub(crate) port: Cell<u16>,
    /// Its index in the snapshot it last belonged to.
    pub(crate) index: Cell<usize>,
    live: RefCell<Rc<WorkerLive>>,
    /// Where its connections are counted.
    line: RefCell<Arc<ListenerLine>>,
    closing: Cell<bool>,
    /// A task accepts.
    accepting: Cell<bool>,
    /// Dropped once it has stopped listening, for whoever waits for that.
    closed: RefCell<Option<Sender<()>>>,
    waker: RefCell<Option<Waker>>,
}

impl Listener {
    /// A listener of this snapshot.
    pub(crate) fn new(worker: &Worker, bind: String, index: usize, live: Rc<WorkerLive>) -> Rc<Self> {
        Rc::new(Self {
            bind,
            port: Cell::new(0),
            index: Cell::new(index),
            line: RefCell::new(worker.metrics().listeners.line(&live.live.listeners[index].name)),
            live: RefCell::new(live),
            closing: Cell::new(false),
            accepting: Cell::new(false),
            closed: RefCell::new(None),
            waker: RefCell::new(None),
        })
    }

    /// The snapshot its next request uses.
    pub(crate) fn live(&self) -> Rc<WorkerLive> {
        self.live.borrow().clone()
    }

    /// Whether a connection begins with the PROXY protocol.
    pub(crate) fn wants_proxy_header(&self) -> bool {
        let live = self.live.borrow();
        live.live.listeners.get(self.index.get()).is_some_and(|listener| !listener.proxy_protocol.is_empty())
    }

    /// The TLS of its next connection.
    pub(crate) fn tls(&self) -> Option<Arc<Served>> {
        self.live.borrow().live.listeners[self.index.get()].tls.clone()
    }

    /// Where its next connection is counted.
    pub(crate) fn line(&self) -> Arc<ListenerLine> {
        self.line.borrow().clone()
    }

    /// Goes over to another snapshot.
    pub(crate) fn follow(&self, worker: &Worker, index: usize, live: &Rc<WorkerLive>) {
        *self.line.borrow_mut() = worker.metrics().listeners.line(&live.live.listeners[index].name);
        self.index.set(index);
        *self.live.borrow_mut() = live.clone();
    }

    /// Stops listening; connections end with their next answer. `closed` is dropped once the address is free.
    pub(crate) fn close(&self, closed: Option<Sender<()>>) {
        self.closing.set(true);
        if self.accepting.get() {
            *self.closed.borrow_mut() = closed;
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Whether connections should end with their next answer.
    pub(crate) fn closing(&self) -> bool {
        self.closing.get()
    }
}

/// Accepts until the listener closes; then once more until nothing waits, so that nobody in the queue is reset.
pub(crate) fn run(worker: Rc<Worker>, listener: Rc<Listener>, socket: Socket, bind: Bind) -> impl Future<Output = ()> {
    // Counted from here on, not from the first turn: a drain that comes in between must wait for it.
    let accepting = Accepting::begin(&worker, &listener);
    async move {
        accept(&worker, &listener, socket, &bind).await;
        drop(accepting);
    }
}

async fn accept(worker: &Rc<Worker>, listener: &Rc<Listener>, socket: Socket, bind: &Bind) {
    let mut bucket = Bucket::default();
    let mut settled = false;
    loop {
        let ready = std::future::poll_fn(|cx| {
            if listener.closing() {
                return Poll::Ready(Ok(()));
            }
            *listener.waker.borrow_mut() = Some(cx.waker().clone());
            socket.poll_ready(cx, Readiness::Read)
        });
        if let Err(error) = ready.await {
            worker.log(Level::Error, format!("listener {} cannot be polled: {error}", listener.bind));
            return;
        }
        match accept_batch(worker, listener, &socket, &mut bucket) {
            Turn::Empty if listener.closing() && settled => break,
            // Whoever's handshake is under way would be reset: one more look when it is over.
            Turn::Empty if listener.closing() => {
                settled = true;
                rt::sleep(HANDSHAKE).await;
            }
            Turn::Empty => {}
            Turn::More => rt::sleep(Duration::ZERO).await,
            Turn::Wait => rt::sleep(Duration::from_millis(100)).await,
        }
    }
    drop(socket);
    // A socket that was handed over belongs to whoever made it, its file too.
    let handed = worker.handed.borrow().iter().any(|(handed, _)| handed == bind);
    if worker.index == 0 && !handed {
        listen::clean(bind);
    }
}

/// A listener that accepts, counted until it ends, however it does.
struct Accepting {
    worker: Rc<Worker>,
    listener: Rc<Listener>,
}

impl Accepting {
    fn begin(worker: &Rc<Worker>, listener: &Rc<Listener>) -> Self {
        worker.accepting.set(worker.accepting.get() + 1);
        listener.accepting.set(true);
        Self { worker: worker.clone(), listener: listener.clone() }
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.listener.accepting.set(false);
        self.listener.waker.take();
        self.listener.closed.take();
        self.worker.accepting.set(self.worker.accepting.get() - 1);
        self.worker.perhaps_idle();
    }
}

enum Turn {
    Empty,
    More,
    Wait,
}

fn accept_batch(worker: &Rc<Worker>, listener: &Rc<Listener>, socket: &Socket, bucket: &mut Bucket) -> Turn {
    let rate = listener.live().live.limits.accept_rate;
    for _ in 0..BATCH {
        if rate > 0 && !listener.closing() && !bucket.take(worker.deadlines.now(), rate) {
            return Turn::Wait;
        }
        let accept =
            |fd: BorrowedFd<'_>| Ok(rustix::net::acceptfrom_with(fd, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?);
        // At the end only the kernel knows whether somebody still waits.
        let accepted =
            if listener.closing() { socket.call_now(accept) } else { socket.try_call(Readiness::Read, accept) };
        match accepted {
            Ok((fd, address)) => {
                let peer = address.and_then(|address| SocketAddr::try_from(address).ok());
                admit(worker, listener, fd, peer.map(|peer| peer.ip().to_canonical()));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Turn::Empty,
            Err(error) if out_of_descriptors(&error) => {
                worker.log(Level::Error, format!("listener {}: out of descriptors ({error})", listener.bind));
                return Turn::Wait;
            }
            // The client left the queue before it was served.
            Err(_) => {}
        }
    }
    Turn::More
}

fn out_of_descriptors(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(
        errno,
        Some(
            rustix::io::Errno::MFILE | rustix::io::Errno::NFILE | rustix::io::Errno::NOMEM | rustix::io::Errno::NOBUFS
        )
    )
}

/// Serves a new connection here or elsewhere, or turns it away.
fn admit(worker: &Rc<Worker>, listener: &Rc<Listener>, fd: OwnedFd, peer: Option<IpAddr>) {
    let metrics = worker.metrics();
    metrics.accepted.add(1);
    let Some(count) = Counted::up_to(&worker.shared, worker.shared.max_connections.load(Relaxed)) else {
        metrics.turned_away.add(1);
        metrics.closed.add(1);
        let _ = rustix::net::send(&fd, TOO_MANY, rustix::net::SendFlags::NOSIGNAL);
        return;
    };
    if let Some(other) = adopt::roomier(worker) {
        let state = State { bind: listener.bind.clone(), peer, pending: Vec::new(), hub: None };
        match adopt::send(worker, other, fd, &state) {
            Ok(()) => {
                metrics.passed_on.add(1);
                count.hand_over();
            }
            Err(error) => worker.log(Level::Error, format!("a connection could not be passed on: {error}")),
        }
        return;
    }
    serve(worker, listener, fd, peer, Vec::new(), count);
}

/// Takes a connection that another worker, or later another process, passes on: the one way a connection moves.
pub(crate) fn adopt(worker: &Rc<Worker>, fd: OwnedFd, state: State) {
    let count = Counted::already(&worker.shared);
    let Some(listener) = worker.listeners.borrow().get(&state.bind).cloned() else {
        worker.log(Level::Warning, format!("a connection for {} came after that listener had closed", state.bind));
        worker.metrics().closed.add(1);
        return;
    };
    serve(worker, &listener, fd, state.peer, state.pending, count);
}

fn serve(
    worker: &Rc<Worker>,
    listener: &Rc<Listener>,
    fd: OwnedFd,
    peer: Option<IpAddr>,
    pending: Vec<u8>,
    count: Counted,
) {
    match Socket::new(fd) {
        Ok(socket) => connection::spawn(Conn::new(worker, listener, Stream::Socket(socket), peer, pending, count)),
        Err(error) => {
            worker.metrics().closed.add(1);
            worker.log(Level::Error, format!("a connection cannot be served: {error}"));
        }
    }
}

/// `accept_rate`: a bucket of one second's worth.
#[derive(Debug, Default)]
struct Bucket {
    taken: u32,
    since: u32,
}

impl Bucket {
    fn take(&mut self, now: u32, rate: u32) -> bool {
        // The tick moves with the sweep, twice a second: half a second's worth for each.
        if now != self.since {
            *self = Self { taken: 0, since: now };
        }
        self.taken += 1;
        self.taken <= rate.div_ceil(2)
    }
}

#[cfg(test)]
mod tests {
    use super::Bucket;

    #[test]
    fn the_bucket_admits_its_rate() {
        let mut bucket = Bucket::default();
        let mut admit = |now| (0..100).filter(|_| bucket.take(now, 10)).count();
        assert_eq!(admit(1), 5);
        assert_eq!(admit(6), 5);
    }
}
