//! The client's loop: open the connections with one request each, wait at the gate, then measure.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read, Write};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use serde_json::Value;

use super::answer::{Answer, Fault};
use super::plan::{Amount, Mode, Plan, TAG};
use super::report::Report;
use crate::net::{self, Event, Poll};

mod receiving;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;

use tls::Tls;
pub use tls::Trust;

/// Connections being opened at the same time; far below any backlog.
const OPENING: usize = 64;
/// A run with more faults than this is given up: what it measures is not the gateway.
const FAULTS: u64 = 1_000;
const BUFFER: usize = 256 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed,
    Connecting,
    Handshake,
    Busy,
    Idle,
}

#[derive(Debug)]
struct Connection {
    fd: Option<OwnedFd>,
    tls: Option<Tls>,
    generation: u32,
    phase: Phase,
    request: usize,
    tag: u64,
    sent: usize,
    due: u64,
    answer: Answer,
    echoed: usize,
    /// It has had its one request before the gate.
    warm: bool,
}

/// The run of one [`Plan`].
#[derive(Debug)]
pub struct Client {
    plan: Plan,
    poll: Poll,
    connections: Vec<Connection>,
    idle: VecDeque<usize>,
    opened: usize,
    started: u64,
    next: usize,
    measuring: bool,
    zero: Instant,
    end: Option<u64>,
    give_up: u64,
    report: Report,
    buffer: Vec<u8>,
}

impl Client {
    /// A client that has not connected yet.
    ///
    /// # Errors
    /// What the system said when there is no epoll.
    pub fn new(plan: Plan) -> io::Result<Self> {
        let make = |_| Connection {
            fd: None,
            tls: None,
            generation: 0,
            phase: Phase::Closed,
            request: 0,
            tag: 0,
            sent: 0,
            due: 0,
            answer: Answer::default(),
            echoed: 0,
            warm: false,
        };
        Ok(Self {
            poll: Poll::new()?,
            connections: (0..plan.connections).map(make).collect(),
            idle: VecDeque::with_capacity(plan.connections),
            opened: 0,
            started: 0,
            next: 0,
            measuring: false,
            zero: Instant::now(),
            end: None,
            give_up: 0,
            report: Report::default(),
            buffer: vec![0; BUFFER],
            plan,
        })
    }

    /// Runs the plan; the report as JSON and whether everything was right.
    ///
    /// # Errors
    /// What the system said when it could not wait, or when stdin or stdout failed.
    pub fn run(mut self) -> io::Result<(Value, bool)> {
        // The kernel may otherwise delay a timer by 50 µs, which an open loop would see as latency.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        self.open_all()?;
        if self.plan.mode == Mode::Idle || self.plan.gated {
            let mut out = io::stdout().lock();
            writeln!(out, "ready")?;
            out.flush()?;
        }
        if self.plan.mode == Mode::Idle {
            io::stdin().lock().read_to_end(&mut Vec::new())?;
            self.count_lost()?;
        } else {
            if self.plan.gated {
                io::stdin().lock().read_line(&mut String::new())?;
            }
            self.measure()?;
        }
        let right = self.report.errors() == 0;
        Ok((self.report.json(), right))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.zero.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn over(&self) -> bool {
        self.report.errors() > FAULTS || self.now() > self.give_up
    }

    fn open_all(&mut self) -> io::Result<()> {
        self.give_up = nanos(self.plan.timeout);
        for _ in 0..OPENING {
            self.open_next();
        }
        self.turn_until(|client| client.idle.len() == client.connections.len())
    }

    fn open_next(&mut self) {
        if self.opened < self.connections.len() {
            self.opened += 1;
            self.open(self.opened - 1);
        }
    }

    fn measure(&mut self) -> io::Result<()> {
        self.report.latency = crate::histogram::Histogram::default();
        (self.report.content, self.report.reconnects) = (0, 0);
        if self.over() {
            return Ok(());
        }
        self.zero = Instant::now();
        self.measuring = true;
        self.give_up = nanos(self.plan.timeout);
        self.end = match self.plan.amount {
            Amount::Time(time) => Some(nanos(time)),
            Amount::Requests(_) => None,
        };
        self.start_due();
        self.turn_until(|client| client.idle.len() == client.connections.len() && !client.more())?;
        self.report.elapsed = self.zero.elapsed();
        if let (Some(rate), Amount::Time(time)) = (self.plan.rate, self.plan.amount) {
            self.report.faults(Fault::Unsent, due_by(rate, nanos(time)).saturating_sub(self.started));
        }
        Ok(())
    }

    /// Whether requests are left to start.
    fn more(&self) -> bool {
        match (self.plan.amount, self.plan.rate) {
            (Amount::Requests(n), _) => self.started < n,
            (Amount::Time(time), Some(rate)) => self.started < due_by(rate, nanos(time)),
            (Amount::Time(_), None) => self.end.is_some_and(|end| self.now() < end),
        }
    }

    /// Starts what is due on idle connections.
    fn start_due(&mut self) {
        while self.measuring && !self.idle.is_empty() && self.more() {
            let due = match self.plan.rate {
                None => self.now(),
                Some(rate) => {
                    let due = due_at(rate, self.started);
                    if due > self.now() {
                        return;
                    }
                    due
                }
            };
            if let Some(index) = self.idle.pop_front() {
                self.started += 1;
                self.start(index, due);
            }
        }
    }

    fn turn_until(&mut self, done: impl Fn(&Self) -> bool) -> io::Result<()> {
        let mut events = Vec::new();
        while !done(self) {
            if self.over() {
                let open = self.connections.iter().filter(|c| !matches!(c.phase, Phase::Idle | Phase::Closed)).count();
                self.report.faults(Fault::Timeout, open as u64);
                return Ok(());
            }
            self.poll.wait(Some(self.patience()), &mut events)?;
            for event in &events {
                self.event(*event);
            }
            self.start_due();
        }
        Ok(())
    }

    /// How long to wait: to the next request that is due and can be sent, but never long past the time-out.
    fn patience(&self) -> Duration {
        let most = Duration::from_millis(100);
        match self.plan.rate {
            Some(rate) if self.measuring && !self.idle.is_empty() && self.more() => {
                most.min(Duration::from_nanos(due_at(rate, self.started).saturating_sub(self.now())))
            }
            _ => most,
        }
    }

    fn open(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        connection.generation = connection.generation.wrapping_add(1);
        connection.phase = Phase::Connecting;
        connection.tls = self.plan.trust.as_ref().and_then(Tls::new);
        let token = u64::from(connection.generation) << 32 | index as u64;
        match net::connect(&self.plan.to) {
            Ok(fd) if self.poll.add(&fd, token).is_ok() => connection.fd = Some(fd),
            _ => self.fail(index, Fault::Connect),
        }
    }

    /// Counts a fault and puts a fresh connection in the place of the one that failed.
    fn fail(&mut self, index: usize, fault: Fault) {
        self.report.fault(fault);
        self.close(index);
        if !self.over() {
            self.open(index);
        }
    }

    fn close(&mut self, index: usize) {
        self.connections[index].fd = None;
        self.connections[index].tls = None;
        self.connections[index].phase = Phase::Closed;
    }

    fn event(&mut self, event: Event) {
        let index = (event.token & 0xffff_ffff) as usize;
        if u64::from(self.connections[index].generation) != event.token >> 32 {
            return;
        }
        match self.connections[index].phase {
            Phase::Closed => return,
            Phase::Connecting if event.writable || event.hangup => {
                if !self.connections[index].fd.as_ref().is_some_and(net::connected) {
                    return self.fail(index, Fault::Connect);
                }
                self.begin(index);
            }
            Phase::Handshake | Phase::Busy if event.writable => self.send(index),
            _ => {}
        }
        if event.readable && u64::from(self.connections[index].generation) == event.token >> 32 {
            self.read(index, event.hangup);
        }
    }

    /// The connection stands.
    fn begin(&mut self, index: usize) {
        if self.plan.mode == Mode::Tunnel {
            let connection = &mut self.connections[index];
            (connection.phase, connection.sent) = (Phase::Handshake, 0);
            connection.answer.clear();
            self.send(index);
        } else {
            self.first(index);
        }
    }

    /// The connection can take requests: it is warmed up, or, in the place of another, kept for those that are due.
    fn first(&mut self, index: usize) {
        if self.connections[index].warm {
            self.connections[index].phase = Phase::Idle;
            self.idle.push_back(index);
        } else {
            let now = self.now();
            self.start(index, now);
        }
    }

    fn start(&mut self, index: usize, due: u64) {
        let connection = &mut self.connections[index];
        (connection.phase, connection.due, connection.sent, connection.echoed) = (Phase::Busy, due, 0, 0);
        connection.request = self.next % self.plan.requests.len();
        connection.tag = self.next as u64;
        self.next += 1;
        connection.answer.clear();
        if let Some(at) = self.plan.requests[connection.request].tag_at {
            let digits = format!("{:016x}", connection.tag);
            self.plan.requests[connection.request].bytes[at..at + TAG].copy_from_slice(digits.as_bytes());
        }
        self.send(index);
    }

    fn send(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        let bytes = match (connection.phase, self.plan.mode) {
            (Phase::Handshake, _) => &self.plan.handshake,
            (_, Mode::Tunnel) => &self.plan.frame,
            _ => &self.plan.requests[connection.request].bytes,
        };
        let Some(fd) = &connection.fd else { return };
        if let Some(tls) = &mut connection.tls {
            // What fails is told by the read.
            let _ = tls.flush(fd);
        }
        while connection.sent < bytes.len() {
            let rest = &bytes[connection.sent..];
            let written = match &mut connection.tls {
                Some(tls) => tls.write(fd, rest),
                None => rustix::io::write(fd, rest),
            };
            match written {
                Ok(0) => return,
                Ok(n) => connection.sent += n,
                Err(Errno::INTR) => {}
                // Full: the rest goes when there is room. Failed: the peer may have answered before, the read tells.
                Err(_) => return,
            }
        }
    }

    fn count_lost(&mut self) -> io::Result<()> {
        let mut events = Vec::new();
        loop {
            self.poll.wait(Some(Duration::ZERO), &mut events)?;
            if events.is_empty() {
                return Ok(());
            }
            for event in &events {
                let connection = &mut self.connections[(event.token & 0xffff_ffff) as usize];
                if event.hangup && connection.fd.take().is_some() {
                    self.report.lost += 1;
                }
            }
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// When request `number` of an open loop is due.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a schedule")]
fn due_at(rate: f64, number: u64) -> u64 {
    (number as f64 * 1e9 / rate) as u64
}

/// How many requests of an open loop are due before `end`.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a schedule")]
fn due_by(rate: f64, end: u64) -> u64 {
    ((end as f64 * rate / 1e9).ceil() as u64).max(1)
}
