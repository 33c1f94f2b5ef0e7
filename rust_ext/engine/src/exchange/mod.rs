//! Phase 10: the exchange with an upstream, both directions in one poll loop with back-pressure.

pub(crate) mod body;
mod response;
pub(crate) mod tunnel;

use std::io;
use std::task::{Context, Poll};

use fastgate_core::http1::{Method, ReservedNames, Response, Version};

use crate::about::RequestId;
use crate::buffers::Scratch;
use crate::connection::Conn;
use crate::deadlines::{GRAIN, Tick, ticks};
use crate::fault::{Fault, FaultKind};
use crate::guard::Findings;
use crate::head::Head;
use crate::live::{Proxy, Route};
use crate::metrics::Tally;
use crate::pool::Upstream;
use crate::rt::Timer;
use crate::transport::{Readiness, Transport};
use crate::worker::Worker;

use body::{Content, Reader, Writer};

/// Bytes of pipelined requests kept while an answer is pending; beyond it the client is not read.
const PIPELINED_BYTES: usize = 64 * 1024;

/// A body slower than `body_min_rate` is given this long before it is judged.
const RATE_GRACE_MS: u64 = 10_000;

/// What the exchange knows of its request.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) route: &'a Route,
    pub(crate) proxy: &'a Proxy,
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    pub(crate) request_id: &'a RequestId,
    pub(crate) tally: &'a Tally<'a>,
    pub(crate) found: Option<&'a Findings>,
    pub(crate) upgrade: Option<Box<Upgrade>>,
    pub(crate) reserved: &'a ReservedNames,
    pub(crate) write_stall: Tick,
    pub(crate) body_min_rate: u32,
}

/// A protocol change that was asked for.
#[derive(Debug)]
pub(crate) struct Upgrade {
    /// Its name, as sent upstream.
    pub(crate) protocol: Vec<u8>,
    /// What `Sec-WebSocket-Accept` must be, for a WebSocket.
    pub(crate) accept: Option<[u8; 28]>,
}

/// How an exchange ended well.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Both messages are through, or at least the answer is.
    Done {
        /// The client connection may carry another request.
        keep_alive: bool,
        /// The upstream connection is clean.
        clean: bool,
    },
    /// The upstream changed the protocol; the answer's head is sent or waits in the exchange's tail.
    Tunnel,
}

/// How far the answer has come.
#[derive(Debug)]
enum Answer {
    /// Its head is awaited; interim ones may come first.
    Head,
    /// Its body flows.
    Body(Reader, Writer),
    /// It is complete.
    Done,
    /// It was a valid 101.
    Switched,
}

/// One request and its answer, between a client and an upstream connection.
pub(crate) struct Exchange<'a> {
    facts: &'a Facts<'a>,
    conn: &'a mut Conn,
    up: Upstream,
    /// The request's body as it is still to come.
    request: Reader,
    request_writer: Writer,
    body_bytes: u64,
    to_upstream: Vec<u8>,
    /// Nothing more goes upstream: all is sent, or the upstream takes no more.
    request_over: bool,
    /// The upstream broke while it was written to.
    broken: bool,
    answer: Answer,
    to_client: Vec<u8>,
    /// A head that came in pieces, and its half-read response.
    partial: Option<Box<(Vec<u8>, Response)>>,
    interim: u8,
    /// A byte of the answer's final head was sent or queued.
    answered: bool,
    keep_alive: bool,
    up_keep_alive: bool,
    /// Bytes behind the answer: the upstream connection is not clean.
    extra: bool,
    client_watched: bool,
    started_at: Tick,
    progress_at: Tick,
    sent_at: Tick,
    wheel: Option<Timer>,
    /// How its first byte upstream is counted; `None` once that is out.
    uncounted: Option<Attempt>,
}

/// Which sending of a request it is.
#[derive(Debug, Clone, Copy)]
enum Attempt {
    First,
    Again,
}

impl<'a> Exchange<'a> {
    /// An exchange over this upstream connection; [`Exchange::start`] or [`Exchange::replay`] follows.
    pub(crate) fn new(facts: &'a Facts<'a>, conn: &'a mut Conn, up: Upstream, request: Reader) -> Self {
        let now = conn.deadline.now();
        let request_writer = if matches!(request, Reader::Chunked(_)) { Writer::Chunked } else { Writer::Plain };
        let first = facts.proxy.response.ticks.min(facts.proxy.idle.ticks).min(facts.write_stall);
        conn.deadline.set_after(if request.is_done() { first } else { first.min(ticks(RATE_GRACE_MS)) });
        Self {
            facts,
            conn,
            up,
            request,
            request_writer,
            body_bytes: 0,
            to_upstream: Vec::new(),
            request_over: false,
            broken: false,
            answer: Answer::Head,
            to_client: Vec::new(),
            partial: None,
            interim: 0,
            answered: false,
            keep_alive: facts.keep_alive,
            up_keep_alive: false,
            extra: false,
            client_watched: true,
            started_at: now,
            progress_at: now,
            sent_at: now,
            wheel: None,
            uncounted: Some(Attempt::First),
        }
    }

    /// Sends the head in `scratch.out` and what of the body came with it; keeps what lies behind the body.
    pub(crate) fn start_from(&mut self, scratch: &mut Scratch, head: &Head) -> Result<(), Fault> {
        let Scratch { read, out, ranges, .. } = scratch;
        let (input, _) = head.body(read);
        self.forward_request(out, ranges, input)
    }

    /// Whether a byte of the request went upstream.
    pub(crate) fn is_sent(&self) -> bool {
        self.uncounted.is_none()
    }

    /// Sends a head without a body once more; `again`: a byte of it was sent before.
    pub(crate) fn replay(&mut self, scratch: &mut Scratch, head: &[u8], again: bool) -> Result<(), Fault> {
        if again {
            self.uncounted = Some(Attempt::Again);
        }
        scratch.out.extend_from_slice(head);
        self.forward_request(&mut scratch.out, &mut scratch.ranges, &[])
    }

    /// Whether it is too late for another answer: one has begun, or a part of an interim one is still to be sent.
    pub(crate) fn is_answered(&self) -> bool {
        self.answered || !self.to_client.is_empty()
    }

    /// The upstream connection and what of the request's body was not read.
    pub(crate) fn into_parts(self) -> (Upstream, Reader) {
        (self.up, self.request)
    }

    /// What is left to send to the client, for a tunnel.
    pub(crate) fn into_tunnel(self) -> (Upstream, Vec<u8>) {
        (self.up, self.to_client)
    }

    /// Drives both directions as far as they go.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Outcome, Fault>> {
        let mut first = true;
        loop {
            let sent = self.poll_request(cx)?;
            let mut received = self.poll_response(cx, std::mem::take(&mut first))?;
            if self.to_client.is_empty() {
                match self.answer {
                    Answer::Done => return Poll::Ready(Ok(self.finish())),
                    Answer::Switched => return Poll::Ready(Ok(Outcome::Tunnel)),
                    Answer::Head | Answer::Body(..) => {}
                }
            } else if matches!(self.answer, Answer::Switched) {
                return Poll::Ready(Ok(Outcome::Tunnel));
            }
            // Looked at last: an answer that is through needs no watch.
            if self.request_over && !received {
                received = self.watch_client(cx)?;
            }
            if !sent && !received {
                break;
            }
        }
        #[cfg(feature = "simulation")]
        crate::simulation::note(crate::simulation::Held {
            to_client_over: self.to_client.len().saturating_sub(self.facts.proxy.held_bytes),
            to_upstream_over: self.to_upstream.len().saturating_sub(self.facts.proxy.held_bytes),
            partial: self.partial.as_ref().map_or(0, |partial| partial.0.len()),
            pending: self.conn.pending.len(),
        });
        if self.conn.deadline.expired() {
            self.judge_deadline()?;
        }
        self.poll_wheel(cx)?;
        Poll::Pending
    }

    fn finish(&mut self) -> Outcome {
        let sent = self.request_over && self.request.is_done() && !self.broken && self.to_upstream.is_empty();
        #[cfg(feature = "planted")]
        if crate::planted::is(crate::planted::Fault::UncleanReuse) {
            self.extra = false;
        }
        Outcome::Done { keep_alive: self.keep_alive, clean: sent && self.up_keep_alive && !self.extra }
    }

    /// Bytes of the request are out: counted once, with the first.
    fn count_request(&mut self, bytes: usize) {
        if bytes > 0
            && let Some(attempt) = self.uncounted.take()
        {
            let metrics = self.facts.worker.metrics();
            match attempt {
                Attempt::First => metrics.forwarded.add(1),
                Attempt::Again => {
                    metrics.retried.add(1);
                    self.facts.tally.retried();
                }
            }
        }
    }

    fn progressed(&mut self) {
        self.progress_at = self.conn.deadline.now();
        if let Some(wheel) = &mut self.wheel
            && self.facts.proxy.idle.on_wheel()
            && !matches!(self.answer, Answer::Head)
        {
            wheel.reset(self.facts.proxy.idle.ms);
        }
    }

    /// The way to the upstream. `true` when something moved.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Result<bool, Fault> {
        let mut moved = false;
        if !self.to_upstream.is_empty() {
            match self.up.stream().poll_ready(cx, Readiness::Write) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Ok(())) => match body::flush(self.up.stream(), &mut self.to_upstream) {
                    Ok(n) => {
                        moved = true;
                        self.count_request(n);
                        if n > 0 {
                            self.progressed();
                        }
                    }
                    Err(_) => self.upstream_broke(),
                },
                Poll::Ready(Err(_)) => self.upstream_broke(),
            }
            if !self.to_upstream.is_empty() {
                return Ok(moved);
            }
            self.note_sent();
        }
        if self.request_over {
            return Ok(moved);
        }
        match self.conn.stream.poll_ready(cx, Readiness::Read) {
            Poll::Pending => return Ok(moved),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Err(FaultKind::ClientGone.into()),
        }
        let mut scratch = self.facts.worker.scratch.borrow_mut();
        let Scratch { read, out, ranges, .. } = &mut *scratch;
        let room = read.len().min(self.facts.proxy.held_bytes);
        match self.conn.stream.try_read(&mut read[..room]) {
            Ok(0) => Err(FaultKind::ClientGone.into()),
            Ok(n) => self.forward_request(out, ranges, &read[..n]).map(|()| true),
            // The readiness was stale: asked again, it registers the wake-up.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(_) => Err(FaultKind::ClientGone.into()),
        }
    }

    /// Sends what `out` holds and the part of `input` that belongs to the body.
    fn forward_request(
        &mut self,
        out: &mut Vec<u8>,
        ranges: &mut Vec<std::ops::Range<usize>>,
        input: &[u8],
    ) -> Result<(), Fault> {
        let taken = self.request.take(input, ranges).map_err(|reason| {
            // A head that was not sent must not stay where the answer is written.
            out.clear();
            Fault::client(reason)
        })?;
        if taken.used > 0 {
            self.facts.tally.received(taken.used);
        }
        self.body_bytes += ranges.iter().map(|range| range.len() as u64).sum::<u64>();
        if taken.ended && taken.used < input.len() {
            self.conn.pending.extend_from_slice(&input[taken.used..]);
            #[cfg(feature = "planted")]
            if taken.used > 0 && crate::planted::is(crate::planted::Fault::LostPipeline) {
                self.conn.pending.clear();
            }
        }
        let before = if taken.ended { std::mem::replace(&mut self.request, Reader::Done) } else { Reader::Done };
        // Judged only now: the connection may go on, so what lies behind the body must not be lost.
        if self.facts.proxy.max_body.is_some_and(|max| self.body_bytes > max) {
            out.clear();
            return Err(FaultKind::BodyTooLarge.into());
        }
        if self.broken {
            out.clear();
            return Ok(());
        }
        let content = Content {
            input,
            ranges,
            writer: self.request_writer,
            ended: taken.ended,
            trailers: before.trailers(),
            reserved: Some(self.facts.reserved),
        };
        match body::send(self.up.stream(), out, &content, &mut self.to_upstream) {
            Ok(n) => self.count_request(n),
            Err(_) => {
                out.clear();
                self.upstream_broke();
            }
        }
        self.progressed();
        if self.to_upstream.is_empty() {
            self.note_sent();
        }
        Ok(())
    }

    /// The upstream takes no more; its answer may still come.
    fn upstream_broke(&mut self) {
        self.broken = true;
        self.to_upstream = Vec::new();
        self.request_over = true;
    }

    fn note_sent(&mut self) {
        if self.request.is_done() && !self.request_over {
            self.request_over = true;
            self.sent_at = self.conn.deadline.now();
            if self.facts.proxy.response.on_wheel() {
                self.wheel = Some(Timer::new(self.facts.proxy.response.ms));
            }
        }
    }

    /// With the request sent, the client is read for pipelined requests and for its leaving.
    fn watch_client(&mut self, cx: &mut Context<'_>) -> Result<bool, Fault> {
        if !self.client_watched || self.broken || self.conn.pending.len() >= PIPELINED_BYTES {
            return Ok(false);
        }
        match self.conn.stream.poll_ready(cx, Readiness::Read) {
            Poll::Pending => {
                self.conn.watched.set(true);
                return Ok(false);
            }
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Err(FaultKind::ClientGone.into()),
        }
        self.conn.watched.set(false);
        let mut scratch = self.facts.worker.scratch.borrow_mut();
        let room = PIPELINED_BYTES - self.conn.pending.len();
        match self.conn.stream.try_read(&mut scratch.read[..room]) {
            Ok(0) if self.facts.proxy.half_close_keep => {
                // What it has pipelined is answered; then the next read finds the end again.
                self.client_watched = false;
                Ok(false)
            }
            Ok(n) if n > 0 => {
                self.conn.pending.extend_from_slice(&scratch.read[..n]);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            _ => Err(FaultKind::ClientGone.into()),
        }
    }

    /// The sweep found the deadline passed: what is awaited, and since when?
    fn judge_deadline(&mut self) -> Result<(), Fault> {
        let now = self.conn.deadline.now();
        let proxy = self.facts.proxy;
        let (since, limit, kind) = if !self.to_client.is_empty() {
            (self.progress_at, self.facts.write_stall, FaultKind::WriteStall)
        } else if !matches!(self.answer, Answer::Head) {
            (self.progress_at, proxy.idle.ticks, FaultKind::UpstreamStall)
        } else if self.request_over {
            (self.sent_at, proxy.response.ticks, FaultKind::ResponseTimeout)
        } else if self.to_upstream.is_empty() {
            (self.progress_at, proxy.idle.ticks, FaultKind::BodyTimeout)
        } else {
            (self.progress_at, proxy.idle.ticks, FaultKind::UpstreamStall)
        };
        let due = since.saturating_add(limit).saturating_add(GRAIN);
        if due <= now {
            return Err(kind.into());
        }
        let mut next = due;
        if !self.request_over && self.to_upstream.is_empty() && self.facts.body_min_rate > 0 {
            let elapsed = u64::from(now.saturating_sub(self.started_at));
            let grace = u64::from(ticks(RATE_GRACE_MS));
            if elapsed >= grace && self.body_bytes * 10 < u64::from(self.facts.body_min_rate) * elapsed {
                return Err(FaultKind::BodyTimeout.into());
            }
            next = next.min(now.saturating_add(ticks(RATE_GRACE_MS / 2)));
        }
        self.conn.deadline.set(next);
        Ok(())
    }

    /// Time-outs too short for the sweep.
    fn poll_wheel(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        let waits_for_head = matches!(self.answer, Answer::Head);
        if self.wheel.is_none() && !waits_for_head && self.facts.proxy.idle.on_wheel() {
            self.wheel = Some(Timer::new(self.facts.proxy.idle.ms));
        }
        let fired = self.wheel.as_mut().is_some_and(|wheel| wheel.poll(cx).is_ready());
        if !fired {
            return Ok(());
        }
        self.wheel = None;
        match (waits_for_head, self.to_client.is_empty()) {
            (true, _) => Err(FaultKind::ResponseTimeout.into()),
            (false, true) => Err(FaultKind::UpstreamStall.into()),
            (false, false) => Err(FaultKind::WriteStall.into()),
        }
    }
}
