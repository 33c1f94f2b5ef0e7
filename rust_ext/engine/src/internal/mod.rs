//! Internal listeners: health, readiness and metrics, answered on the background thread while all else is busy.
//!
//! They share nothing with the listeners of clients but the parser and the writer of answers: connections, bytes and
//! time are bounded here, and a client that wants too much of them loses to the next one.

mod answers;
mod open;
mod publishing;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use fastgate_core::http1::{Progress, Request, RequestRules, ReservedNames};
use fastgate_core::snapshot::{DotSegments, EncodedSlash, InternalServes, UnderscoreHeaders};
use rustix::net::SocketFlags;

use crate::host::Level;
use crate::listen::{self, Bind};
use crate::rt::{self, Readiness, Socket};
use crate::worker::Shared;

pub(crate) use open::{Opened, Opening, check, open};

/// Connections at once, all internal listeners together; a new one beyond it takes the place of the oldest.
const MAX_CONNECTIONS: usize = 64;

/// Bytes of a request's head.
const HEAD_BYTES: usize = 8 * 1024;

/// Field lines of a request's head.
const HEADER_COUNT: usize = 64;

/// Bytes of a request's target.
const URI_BYTES: usize = 1024;

/// Time a client has for a head, from its first byte, and for taking an answer.
const EXCHANGE: Duration = Duration::from_secs(5);

/// Time a connection may be idle, and what is still read of one that ends.
const IDLE: Duration = Duration::from_secs(75);
const LINGER: Duration = Duration::from_secs(1);

/// Answers of metrics in the making or on their way; beyond it 503.
const MAX_METRICS: u32 = 4;

/// One internal listener as the background thread is told of it.
#[derive(Debug)]
pub(crate) struct Place {
    /// Where it listens; by this it is known.
    pub(crate) bind: Bind,
    pub(crate) serves: InternalServes,
    /// Its socket, if it is new.
    pub(crate) socket: Option<OwnedFd>,
}

/// All internal listeners, on their thread.
pub(crate) struct Internals {
    shared: Arc<Shared>,
    rules: RequestRules,
    listeners: RefCell<HashMap<String, Rc<Listener>>>,
    /// Oldest first.
    connections: RefCell<VecDeque<Rc<Seat>>>,
    metrics: Cell<u32>,
}

/// One listener.
struct Listener {
    bind: Bind,
    serves: Cell<InternalServes>,
    closing: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// A connection's seat, which a newer one may take.
#[derive(Default)]
struct Seat {
    taken: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Internals {
    /// None yet.
    pub(crate) fn new(shared: Arc<Shared>) -> Rc<Self> {
        let rules = RequestRules {
            head_bytes: HEAD_BYTES,
            header_count: HEADER_COUNT,
            uri_bytes: URI_BYTES,
            encoded_slash: EncodedSlash::Refuse,
            dot_segments: DotSegments::Refuse,
            underscore_headers: UnderscoreHeaders::Drop,
            trusted: Vec::new(),
            reserved: ReservedNames::new::<&str>(&[]),
        };
        let (listeners, connections) = (RefCell::default(), RefCell::default());
        Rc::new(Self { shared, rules, listeners, connections, metrics: Cell::new(0) })
    }

    /// Goes over to these listeners: those that stay go on, new ones start, the others close.
    pub(crate) fn follow(self: &Rc<Self>, places: Vec<Place>) {
        let mut listeners = self.listeners.borrow_mut();
        let mut kept = HashMap::new();
        for Place { bind, serves, socket } in places {
            let key = bind.show();
            if let Some(listener) = listeners.remove(&key) {
                listener.serves.set(serves);
                kept.insert(key, listener);
                continue;
            }
            let Some(socket) = socket.map(Socket::new) else { continue };
            match socket {
                Ok(socket) => {
                    let listener = Rc::new(Listener {
                        bind,
                        serves: Cell::new(serves),
                        closing: Cell::new(false),
                        waker: RefCell::default(),
                    });
                    rt::spawn(self.clone().accept(listener.clone(), socket));
                    kept.insert(key, listener);
                }
                Err(error) => self.log(format!("internal listener {key} cannot be polled: {error}")),
            }
        }
        for gone in listeners.values() {
            gone.closing.set(true);
            if let Some(waker) = gone.waker.take() {
                waker.wake();
            }
        }
        *listeners = kept;
    }

    fn log(&self, line: String) {
        // A line that finds the queue full is lost: the thread never waits.
        let _ = self.shared.log.line(Level::Error, line);
    }

    async fn accept(self: Rc<Self>, listener: Rc<Listener>, socket: Socket) {
        loop {
            let ready = poll_fn(|cx| {
                if listener.closing.get() {
                    return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
                }
                *listener.waker.borrow_mut() = Some(cx.waker().clone());
                socket.poll_ready(cx, Readiness::Read)
            });
            if ready.await.is_err() {
                break;
            }
            let accepted = socket.try_call(Readiness::Read, |fd| {
                Ok(rustix::net::acceptfrom_with(fd, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?)
            });
            match accepted {
                Ok((fd, address)) => {
                    let peer = address.and_then(|address| SocketAddr::try_from(address).ok());
                    self.admit(&listener, fd, peer.map(|peer| peer.ip().to_canonical()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    self.log(format!("internal listener {}: {error}", listener.bind.show()));
                    rt::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(socket);
        listen::clean(&listener.bind);
    }

    fn admit(self: &Rc<Self>, listener: &Rc<Listener>, fd: OwnedFd, peer: Option<IpAddr>) {
        let Ok(socket) = Socket::new(fd) else { return };
        let seat = Rc::new(Seat::default());
        let mut connections = self.connections.borrow_mut();
        // Whoever holds connections open must not keep a probe out.
        if connections.len() >= MAX_CONNECTIONS
            && let Some(oldest) = connections.pop_front()
        {
            oldest.taken.set(true);
            if let Some(waker) = oldest.waker.take() {
                waker.wake();
            }
        }
        connections.push_back(seat.clone());
        drop(connections);
        let (all, listener) = (self.clone(), listener.clone());
        rt::spawn(async move {
            let mut work = Box::pin(all.serve(&listener, &socket, peer));
            poll_fn(|cx| {
                if seat.taken.get() {
                    return Poll::Ready(());
                }
                *seat.waker.borrow_mut() = Some(cx.waker().clone());
                work.as_mut().poll(cx)
            })
            .await;
            drop(work);
            all.connections.borrow_mut().retain(|other| !Rc::ptr_eq(other, &seat));
        });
    }

    /// One connection: requests in turn until it ends.
    async fn serve(&self, listener: &Listener, socket: &Socket, peer: Option<IpAddr>) {
        let mut request = Box::<Request>::default();
        let mut bytes = Vec::new();
        let mut out = Vec::new();
        loop {
            if bytes.is_empty() && rt::timeout(IDLE, ready(socket, Readiness::Read)).await != Some(true) {
                return;
            }
            request.clear();
            let head = match rt::timeout(EXCHANGE, self.head(socket, &mut request, &mut bytes)).await {
                Some(Some(head)) => head,
                // The client left, or was too slow.
                Some(None) | None => return,
            };
            out.clear();
            let (keep_alive, _slot) = match head {
                Ok(len) => {
                    if let Some(call) = self.call(listener.serves.get(), &request, &bytes) {
                        let work = self.publish(socket, call, &request, &mut bytes, len, &mut out);
                        let Some(keep_alive) = Box::pin(work).await else { return };
                        (keep_alive, None)
                    } else {
                        let answered = self.answer(&mut out, listener.serves.get(), &request, &bytes, peer);
                        bytes.drain(..len);
                        answered
                    }
                }
                Err(reason) => {
                    answers::refuse(&mut out, reason);
                    (false, None)
                }
            };
            let keep_alive = keep_alive && !listener.closing.get();
            if rt::timeout(EXCHANGE, write(socket, &out)).await != Some(true) {
                return;
            }
            if !keep_alive {
                // A reset for what the client still sends would take the answer with it.
                if socket.shutdown().is_ok() {
                    rt::timeout(LINGER, drain(socket)).await;
                }
                return;
            }
            out.shrink_to(HEAD_BYTES);
        }
    }

    /// Reads until a head is complete; `None` when the client left.
    async fn head(
        &self,
        socket: &Socket,
        request: &mut Request,
        bytes: &mut Vec<u8>,
    ) -> Option<Result<usize, fastgate_core::http1::Reason>> {
        loop {
            if !bytes.is_empty() {
                match request.parse(bytes, &self.rules) {
                    Ok(Progress::Complete(len)) => return Some(Ok(len)),
                    Ok(Progress::Incomplete) => {}
                    Err(reason) => return Some(Err(reason)),
                }
            }
            if !ready(socket, Readiness::Read).await {
                return None;
            }
            let mut chunk = [0; 2048];
            match socket.try_read(&mut chunk) {
                Ok(0) => return None,
                Ok(n) => bytes.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
    }
}

async fn ready(socket: &Socket, way: Readiness) -> bool {
    poll_fn(|cx| socket.poll_ready(cx, way)).await.is_ok()
}

async fn write(socket: &Socket, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match socket.try_writev(&[IoSlice::new(bytes)]) {
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !ready(socket, Readiness::Write).await {
                    return false;
                }
            }
            Err(_) => return false,
        }
    }
    true
}

/// Reads and throws away until the client ends, at most 64 KiB.
async fn drain(socket: &Socket) {
    let mut left = 64 * 1024;
    let mut chunk = [0; 2048];
    while left > 0 && ready(socket, Readiness::Read).await {
        match socket.try_read(&mut chunk) {
            Ok(n) if n > 0 => left -= n.min(left),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}
