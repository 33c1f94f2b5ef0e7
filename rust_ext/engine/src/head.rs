//! A request's head and the bytes it came with: first in the worker's buffer, in a block of its own across a wait.

use std::io;

use fastgate_core::http1::{Framing, Progress, Reason, Request, RequestRules};
use fastgate_core::route::Fields;

use crate::connection::Conn;
use crate::deadlines::ticks;
use crate::transport::{Readiness, Transport};
use crate::worker::Worker;

/// A complete head.
#[derive(Debug)]
pub(crate) struct Head {
    request: Option<Box<Request>>,
    /// Bytes of the head.
    pub(crate) len: usize,
    /// Bytes received, head included.
    pub(crate) filled: usize,
    /// The bytes, once they had to leave the worker's buffer.
    held: Option<Vec<u8>>,
}

/// The fields of a request, for predicates and conditions.
pub(crate) struct RequestFields<'a>(pub(crate) &'a Head, pub(crate) &'a [u8]);

impl Fields for RequestFields<'_> {
    fn values(&self, name: &[u8], each: &mut dyn FnMut(&[u8]) -> bool) {
        for value in self.0.request().get(self.1, name) {
            if !each(value) {
                return;
            }
        }
    }
}

/// Why there is no head.
pub(crate) enum NoHead {
    /// The client left; nothing is owed.
    Gone,
    /// The client was too slow.
    Timeout,
    /// The codec refused it.
    Refused(Reason),
}

impl Head {
    fn new(request: Box<Request>, len: usize, filled: usize, held: Option<Vec<u8>>) -> Self {
        Self { request: Some(request), len, filled, held }
    }

    /// The parsed request.
    pub(crate) fn request(&self) -> &Request {
        self.request.as_deref().expect("a head is read before it is lent or sent on, never after")
    }

    /// The bytes: those of the worker's read buffer until [`Head::detach`].
    pub(crate) fn bytes<'a>(&'a self, read: &'a [u8]) -> &'a [u8] {
        self.held.as_deref().unwrap_or(&read[..self.filled])
    }

    /// Copies the bytes out of the worker's buffer; due before any wait.
    pub(crate) fn detach(&mut self, worker: &Worker) {
        if self.held.is_none() {
            self.held = Some(worker.blocks.filled(&worker.scratch.borrow().read[..self.filled]));
        }
    }

    /// Lends request and bytes to somebody else.
    pub(crate) fn lend(&mut self, worker: &Worker) -> (Box<Request>, Vec<u8>) {
        self.detach(worker);
        (self.request.take().unwrap_or_default(), self.held.take().unwrap_or_default())
    }

    /// Takes back what was lent.
    pub(crate) fn restore(&mut self, request: Box<Request>, bytes: Vec<u8>) {
        self.request = Some(request);
        self.held = Some(bytes);
    }

    /// Gives the memory of a head that was sent on back to the worker; nothing may read it any more.
    pub(crate) fn release(&mut self, worker: &Worker) {
        if let Some(request) = self.request.take() {
            worker.give_request(request);
        }
        if let Some(block) = self.held.take() {
            worker.blocks.give(block);
        }
    }

    /// What came behind the head, and how it is framed; nothing once the head was sent on.
    pub(crate) fn body<'a>(&'a self, read: &'a [u8]) -> (&'a [u8], Framing) {
        match &self.request {
            Some(request) => (&self.bytes(read)[self.len..], request.framing()),
            None => (&[], Framing::None),
        }
    }
}

/// Reads one head, strictly and within `header_timeout` of its first byte.
pub(crate) async fn read(conn: &mut Conn, rules: &RequestRules, header_timeout_ms: u64) -> Result<Head, NoHead> {
    let worker = conn.worker.clone();
    let mut request = worker.request();
    if conn.pending.is_empty() {
        let mut scratch = worker.scratch.borrow_mut();
        let n = match conn.stream.try_read(&mut scratch.read) {
            Ok(0) => return Err(NoHead::Gone),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => return Err(NoHead::Gone),
        };
        let bytes = &scratch.read[..n];
        match request.parse(bytes, rules).map_err(NoHead::Refused)? {
            Progress::Complete(len) => return Ok(Head::new(request, len, n, None)),
            Progress::Incomplete => conn.pending = worker.blocks.filled(bytes),
        }
    } else if let Progress::Complete(len) = request.parse(&conn.pending, rules).map_err(NoHead::Refused)? {
        let held = std::mem::take(&mut conn.pending);
        return Ok(Head::new(request, len, held.len(), Some(held)));
    }
    Box::pin(read_on(conn, request, rules, header_timeout_ms)).await
}

/// The rest of a head that came in pieces.
async fn read_on(
    conn: &mut Conn,
    mut request: Box<Request>,
    rules: &RequestRules,
    header_timeout_ms: u64,
) -> Result<Head, NoHead> {
    let worker = conn.worker.clone();
    conn.deadline.set_after(ticks(header_timeout_ms));
    loop {
        match conn.ready(Readiness::Read).await {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut && conn.pending.is_empty() => {
                return Err(NoHead::Gone);
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(NoHead::Timeout),
            Err(_) => return Err(NoHead::Gone),
        }
        {
            let mut scratch = worker.scratch.borrow_mut();
            match conn.stream.try_read(&mut scratch.read) {
                Ok(0) => return Err(NoHead::Gone),
                Ok(n) => conn.pending.extend_from_slice(&scratch.read[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => return Err(NoHead::Gone),
            }
        }
        if let Progress::Complete(len) = request.parse(&conn.pending, rules).map_err(NoHead::Refused)? {
            let held = std::mem::take(&mut conn.pending);
            return Ok(Head::new(request, len, held.len(), Some(held)));
        }
    }
}
