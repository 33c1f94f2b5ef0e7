//! One connection of the origin: bytes in, answers out, nothing read while an answer is still on its way.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use fastgate_core::websocket::websocket_accept;
use rustix::io::Errno;

use super::answer::{self, Answer, Answers, Asked};
use super::request::{Framing, Head};
use super::tunnel::Tunnel;
use crate::chunked::Chunked;
use crate::pattern;

/// Answers up to this size are gathered, so that pipelined requests share a write; larger ones are sent as they are.
const GATHERED: usize = 16 * 1024;
/// Gathered answers beyond this are written before the next request is looked at.
const GATHERED_MOST: usize = 1024 * 1024;

/// What all connections share.
#[derive(Debug, Default)]
pub struct Shared {
    /// Rendered answers.
    pub answers: Answers,
    /// Requests whose head was understood, without `/stats`.
    pub requests: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Requests that were not understood or whose content was not the pattern.
    pub refused: u64,
    /// What this turn has to say.
    out: Vec<u8>,
}

impl Shared {
    /// The counters as JSON.
    #[must_use]
    pub fn stats(&self) -> String {
        let Self { requests, connections, refused, .. } = self;
        format!(r#"{{"requests":{requests},"connections":{connections},"refused":{refused}}}"#)
    }
}

#[derive(Debug)]
enum State {
    Head,
    Body(Body),
    Delayed(bool),
    Tunnel(Tunnel),
}

#[derive(Debug)]
struct Body {
    framing: Left,
    sink: Sink,
    head_only: bool,
    seen: u64,
}

#[derive(Debug)]
enum Left {
    Length(u64),
    Chunked(Chunked),
}

#[derive(Debug)]
enum Sink {
    /// Sent back as it comes, in the framing it came in.
    Echo,
    /// Compared with the pattern and answered at its end.
    Check { holds: bool, then: Asked },
}

#[derive(Debug)]
enum Unsent {
    Nothing,
    Own(Vec<u8>, usize),
    Kept(Rc<Answer>, usize),
}

/// What the server has to do for a connection that cannot go on by itself.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait for readiness.
    Wait,
    /// Call [`Connection::wake`] after this many milliseconds.
    Delay(u64),
    /// Close it.
    Close,
}

/// One client connection.
#[derive(Debug)]
pub struct Connection {
    fd: OwnedFd,
    state: State,
    input: Vec<u8>,
    unsent: Unsent,
    close: bool,
    readable: bool,
    hangup: bool,
    delay: Option<u64>,
}

impl Connection {
    /// A fresh connection.
    #[must_use]
    pub fn new(fd: OwnedFd) -> Self {
        let (state, unsent) = (State::Head, Unsent::Nothing);
        Self { fd, state, input: Vec::new(), unsent, close: false, readable: false, hangup: false, delay: None }
    }

    /// Takes an event and does all that can be done now.
    pub fn ready(&mut self, event: crate::net::Event, buffer: &mut [u8], shared: &mut Shared) -> Next {
        self.readable |= event.readable;
        self.hangup |= event.hangup;
        if event.writable && self.flush().is_err() {
            return Next::Close;
        }
        self.drive(buffer, shared)
    }

    /// The delay is over.
    pub fn wake(&mut self, buffer: &mut [u8], shared: &mut Shared) -> Next {
        if let State::Delayed(head_only) = self.state {
            self.state = State::Head;
            self.answer(Asked::Delay(0), head_only, b"", shared);
        }
        self.drive(buffer, shared)
    }

    fn blocked(&self) -> bool {
        !matches!(self.unsent, Unsent::Nothing) || matches!(self.state, State::Delayed(_))
    }

    fn drive(&mut self, buffer: &mut [u8], shared: &mut Shared) -> Next {
        // Bytes kept because an answer was in the way come before those still in the socket.
        let kept = !(self.input.is_empty() && shared.out.is_empty());
        if kept && !self.blocked() {
            let input = std::mem::take(&mut self.input);
            self.turn(&input, shared);
        }
        while !self.blocked() && !self.close && self.readable {
            match rustix::io::read(&self.fd, &mut *buffer) {
                Ok(0) => return Next::Close,
                Ok(n) => {
                    self.readable = n == buffer.len() || self.hangup;
                    if self.input.is_empty() {
                        self.turn(&buffer[..n], shared);
                    } else {
                        let mut input = std::mem::take(&mut self.input);
                        input.extend_from_slice(&buffer[..n]);
                        self.turn(&input, shared);
                    }
                }
                Err(Errno::AGAIN) => self.readable = false,
                Err(Errno::INTR) => {}
                Err(_) => return Next::Close,
            }
        }
        match (self.delay.take(), &self.unsent) {
            (Some(milliseconds), _) => Next::Delay(milliseconds),
            (None, Unsent::Nothing) if self.close => Next::Close,
            _ => Next::Wait,
        }
    }

    /// Works through `input`, sends what was gathered, and keeps what must wait.
    fn turn(&mut self, input: &[u8], shared: &mut Shared) {
        let mut at = 0;
        loop {
            let mut used = 1;
            while used > 0 && at < input.len() && !self.close && !self.blocked() && shared.out.len() < GATHERED_MOST {
                used = self.step(&input[at..], shared);
                at += used;
            }
            let full = shared.out.len() >= GATHERED_MOST;
            self.send_gathered(shared);
            if !full {
                break;
            }
        }
        if !self.close {
            self.input.extend_from_slice(&input[at..]);
        }
    }

    /// One head, or one piece of a body or tunnel; returns how much of `input` it took (0: more is needed).
    fn step(&mut self, input: &[u8], shared: &mut Shared) -> usize {
        match &mut self.state {
            State::Head => match Head::parse(input) {
                Ok(None) => 0,
                Ok(Some((head, used))) => {
                    self.request(&head, shared);
                    used
                }
                Err(_) => self.refuse("400 Bad Request", shared),
            },
            State::Body(_) => self.body(input, shared),
            State::Tunnel(tunnel) => {
                self.close = tunnel.feed(input, &mut shared.out);
                input.len()
            }
            State::Delayed(_) => 0,
        }
    }

    fn refuse(&mut self, status: &str, shared: &mut Shared) -> usize {
        shared.refused += 1;
        self.close = true;
        shared.out.extend_from_slice(&answer::empty(status, true));
        0
    }

    fn request(&mut self, head: &Head<'_>, shared: &mut Shared) {
        let asked = Asked::of(head.path);
        shared.requests += u64::from(asked != Asked::Stats);
        self.close = head.close;
        let head_only = head.method == b"HEAD";
        if let Some(key) = head.websocket_key.filter(|_| asked == Asked::WebSocket) {
            return self.upgrade(key, shared);
        }
        let framing = match head.framing {
            Framing::Length(0) => return self.answer(asked, head_only, head.query, shared),
            Framing::Length(length) => Left::Length(length),
            Framing::Chunked => Left::Chunked(Chunked::default()),
        };
        if head.expects_continue {
            shared.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let sink = if asked == Asked::Echo {
            let lines = match framing {
                Left::Length(length) => format!("Content-Length: {length}\r\n"),
                Left::Chunked(_) => "Transfer-Encoding: chunked\r\n".to_owned(),
            };
            shared.out.extend_from_slice(&answer::head("200 OK", &lines));
            Sink::Echo
        } else {
            Sink::Check { holds: true, then: asked }
        };
        self.state = State::Body(Body { framing, sink, head_only, seen: 0 });
    }

    fn upgrade(&mut self, key: &[u8], shared: &mut Shared) {
        shared.out.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Accept: ",
        );
        shared.out.extend_from_slice(&websocket_accept(key));
        shared.out.extend_from_slice(b"\r\n\r\n");
        self.close = false;
        self.state = State::Tunnel(Tunnel::default());
    }

    fn body(&mut self, input: &[u8], shared: &mut Shared) -> usize {
        let State::Body(body) = &mut self.state else { return 0 };
        let (sink, seen, out) = (&mut body.sink, &mut body.seen, &mut shared.out);
        let mut take = |data: &[u8]| {
            match sink {
                Sink::Check { holds, .. } => *holds &= pattern::holds(data, *seen),
                Sink::Echo => {}
            }
            *seen += data.len() as u64;
        };
        let result = match &mut body.framing {
            Left::Length(left) => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                take(&input[..used]);
                *left -= used as u64;
                Ok((used, *left == 0))
            }
            Left::Chunked(chunked) => chunked.feed(input, take),
        };
        let Ok((used, ended)) = result else { return self.refuse("400 Bad Request", shared) };
        if matches!(body.sink, Sink::Echo) {
            out.extend_from_slice(&input[..used]);
        }
        if ended && let State::Body(body) = std::mem::replace(&mut self.state, State::Head) {
            match body.sink {
                Sink::Echo => {}
                Sink::Check { holds: true, then } => self.answer(then, body.head_only, b"", shared),
                Sink::Check { .. } => {
                    shared.refused += 1;
                    shared.out.extend_from_slice(&answer::empty("422 Unprocessable Content", self.close));
                }
            }
        }
        used
    }

    fn answer(&mut self, asked: Asked, head_only: bool, query: &[u8], shared: &mut Shared) {
        match asked {
            Asked::Delay(wait) if wait > 0 => {
                self.delay = Some(wait);
                self.state = State::Delayed(head_only);
                return;
            }
            Asked::Stats => return shared.out.extend_from_slice(&answer::json(&shared.stats())),
            Asked::Wrong => return shared.out.extend_from_slice(&answer::empty("400 Bad Request", self.close)),
            Asked::WebSocket => {
                return shared.out.extend_from_slice(&answer::empty("426 Upgrade Required", self.close));
            }
            _ => {}
        }
        let answer = shared.answers.get(asked);
        self.close |= answer.close;
        if head_only {
            shared.out.extend_from_slice(&answer.bytes[..answer.head]);
        } else if answer.bytes.len() <= GATHERED {
            let start = shared.out.len();
            shared.out.extend_from_slice(&answer.bytes);
            // A tag is answered in the first bytes of the content, so that the client sees whose answer it got.
            if let Some(tag) = query.strip_prefix(b"t=").filter(|t| answer.content + t.len() <= answer.bytes.len()) {
                shared.out[start + answer.content..][..tag.len()].copy_from_slice(tag);
            }
        } else {
            self.send_gathered(shared);
            match &mut self.unsent {
                Unsent::Own(bytes, _) => bytes.extend_from_slice(&answer.bytes),
                _ => {
                    self.unsent = Unsent::Kept(answer, 0);
                    if self.flush().is_err() {
                        (self.close, self.unsent) = (true, Unsent::Nothing);
                    }
                }
            }
        }
    }

    fn send_gathered(&mut self, shared: &mut Shared) {
        if shared.out.is_empty() {
            return;
        }
        match rustix::io::write(&self.fd, &shared.out) {
            Ok(n) if n == shared.out.len() => {}
            Ok(n) => self.unsent = Unsent::Own(shared.out.split_off(n), 0),
            Err(Errno::AGAIN | Errno::INTR) => self.unsent = Unsent::Own(std::mem::take(&mut shared.out), 0),
            Err(_) => self.close = true,
        }
        shared.out.clear();
    }

    /// Sends what a short write left over.
    fn flush(&mut self) -> io::Result<()> {
        loop {
            let (bytes, at) = match &mut self.unsent {
                Unsent::Nothing => return Ok(()),
                Unsent::Own(bytes, at) => (&*bytes, at),
                Unsent::Kept(answer, at) => (&answer.bytes, at),
            };
            match rustix::io::write(&self.fd, &bytes[*at..]) {
                Ok(n) => *at += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            if *at == bytes.len() {
                self.unsent = Unsent::Nothing;
            }
        }
    }
}
