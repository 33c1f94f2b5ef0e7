//! Connections to targets: lists of idle ones per worker, newest first, and the queue of requests that wait for one.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::deadlines::Tick;
use crate::dial::Dialer;
use crate::fault::{Fault, FaultKind};
use crate::metrics::PoolLine;
use crate::rt;
use crate::target::{Reservation, Target};
use crate::transport::Stream;

/// Requests of one worker that may wait for a connection to one target; beyond it: 503.
const MAX_WAITING: usize = 1024;

/// A connection and its count; boxed once when it is opened, so that a request carries one pointer.
#[derive(Debug)]
struct Held {
    stream: Stream,
    _reservation: Reservation,
}

#[derive(Debug)]
struct Idle {
    held: Box<Held>,
    since: Tick,
}

/// One worker's connections to one target.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) target: Arc<Target>,
    idle: RefCell<Vec<Idle>>,
    waiting: RefCell<VecDeque<(u64, Waker)>>,
    tickets: Cell<u64>,
    /// Waiters that were woken and have not looked yet: what is free belongs to them.
    granted: Cell<u32>,
    idle_limit: Cell<Tick>,
    /// What it shows to others, once there was a connection to show.
    line: OnceCell<Arc<PoolLine>>,
}

impl Pool {
    /// Shows how many connections are idle.
    fn show_idle(&self) {
        if let Some(line) = self.line.get() {
            line.idle(self.idle.borrow().len());
        }
    }

    /// Shows how many requests wait.
    fn show_waiting(&self) {
        if let Some(line) = self.line.get() {
            line.waiting(self.waiting.borrow().len());
        }
    }

    /// The newest idle connection that is still good. Stale ones met on the way are closed: bytes or an end that
    /// nobody asked for show in the remembered readiness, without a call.
    pub(crate) fn check_out(self: &Rc<Self>) -> Option<Upstream> {
        loop {
            let Idle { held, .. } = self.idle.borrow_mut().pop()?;
            if held.stream.is_quiet() {
                self.show_idle();
                return Some(Upstream { held: Some(held), pool: self.clone(), reused: true });
            }
        }
    }

    /// An idle connection, if nobody waits for one already.
    pub(crate) fn try_take(self: &Rc<Self>) -> Option<Upstream> {
        if self.granted.get() > 0 || !self.waiting.borrow().is_empty() {
            return None;
        }
        self.check_out()
    }

    /// A connection: an idle one, a new one, or one that another request gives back within the connect time-out.
    pub(crate) async fn acquire(
        self: &Rc<Self>,
        dialer: &Dialer,
        max: u32,
        connect_ms: u64,
        fresh: bool,
    ) -> Result<Upstream, Fault> {
        self.line.get_or_init(|| self.target.new_line());
        let limit = Duration::from_millis(connect_ms);
        let mut wait = Wait { pool: self, ticket: None };
        let got = rt::timeout(limit, poll_fn(|cx| wait.poll(cx, max, fresh))).await;
        drop(wait);
        let reservation = match got.unwrap_or(Err(FaultKind::PoolExhausted.into()))? {
            Got::Idle(upstream) => return Ok(upstream),
            Got::Room(reservation) => reservation,
        };
        let opened = rt::timeout(limit, dialer.open(&self.target, limit)).await;
        match opened.unwrap_or(Err(FaultKind::ConnectTimeout)) {
            Ok(stream) => {
                self.target.dialled(true);
                let held = Box::new(Held { stream, _reservation: reservation });
                Ok(Upstream { held: Some(held), pool: self.clone(), reused: false })
            }
            Err(kind) => {
                self.target.dialled(false);
                drop(reservation);
                self.wake_one();
                Err(kind.into())
            }
        }
    }

    fn wake_one(&self) {
        let next = self.waiting.borrow_mut().pop_front();
        if let Some((_, waker)) = next {
            self.granted.set(self.granted.get() + 1);
            self.show_waiting();
            waker.wake();
        }
    }

    /// Closes what was idle too long or went stale; lets one waiter look, as another worker may have made room.
    fn sweep(&self, now: Tick) {
        let limit = self.idle_limit.get();
        self.idle.borrow_mut().retain(|idle| now.wrapping_sub(idle.since) < limit && idle.held.stream.is_quiet());
        self.show_idle();
        self.wake_one();
    }
}

enum Got {
    Idle(Upstream),
    Room(Reservation),
}

/// A request's place in the queue, given up when dropped.
struct Wait<'a> {
    pool: &'a Rc<Pool>,
    ticket: Option<u64>,
}

impl Wait<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, max: u32, fresh: bool) -> Poll<Result<Got, Fault>> {
        let pool = self.pool;
        if let Some(ticket) = self.ticket {
            if let Some((_, waker)) = pool.waiting.borrow_mut().iter_mut().find(|(t, _)| *t == ticket) {
                waker.clone_from(cx.waker());
                return Poll::Pending;
            }
            self.ticket = None;
            pool.granted.set(pool.granted.get() - 1);
        } else if pool.granted.get() > 0 || !pool.waiting.borrow().is_empty() {
            return self.queue(cx);
        }
        if fresh {
            // A fresh one is wanted because an idle one was stale: the others are as old and make room for it.
            if let Some(reservation) = pool.target.reserve(max) {
                return Poll::Ready(Ok(Got::Room(reservation)));
            }
            pool.idle.borrow_mut().pop();
        } else if let Some(upstream) = pool.check_out() {
            return Poll::Ready(Ok(Got::Idle(upstream)));
        }
        match pool.target.reserve(max) {
            Some(reservation) => Poll::Ready(Ok(Got::Room(reservation))),
            None => self.queue(cx),
        }
    }

    fn queue(&mut self, cx: &Context<'_>) -> Poll<Result<Got, Fault>> {
        let mut waiting = self.pool.waiting.borrow_mut();
        if waiting.len() >= MAX_WAITING {
            return Poll::Ready(Err(FaultKind::PoolExhausted.into()));
        }
        let ticket = self.pool.tickets.get();
        self.pool.tickets.set(ticket + 1);
        self.ticket = Some(ticket);
        waiting.push_back((ticket, cx.waker().clone()));
        drop(waiting);
        self.pool.show_waiting();
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut waiting = self.pool.waiting.borrow_mut();
        if let Some(i) = waiting.iter().position(|(t, _)| *t == ticket) {
            waiting.remove(i);
            drop(waiting);
            self.pool.show_waiting();
        } else {
            // Woken, but it never looked: its turn goes to the next.
            drop(waiting);
            self.pool.granted.set(self.pool.granted.get() - 1);
            self.pool.wake_one();
        }
    }
}

/// A connection in use: dirty until it is checked in; dropped anywhere, it is closed and its count released.
#[derive(Debug)]
pub(crate) struct Upstream {
    held: Option<Box<Held>>,
    pool: Rc<Pool>,
    /// It came from the pool, so it may turn out to be stale.
    pub(crate) reused: bool,
}

impl Upstream {
    /// The carrier.
    pub(crate) fn stream(&self) -> &Stream {
        let held = self.held.as_ref();
        &held.expect("a connection in use is held until it is checked in, which consumes it").stream
    }

    /// Gives a clean connection back for the next request.
    pub(crate) fn check_in(mut self, now: Tick) {
        if let Some(held) = self.held.take() {
            // Bytes nobody asked for show at the next check-out or sweep.
            self.pool.idle.borrow_mut().push(Idle { held, since: now });
            self.pool.show_idle();
            self.pool.wake_one();
        }
    }
}

#[cfg(feature = "planted")]
impl Upstream {
    /// A planted fault: when the client left, the count stays.
    pub(crate) fn leak_count(mut self, kind: FaultKind) -> Self {
        if kind == FaultKind::ClientGone && crate::planted::is(crate::planted::Fault::LeakedCount) {
            let _kept = self.held.take().map(|held| std::mem::ManuallyDrop::new(held._reservation));
        }
        self
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            drop(held);
            self.pool.wake_one();
        }
    }
}

/// All pools of a worker, by target.
#[derive(Debug, Default)]
pub(crate) struct Pools(RefCell<HashMap<*const Target, Rc<Pool>>>);

impl Pools {
    /// The pool of a target, the same one for as long as the target lives.
    pub(crate) fn pool(&self, target: &Arc<Target>, idle_limit: Tick) -> Rc<Pool> {
        let mut pools = self.0.borrow_mut();
        let pool = pools.entry(Arc::as_ptr(target)).or_insert_with(|| {
            Rc::new(Pool {
                target: target.clone(),
                idle: RefCell::default(),
                waiting: RefCell::default(),
                tickets: Cell::new(0),
                granted: Cell::new(0),
                idle_limit: Cell::new(idle_limit),
                line: OnceCell::new(),
            })
        });
        pool.idle_limit.set(idle_limit);
        pool.clone()
    }

    /// Twice a second: closes idle connections whose time has come, forgets pools that no snapshot uses.
    pub(crate) fn sweep(&self, now: Tick) {
        self.0.borrow_mut().retain(|_, pool| {
            pool.sweep(now);
            Rc::strong_count(pool) > 1 || !pool.idle.borrow().is_empty()
        });
    }

    /// Closes every idle connection, at the end.
    pub(crate) fn clear(&self) {
        for pool in self.0.borrow().values() {
            pool.idle.borrow_mut().clear();
        }
    }
}
