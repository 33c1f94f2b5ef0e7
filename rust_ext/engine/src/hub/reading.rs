//! What clients say: frames are decoded where they lie in the worker's buffer, control frames answered, messages
//! published.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;

use fastgate_core::snapshot::PublicationFormat;
use fastgate_core::websocket::{Event as Said, Opcode, write_close, write_frame};

use super::frames::is_json;
use super::session::{Gone, Phase};
use super::shard::Inner;
use super::slab::Key;
use super::{PublishError, Sender};
use crate::host::Level;
use crate::rt::{self, Event, Set};
use crate::worker::Worker;

/// Events between two looks at the clock.
const STRIDE: usize = 32;

/// Watches the sockets of all sessions for as long as the worker lives.
pub(crate) async fn run(worker: Rc<Worker>, set: Rc<Set>) {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let behind = worker.hub.get().is_some_and(|inner| !inner.again.is_empty());
        if behind {
            rt::yield_now().await;
        } else if let Err(error) = poll_fn(|cx| set.poll_ready(cx)).await {
            return worker.log(Level::Error, format!("subscribers cannot be watched: {error}"));
        }
        if let Err(error) = set.take(&mut events) {
            return worker.log(Level::Error, format!("subscribers cannot be watched: {error}"));
        }
        let again = worker.hub.get().map(|mut inner| std::mem::take(&mut inner.again)).unwrap_or_default();
        let more = |key: Key| Event { key: key.number(), readable: true, writable: false, ended: false };
        events.extend(again.into_iter().map(more));
        let mut until = worker.clock.read() + super::fanout::TURN;
        for some in events.chunks(STRIDE) {
            if let Some(mut inner) = worker.hub.get() {
                some.iter().for_each(|event| inner.event(&worker, *event));
            }
            if worker.clock.read() >= until {
                rt::yield_now().await;
                until = worker.clock.read() + super::fanout::TURN;
            }
        }
    }
}

impl Inner {
    /// A socket has something to tell.
    fn event(&mut self, worker: &Worker, event: Event) {
        let key = Key::from(event.key);
        let Some(session) = self.sessions.get_mut(key).filter(|session| session.phase != Phase::Moving) else { return };
        if event.writable && session.has_unsent() {
            self.flush(worker, key);
        }
        if event.readable || event.ended {
            self.read(worker, key, event.ended);
        }
    }

    /// Reads once; `ended`: nothing will come behind what there is.
    fn read(&mut self, worker: &Worker, key: Key, ended: bool) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let mut scratch = worker.scratch.borrow_mut();
        let room = scratch.read.len();
        match session.receive(&mut scratch.read) {
            Ok(0) => self.remove(worker, key),
            Ok(n) => {
                self.heard(worker, key, &mut scratch.read[..n]);
                let more = self.sessions.get_mut(key).is_some_and(|session| session.has_more());
                if n == room || more {
                    self.again.push(key);
                } else if ended {
                    self.remove(worker, key);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && !ended => {}
            Err(_) => self.remove(worker, key),
        }
    }

    /// Bytes of a client, whatever they are, show that it lives.
    pub(crate) fn heard(&mut self, worker: &Worker, key: Key, input: &mut [u8]) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.heard = worker.deadlines.now();
        session.pinged = 0;
        // Who listens to an event stream has nothing to say, nor has who was told that it is over.
        if session.phase != Phase::Open || session.encoding.sse {
            return;
        }
        let rules = session.endpoint.rules(session.encoding.deflate);
        let mut receiver = std::mem::take(&mut session.receiver);
        let mut at = 0;
        loop {
            match receiver.next(&rules, &mut input[at..]) {
                Ok((_, None)) => break,
                Ok((used, Some(said))) => {
                    at += used;
                    self.said(worker, key, said);
                }
                Err(violation) => {
                    self.close(worker, key, violation.code(), violation.reason());
                }
            }
            if self.sessions.get_mut(key).is_none_or(|session| session.phase != Phase::Open) {
                return;
            }
        }
        if let Some(session) = self.sessions.get_mut(key) {
            session.receiver = receiver;
        }
    }

    fn said(&mut self, worker: &Worker, key: Key, said: Said<'_>) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        match said {
            Said::Message { binary, data } => {
                if let Err((code, reason)) = self.message(worker, key, binary, data) {
                    self.close(worker, key, code, reason);
                }
            }
            Said::Ping(data) => {
                let mut frame = Vec::with_capacity(2 + data.len());
                write_frame(&mut frame, Opcode::Pong, data);
                if session.control(&frame, worker.deadlines.now()) == Err(Gone) {
                    self.remove(worker, key);
                }
            }
            Said::Pong(_) => {}
            Said::Close { code, .. } => {
                let mut frame = Vec::with_capacity(4);
                match code {
                    Some(code) => write_close(&mut frame, code, ""),
                    None => write_frame(&mut frame, Opcode::Close, b""),
                }
                self.end_with(worker, key, code.unwrap_or(1005), &frame);
                // The server ends the connection first (RFC 6455 §7.1.1), and the client has said its last.
                if self.sessions.get_mut(key).is_some_and(|session| session.phase == Phase::Closed) {
                    self.remove(worker, key);
                }
            }
        }
    }

    /// A client's message goes to every channel it is a member of; or why the connection closes instead.
    fn message(&mut self, worker: &Worker, key: Key, binary: bool, data: &[u8]) -> Result<(), (u16, &'static str)> {
        let Some(session) = self.sessions.get_mut(key) else { return Ok(()) };
        let endpoint = session.endpoint.clone();
        let Some(rate) = endpoint.publish else { return Err((1008, "this endpoint takes no messages")) };
        if !rate.take(&mut session.publish_at, worker.clock.read()) {
            return Err((1008, "too many messages"));
        }
        match session.encoding.format {
            PublicationFormat::Binary if !binary => return Err((1003, "this endpoint takes binary messages")),
            PublicationFormat::Json | PublicationFormat::Text if binary => {
                return Err((1003, "this endpoint takes text messages"));
            }
            PublicationFormat::Json if !is_json(data) => return Err((1007, "the message is not JSON")),
            _ => {}
        }
        let payload: Arc<[u8]> = data.into();
        let from = Sender {
            worker: u16::try_from(worker.index).unwrap_or(u16::MAX),
            slot: key.slot,
            generation: key.generation,
            echo: rate.echo,
        };
        let shared = &worker.shared;
        for membership in session.memberships.all() {
            let Some(channel) = self.table.get(membership.channel) else { continue };
            let sent = shared.hub.publish(&shared.workers, &channel.name, &payload, Some(from), endpoint.brokered);
            match sent {
                Ok(_) => {}
                Err(PublishError::TooLarge) => return Err((1009, "the message is too large")),
                Err(PublishError::Busy) => return Err((1013, "too many messages wait for delivery")),
                Err(PublishError::Channel) => return Err((1011, "the channel has no valid name")),
            }
        }
        Ok(())
    }
}
