//! What comes back on a connection: read, judged, counted.

use rustix::io::Errno;

use super::{Client, Connection, Phase};
use crate::load::answer::{Expected, Fault};
use crate::load::plan::{Mode, Plan};
use crate::websocket;

impl Client {
    pub(super) fn read(&mut self, index: usize, hangup: bool) {
        let generation = self.connections[index].generation;
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Connection { fd: Some(fd), tls, .. } = &mut self.connections[index] {
            // With TLS, an empty socket does not mean that nothing is left.
            let whole = tls.is_none();
            let read = match tls {
                Some(tls) => tls.read(fd, &mut buffer[..]),
                None => rustix::io::read(&*fd, &mut buffer[..]),
            };
            let read = match read {
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => break,
                Err(_) => 0,
                Ok(n) => n,
            };
            if read == 0 {
                self.ended(index);
                break;
            }
            self.received(index, &buffer[..read]);
            // A short read has emptied the socket, unless its end is still to be seen.
            if self.connections[index].generation != generation || (whole && !(hangup || read == buffer.len())) {
                break;
            }
        }
        self.buffer = buffer;
    }

    fn expected(&self, index: usize) -> Expected {
        let connection = &self.connections[index];
        if connection.phase == Phase::Handshake {
            let accept = Some(websocket::ACCEPT);
            return Expected { status: 101, content: Some(0), tag: None, head_only: true, accept };
        }
        let request = &self.plan.requests[connection.request];
        let tag = request.tag_at.map(|_| connection.tag);
        let Plan { status, head_only, .. } = self.plan;
        Expected { status, content: request.content, tag, head_only, accept: None }
    }

    fn ended(&mut self, index: usize) {
        match self.connections[index].phase {
            Phase::Idle => {
                // Between requests the peer may close; a fresh connection takes its place.
                self.idle.retain(|i| *i != index);
                self.renew(index);
            }
            Phase::Connecting => self.fail(index, Fault::Connect),
            Phase::Busy if self.plan.mode != Mode::Tunnel => {
                let expected = self.expected(index);
                match self.connections[index].answer.end(&expected) {
                    Ok(_) => {
                        self.complete(index);
                        self.renew(index);
                    }
                    Err(fault) => self.fail(index, fault),
                }
            }
            _ => self.fail(index, Fault::Closed),
        }
    }

    fn renew(&mut self, index: usize) {
        self.report.reconnects += 1;
        self.idle.retain(|i| *i != index);
        self.close(index);
        self.open(index);
    }

    fn received(&mut self, index: usize, bytes: &[u8]) {
        let tunnel = self.plan.mode == Mode::Tunnel;
        match self.connections[index].phase {
            Phase::Busy if tunnel => self.echo(index, bytes),
            Phase::Busy | Phase::Handshake => {
                let expected = self.expected(index);
                match self.connections[index].answer.feed(bytes, &expected) {
                    Ok(None) => {}
                    Ok(Some(done)) if done.used < bytes.len() => self.fail(index, Fault::Surplus),
                    Ok(Some(_)) if tunnel => self.first(index),
                    Ok(Some(done)) => {
                        self.complete(index);
                        if done.close {
                            self.renew(index);
                        }
                        self.start_due();
                    }
                    Err(fault) => self.fail(index, fault),
                }
            }
            _ => self.fail(index, Fault::Surplus),
        }
    }

    fn echo(&mut self, index: usize, bytes: &[u8]) {
        let echoed = self.connections[index].echoed;
        let rest = &self.plan.echo[echoed..];
        if bytes.len() > rest.len() {
            self.fail(index, Fault::Surplus);
        } else if bytes != &rest[..bytes.len()] {
            self.fail(index, Fault::Content);
        } else {
            self.connections[index].echoed += bytes.len();
            if self.connections[index].echoed == self.plan.echo.len() {
                self.complete(index);
                self.start_due();
            }
        }
    }

    /// An answer passed: count it and use the connection again.
    fn complete(&mut self, index: usize) {
        let now = self.now();
        let connection = &mut self.connections[index];
        connection.phase = Phase::Idle;
        self.report.latency.record(now.saturating_sub(connection.due));
        let request = &self.plan.requests[connection.request];
        self.report.content += match self.plan.mode {
            Mode::Tunnel => self.plan.echo.len() as u64,
            _ => request.content.unwrap_or(0),
        };
        self.idle.push_back(index);
        if !std::mem::replace(&mut self.connections[index].warm, true) {
            self.open_next();
        }
    }
}
