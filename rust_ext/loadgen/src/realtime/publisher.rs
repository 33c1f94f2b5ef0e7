//! The publishing side: one connection a room, or one for all, written to by the main thread.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::plan::{Plan, Publish, Way, of_room};
use super::redis;
use super::shared::Shared;
use super::subscriber::{Frame, answer, frame, request, write_frame};
use crate::net::{Event, Poll};

use super::payload::Payload;

/// Limit of a handshake.
const LIMIT: Duration = Duration::from_secs(10);
const BUFFER: usize = 64 * 1024;

/// All connections that publish.
pub(super) struct Publisher<'a> {
    plan: &'a Plan,
    publish: &'a Publish,
    lines: Vec<Line>,
    poll: Poll,
    events: Vec<Event>,
    payload: Vec<u8>,
    /// Publications whose answer is still to come, where the way has answers.
    unanswered: u64,
    /// Answers that refused, connections that failed, messages to a publisher.
    pub(super) faults: u64,
}

struct Line {
    stream: TcpStream,
    out: Vec<u8>,
    partial: Vec<u8>,
}

impl<'a> Publisher<'a> {
    /// Connects.
    ///
    /// # Errors
    /// What the system said, or that the handshake was refused.
    pub(super) fn new(plan: &'a Plan, publish: &'a Publish) -> io::Result<Self> {
        let poll = Poll::new()?;
        let count = if matches!(publish.way, Way::WebSocket(_)) { plan.rooms } else { 1 };
        let mut lines = Vec::with_capacity(count);
        for room in 0..count {
            let mut stream = TcpStream::connect_timeout(&publish.to, LIMIT)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(LIMIT))?;
            if let Way::WebSocket(path) = &publish.way {
                let room = u32::try_from(room).unwrap_or(0);
                stream.write_all(&request(&of_room(path, room), &publish.to.to_string()))?;
                handshake(&mut stream)?;
            }
            stream.set_nonblocking(true)?;
            poll.add(&stream, room as u64)?;
            lines.push(Line { stream, out: Vec::new(), partial: Vec::new() });
        }
        let (events, payload) = (Vec::new(), Vec::new());
        Ok(Self { plan, publish, lines, poll, events, payload, unanswered: 0, faults: 0 })
    }

    /// Sends so many publications to a room in one write; how many deliveries that makes.
    ///
    /// # Errors
    /// That the connection failed.
    pub(super) fn send(&mut self, shared: &Shared, room: u32, burst: u64) -> io::Result<u64> {
        let line = if self.lines.len() == 1 { 0 } else { room as usize };
        let mut deliveries = 0;
        for _ in 0..burst {
            let payload = Payload { room, number: shared.published(room), at: shared.now() };
            self.payload.clear();
            payload.write(self.plan.size, &mut self.payload);
            deliveries += shared.publish(room);
            self.append(line, room);
        }
        self.flush(line)?;
        Ok(deliveries)
    }

    fn append(&mut self, line: usize, room: u32) {
        let out = &mut self.lines[line].out;
        match &self.publish.way {
            Way::WebSocket(_) => return write_frame(1, &self.payload, out),
            Way::Redis(channel) => {
                redis::command(&[b"PUBLISH", of_room(channel, room).as_bytes(), &self.payload], out);
            }
            Way::Http { path, body, headers } => {
                let payload = String::from_utf8_lossy(&self.payload);
                let content = of_room(body, room).replace("{payload}", &payload);
                let head = format!("POST {} HTTP/1.1\r\nHost: {}\r\n", of_room(path, room), self.publish.to);
                out.extend_from_slice(head.as_bytes());
                for header in headers {
                    out.extend_from_slice(header.as_bytes());
                    out.extend_from_slice(b"\r\n");
                }
                out.extend_from_slice(format!("Content-Length: {}\r\n\r\n{content}", content.len()).as_bytes());
            }
        }
        self.unanswered += 1;
    }

    fn flush(&mut self, line: usize) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.lines[line].out.len() {
            let one = &self.lines[line];
            match rustix::io::write(&one.stream, &one.out[sent..]) {
                Ok(n) => sent += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.listen();
                    let wait = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
                    let mut room = [PollFd::new(&self.lines[line].stream, PollFlags::OUT)];
                    rustix::event::poll(&mut room, Some(&wait))?;
                }
                Err(error) => {
                    self.faults += 1;
                    return Err(error.into());
                }
            }
        }
        self.lines[line].out.clear();
        Ok(())
    }

    /// Takes what servers say to publishers: answers, pings.
    pub(super) fn listen(&mut self) {
        let mut events = std::mem::take(&mut self.events);
        while self.poll.wait(Some(Duration::ZERO), &mut events).is_ok() && !events.is_empty() {
            for event in events.iter().filter(|event| event.readable) {
                self.read(usize::try_from(event.token).unwrap_or(0));
            }
            if events.iter().all(|event| !event.readable) {
                break;
            }
        }
        self.events = events;
    }

    fn read(&mut self, index: usize) {
        let mut buffer = [0; BUFFER];
        loop {
            match self.lines[index].stream.read(&mut buffer) {
                Ok(n @ 1..) => {
                    let mut bytes = std::mem::take(&mut self.lines[index].partial);
                    bytes.extend_from_slice(&buffer[..n]);
                    let used = match &self.publish.way {
                        Way::WebSocket(_) => self.frames(index, &bytes),
                        Way::Http { .. } => self.answers(&bytes),
                        Way::Redis(_) => self.numbers(&bytes),
                    };
                    self.lines[index].partial = bytes[used..].to_vec();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => return self.faults += 1,
            }
        }
    }

    fn frames(&mut self, index: usize, bytes: &[u8]) -> usize {
        let mut at = 0;
        loop {
            match frame(&bytes[at..]) {
                Ok(None) => return at,
                Ok(Some((frame, length))) => {
                    match frame {
                        Frame::Ping(payload) => {
                            let mut pong = Vec::new();
                            write_frame(10, payload, &mut pong);
                            let _ = rustix::io::write(&self.lines[index].stream, &pong);
                        }
                        Frame::Pong => {}
                        // Its own publications are not for it, and nobody else publishes to its room.
                        Frame::Data(_) | Frame::Close(_) => self.faults += 1,
                    }
                    at += length;
                }
                Err(()) => {
                    self.faults += 1;
                    return bytes.len();
                }
            }
        }
    }

    /// Counts answers by their status lines; the rest of an answer says nothing.
    fn answers(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(found) = memchr::memmem::find(&bytes[at..], b"HTTP/1.1 ") {
            let Some(status) = bytes.get(at + found + 9) else { return at + found };
            self.faults += u64::from(*status != b'2');
            self.unanswered = self.unanswered.saturating_sub(1);
            at += found + 10;
        }
        at.max(bytes.len().saturating_sub(8))
    }

    fn numbers(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(end) = memchr::memchr(b'\n', &bytes[at..]) {
            self.faults += u64::from(bytes[at] != b':');
            self.unanswered = self.unanswered.saturating_sub(1);
            at += end + 1;
        }
        at
    }

    /// Waits until every publication has its answer; how many have none within the limit.
    pub(super) fn answered(&mut self, shared: &Shared, limit: Duration) -> u64 {
        let end = shared.now() + u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        self.listen();
        while self.unanswered > 0 && shared.now() < end && self.faults == 0 {
            std::thread::park_timeout(Duration::from_millis(1));
            self.listen();
        }
        std::mem::take(&mut self.unanswered)
    }
}

fn handshake(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    loop {
        // Byte by byte, so that nothing behind the head is taken.
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
        match answer(&head) {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => {}
            Err(()) => {
                let line = String::from_utf8_lossy(&head);
                let first = line.lines().next().unwrap_or_default();
                return Err(io::Error::other(format!("a publisher's handshake was refused: {first}")));
            }
        }
    }
}
