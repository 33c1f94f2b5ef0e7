//! A tunnel after a change of protocol: bytes both ways until both sides have ended.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::body;
use crate::connection::Conn;
use crate::deadlines::GRAIN;
use crate::guard::concurrency::Permit;
use crate::live::Limit;
use crate::log::tunnel::TunnelLine;
use crate::metrics::{Metrics, RouteLine};
use crate::pool::Upstream;
use crate::rt::Timer;
use crate::transport::{Readiness, Stream, Transport};
use crate::worker::Worker;

/// What a tunnel keeps of its route.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) up: Upstream,
    /// Bytes for the client that did not fit yet.
    pub(crate) to_client: Vec<u8>,
    pub(crate) idle: Limit,
    pub(crate) held_bytes: usize,
    /// Where its bytes are counted.
    pub(crate) line: Option<Arc<RouteLine>>,
    /// Its line in the access log.
    pub(crate) log: Option<Box<TunnelLine>>,
    /// Places that it holds until it ends.
    pub(crate) held: Vec<Permit>,
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    tail: Vec<u8>,
    /// The source has ended.
    ended: bool,
    /// The end was passed on.
    closed: bool,
    /// Bytes that came from the source.
    came: usize,
}

impl Way {
    /// Moves what can be moved; `true` when something did.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        from: &Stream,
        to: &Stream,
        room: usize,
    ) -> io::Result<bool> {
        let mut moved = false;
        if !self.tail.is_empty() {
            if to.poll_ready(cx, Readiness::Write)?.is_pending() {
                return Ok(false);
            }
            // A stale readiness counts as a move: asked again, it registers the wake-up.
            body::flush(to, &mut self.tail)?;
            moved = true;
            if !self.tail.is_empty() {
                return Ok(moved);
            }
        }
        if self.ended {
            if !self.closed {
                self.closed = true;
                to.shutdown()?;
            }
            return Ok(moved);
        }
        if from.poll_ready(cx, Readiness::Read)?.is_pending() {
            return Ok(moved);
        }
        let mut scratch = worker.scratch.borrow_mut();
        let room = room.min(scratch.read.len());
        match from.try_read(&mut scratch.read[..room]) {
            Ok(0) => self.ended = true,
            Ok(n) => {
                let sent = match to.try_writev(&[io::IoSlice::new(&scratch.read[..n])]) {
                    Ok(sent) => sent,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                    Err(error) => return Err(error),
                };
                self.tail.extend_from_slice(&scratch.read[sent..n]);
                self.came += n;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // One that ends without saying so (TLS): what it said is passed on all the same.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.ended = true,
            Err(error) => return Err(error),
        }
        Ok(true)
    }
}

/// Runs until both sides have ended, one failed, or nothing moved for the route's idle time-out.
pub(crate) async fn run(mut conn: Conn, tunnel: Box<Tunnel>) {
    let Tunnel { up, to_client, idle, held_bytes, line, log, held: _held } = *tunnel;
    let worker = conn.worker.clone();
    let _open = Open::new(worker.metrics());
    // What the client sent behind its request belongs to the new protocol.
    let mut out = Way { tail: std::mem::take(&mut conn.pending), ..Way::default() };
    let mut back = Way { tail: to_client, ..Way::default() };
    let mut wheel = idle.on_wheel().then(|| Timer::new(idle.ms));
    conn.deadline.set_after(idle.ticks);
    let mut moved_at = conn.deadline.now();
    poll_fn(|cx| {
        loop {
            let sent = out.poll(cx, &worker, &conn.stream, up.stream(), held_bytes);
            let received = back.poll(cx, &worker, up.stream(), &conn.stream, held_bytes);
            if let Some(log) = &log {
                log.moved(out.came, back.came);
            }
            if let Some(line) = &line {
                line.received.add(std::mem::take(&mut out.came) as u64);
                line.sent.add(std::mem::take(&mut back.came) as u64);
            }
            let (Ok(sent), Ok(received)) = (sent, received) else { return Poll::Ready(()) };
            if out.closed && back.closed {
                if conn.stream.poll_flushed(cx).is_ready() && up.stream().poll_flushed(cx).is_ready() {
                    return Poll::Ready(());
                }
                break;
            }
            if !sent && !received {
                break;
            }
            moved_at = conn.deadline.now();
            if let Some(wheel) = &mut wheel {
                wheel.reset(idle.ms);
            }
        }
        if conn.deadline.expired() {
            let due = moved_at.saturating_add(idle.ticks).saturating_add(GRAIN);
            if due <= conn.deadline.now() {
                return Poll::Ready(());
            }
            conn.deadline.set(due);
        }
        wheel.as_mut().map_or(Poll::Pending, |wheel| wheel.poll(cx))
    })
    .await;
    if let Some(log) = &log {
        log.ended();
    }
}

/// A tunnel as it is counted.
struct Open<'a>(&'a Metrics);

impl<'a> Open<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        metrics.tunnels.add(1);
        Self(metrics)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.tunnels_closed.add(1);
    }
}
