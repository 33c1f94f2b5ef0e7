//! The upstream's side of an exchange: interim and final heads, a change of protocol, the body.

use std::io;
use std::ops::Range;
use std::task::{Context, Poll};

use fastgate_core::filter::{self, Incoming};
use fastgate_core::http1::{Progress, Response, ResponseFraming, Version};

use super::body::{self, Content, Reader, Writer};
use super::{Answer, Exchange};
use crate::buffers::Scratch;
use crate::connection::LINGER_BYTES;
use crate::fault::{Fault, FaultKind};
use crate::guard::Findings;
use crate::transport::{Readiness, Transport};

/// Interim answers relayed for one request.
const MAX_INTERIM: u8 = 8;

/// What a piece of a head led to.
enum Step {
    /// More bytes are needed.
    Incomplete,
    /// The final head ends there.
    Final(usize),
    /// The protocol changes there.
    Switch(usize),
}

impl Exchange<'_> {
    /// The way to the client. `true` when something moved.
    pub(super) fn poll_response(&mut self, cx: &mut Context<'_>, first: bool) -> Result<bool, Fault> {
        let mut moved = false;
        if !self.to_client.is_empty() {
            match self.conn.stream.poll_ready(cx, Readiness::Write) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Ok(())) => match body::flush(&self.conn.stream, &mut self.to_client) {
                    Ok(n) => {
                        moved = true;
                        self.facts.tally.sent(n);
                        if n > 0 {
                            self.progressed();
                        }
                    }
                    Err(_) => return Err(FaultKind::ClientGone.into()),
                },
                Poll::Ready(Err(_)) => return Err(FaultKind::ClientGone.into()),
            }
            if !self.to_client.is_empty() {
                return Ok(moved);
            }
        }
        if matches!(self.answer, Answer::Done | Answer::Switched) {
            return Ok(moved);
        }
        // After a wake-up the readiness is known; later turns ask, so that a busy exchange gives way to others.
        if !(first && self.up.stream().is_readable()) {
            match self.up.stream().poll_ready(cx, Readiness::Read) {
                Poll::Pending => return Ok(moved),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return self.upstream_ended(true).map(|()| true),
            }
        }
        let worker = self.facts.worker;
        let mut scratch = worker.scratch.borrow_mut();
        let Scratch { read, out, response, ranges } = &mut *scratch;
        let room = read.len().min(self.facts.proxy.held_bytes);
        let got = self.up.stream().try_read(&mut read[..room]);
        self.facts.tally.heard();
        match got {
            Ok(0) => {
                drop(scratch);
                self.upstream_ended(false)?;
            }
            Ok(n) => {
                self.progressed();
                let done = self.receive(&read[..n], out, response, ranges);
                if done.is_err() {
                    out.clear();
                }
                done?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(_) => {
                drop(scratch);
                self.upstream_ended(true)?;
            }
        }
        Ok(true)
    }

    /// The upstream closed or reset its side.
    fn upstream_ended(&mut self, reset: bool) -> Result<(), Fault> {
        #[cfg(feature = "planted")]
        if matches!(self.answer, Answer::Head) && crate::planted::is(crate::planted::Fault::LateRetry) {
            return Err(Fault::retryable(FaultKind::UpstreamClosed));
        }
        match &self.answer {
            Answer::Head if self.partial.is_none() && self.interim == 0 => {
                Err(Fault::retryable(FaultKind::UpstreamClosed))
            }
            Answer::Body(Reader::UntilClose, writer) if !reset => {
                let writer = *writer;
                let content = Content { writer, ended: true, ..Content::NONE };
                let mut scratch = self.facts.worker.scratch.borrow_mut();
                let sent = body::send(&self.conn.stream, &mut scratch.out, &content, &mut self.to_client);
                scratch.out.clear();
                self.answer = Answer::Done;
                self.count_sent(sent)
            }
            _ => Err(FaultKind::UpstreamClosed.into()),
        }
    }

    fn receive(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        response: &mut Response,
        ranges: &mut Vec<Range<usize>>,
    ) -> Result<(), Fault> {
        if !matches!(self.answer, Answer::Head) {
            return self.receive_body(input, out, ranges);
        }
        let Some(partial) = self.partial.take() else {
            response.clear();
            return self.receive_head(input, out, response, ranges);
        };
        let (mut held, mut response) = *partial;
        held.extend_from_slice(input);
        self.receive_head(&held, out, &mut response, ranges)
    }

    fn receive_head(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        response: &mut Response,
        ranges: &mut Vec<Range<usize>>,
    ) -> Result<(), Fault> {
        let mut at = 0;
        loop {
            match self.read_head(&input[at..], out, response)? {
                Step::Incomplete if input.len() == at => break,
                Step::Incomplete => {
                    self.partial = Some(Box::new((input[at..].to_vec(), std::mem::take(response))));
                    break;
                }
                Step::Final(len) if matches!(self.answer, Answer::Head) => {
                    // An interim head: the next one may follow in the same read.
                    at += len;
                    response.clear();
                }
                Step::Final(len) => return self.receive_body(&input[at + len..], out, ranges),
                Step::Switch(len) => {
                    out.extend_from_slice(&input[at + len..]);
                    self.answer = Answer::Switched;
                    break;
                }
            }
        }
        self.send(out, &Content::NONE)
    }

    /// Reads one head; writes what the client gets of it to `out`.
    fn read_head(&mut self, input: &[u8], out: &mut Vec<u8>, response: &mut Response) -> Result<Step, Fault> {
        let len = match response.parse(input, self.facts.method).map_err(Fault::protocol)? {
            Progress::Incomplete => return Ok(Step::Incomplete),
            Progress::Complete(len) => len,
        };
        match response.status() {
            101 => {
                self.check_switch(response, input)?;
                self.facts.tally.answered(101);
                let upgrade = self.facts.upgrade.as_ref().map(|upgrade| upgrade.protocol.as_slice());
                self.write_head(out, response, input, ResponseFraming::None, upgrade);
                Ok(Step::Switch(len))
            }
            100..200 => {
                self.interim += 1;
                if self.interim > MAX_INTERIM {
                    return Err(FaultKind::UpstreamProtocol.into());
                }
                if self.facts.version == Version::Http11 {
                    let before = out.len();
                    filter::write_interim_head(out, response, input);
                    self.facts.tally.head(out.len() - before);
                }
                Ok(Step::Final(len))
            }
            _ => {
                self.begin_answer(out, response, input);
                Ok(Step::Final(len))
            }
        }
    }

    /// A 101 counts only if it was asked for, names that protocol and, for WebSocket, carries the right Accept.
    fn check_switch(&self, response: &Response, input: &[u8]) -> Result<(), Fault> {
        let asked = self.facts.upgrade.as_ref();
        let valid = asked.is_some_and(|asked| {
            let named = response.upgrade(input).is_some_and(|name| name.eq_ignore_ascii_case(&asked.protocol));
            let mut accepts = response.get(input, b"sec-websocket-accept");
            named && asked.accept.is_none_or(|due| accepts.next() == Some(&due[..]) && accepts.next().is_none())
        });
        if valid && self.request_over { Ok(()) } else { Err(FaultKind::UpstreamProtocol.into()) }
    }

    /// Decides how the answer is framed and whether its connection goes on; writes its head.
    fn begin_answer(&mut self, out: &mut Vec<u8>, response: &Response, input: &[u8]) {
        let framing = response.framing();
        let (sent_as, writer) = match (framing, self.facts.version) {
            (ResponseFraming::Chunked | ResponseFraming::UntilClose, Version::Http10) => {
                (ResponseFraming::UntilClose, Writer::Plain)
            }
            (ResponseFraming::Chunked | ResponseFraming::UntilClose, Version::Http11) => {
                (ResponseFraming::Chunked, Writer::Chunked)
            }
            (known, _) => (known, Writer::Plain),
        };
        // A refused change of protocol ends the connection: what the client sent behind it may be of either (S12).
        self.keep_alive &= self.facts.upgrade.is_none();
        self.keep_alive &= sent_as != ResponseFraming::UntilClose && !self.conn.should_close() && self.may_drain();
        self.up_keep_alive = response.keep_alive();
        self.write_head(out, response, input, sent_as, None);
        self.facts.tally.answered(response.status());
        let reader = Reader::from(framing);
        self.answer = if reader.is_done() { Answer::Done } else { Answer::Body(reader, writer) };
    }

    /// Whether what the client still sends of its body is little enough to be read and thrown away.
    fn may_drain(&self) -> bool {
        match &self.request {
            Reader::Done => true,
            Reader::Length(left) => *left <= LINGER_BYTES && !self.facts.expects_continue,
            Reader::Chunked(_) | Reader::UntilClose => false,
        }
    }

    fn write_head(
        &mut self,
        out: &mut Vec<u8>,
        response: &Response,
        input: &[u8],
        framing: ResponseFraming,
        upgrade: Option<&[u8]>,
    ) {
        let date = self.facts.worker.date.borrow();
        let extra = self.facts.found.map(Findings::extra);
        let incoming = Incoming {
            version: self.facts.version,
            framing,
            keep_alive: self.keep_alive,
            request_id: self.facts.request_id.as_bytes(),
            upgrade,
            date: &*date,
            edits: &self.facts.route.response_edits,
            extra: extra.as_deref(),
        };
        let before = out.len();
        filter::write_response_head(out, response, input, &incoming);
        self.facts.tally.head(out.len() - before);
    }

    fn receive_body(&mut self, input: &[u8], out: &mut Vec<u8>, ranges: &mut Vec<Range<usize>>) -> Result<(), Fault> {
        let Answer::Body(reader, writer) = &mut self.answer else {
            self.extra |= !input.is_empty();
            return self.send(out, &Content::NONE);
        };
        let writer = *writer;
        let taken = reader.take(input, ranges).map_err(Fault::protocol)?;
        self.extra |= taken.ended && taken.used < input.len();
        let answer = if taken.ended { std::mem::replace(&mut self.answer, Answer::Done) } else { Answer::Done };
        let trailers = match &answer {
            Answer::Body(reader, Writer::Chunked) => reader.trailers(),
            _ => None,
        };
        self.send(out, &Content { input, ranges, writer, ended: taken.ended, trailers, reserved: None })
    }

    fn send(&mut self, out: &mut Vec<u8>, content: &Content<'_>) -> Result<(), Fault> {
        self.answered |= !matches!(self.answer, Answer::Head);
        let sent = body::send(&self.conn.stream, out, content, &mut self.to_client);
        out.clear();
        self.count_sent(sent)
    }

    fn count_sent(&self, sent: io::Result<usize>) -> Result<(), Fault> {
        self.facts.tally.sent(sent.map_err(|_| FaultKind::ClientGone)?);
        Ok(())
    }
}
